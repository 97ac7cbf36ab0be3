"""The requests of one client session: agree on a version, then send, read, stream, upgrade.

One ``Transport`` belongs to one client session.  What views of the same session with other time limits or
retries have in common is in :mod:`shared`; how one request becomes several attempts is in :mod:`attempts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import attrs

from backendai_sdk._log import logger
from backendai_sdk._transport.attempts import Attempts
from backendai_sdk._transport.connection import ByteStream, Connection
from backendai_sdk._transport.credentials import WebLogin
from backendai_sdk._transport.parts import PartReader
from backendai_sdk._transport.shared import Shared
from backendai_sdk._transport.trials import Trials
from backendai_sdk._transport.websocket import Upgraded, WebSocket
from backendai_sdk._wire.problems import json_of
from backendai_sdk._wire.request import Request, Response
from backendai_sdk._wire.versions import API_VERSIONS, negotiate
from backendai_sdk.config import Config
from backendai_sdk.errors import ProtocolError, RequestTimeout, TransportError
from backendai_sdk.models.server import ServerInfo

__all__ = ["Transport"]

log = logger("transport")


class Transport:
    """Sends requests for one client session. Nothing is opened before the first request."""

    def __init__(self, config: Config, *, _shared: Shared | None = None) -> None:
        self.config = config
        self._shared = _shared or Shared()
        self._attempts = Attempts(config, self._shared)

    def with_config(self, config: Config) -> Transport:
        """A view with other settings that shares connections and everything learned."""
        return Transport(config, _shared=self._shared)

    async def close(self) -> None:
        """Close all connections; later requests raise ``ClientClosed``."""
        self._shared.closed = True
        connection, self._shared.connection = self._shared.connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.close()

    @property
    def inherited(self) -> bool:
        """Whether the connections are those of the process that this one was forked from."""
        return self._shared.inherited

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._shared.closed

    def now(self) -> datetime:
        """The time by the server's clock, as far as it is known to differ."""
        return self._shared.clock.server_time()

    async def server(self) -> ServerInfo:
        """The server's release and the agreed API version; asked for once (PROTOCOL §1.5)."""
        return (await self._ready())[1]

    async def json(self, request: Request) -> object:
        """Send *request* and decode the answer's JSON; ``None`` if it is empty.

        Raises:
            APIError: the server said no.
            TransportError: no usable answer came.
        """
        return json_of(await self.send(request), method=request.method, path=request.path)

    async def send(self, request: Request) -> Response:
        """Send *request*, again if that is safe, and return the successful answer."""
        connection, server = self._shared.connect(self.config), self._shared.ready
        if server is None:
            connection, server = await self._ready()
        return await self._attempts.send(connection, request, version=server.api_version)

    async def fetch(self, request: Request, read: PartReader) -> None:
        """Send *request*, again if an answer breaks off, and have *read* take the parts as they come.

        Args:
            read: called for each attempt that succeeds so far; it starts from the beginning then.

        Raises:
            APIError, TransportError: as :meth:`json`; whatever *read* raises.
        """
        connection, server = await self._ready()
        await self._attempts.send(connection, request, version=server.api_version, read=read)

    @asynccontextmanager
    async def stream(self, request: Request, *, repeat: bool = True) -> AsyncIterator[ByteStream]:
        """Open a stream and read it piece by piece; opening one again that was cut is the caller's.

        Args:
            repeat: try several times to open it, as with any request that changes nothing.  A server that does not
                answer at all is not asked again: proxies that hold streams back are no better the next time.

        Raises:
            APIError, TransportError: as :meth:`json`; ``StreamInterrupted`` while reading.
        """
        connection, server = await self._ready()
        trials = Trials(self._attempts, connection, request, repeat=repeat)
        opened = False
        while True:
            endpoint = trials.begin()
            url, headers = self._attempts.prepare(request, endpoint, server.api_version)
            failure: Response | TransportError
            try:
                async with connection.stream(request, url, headers) as (response, body):
                    if response.status == 200:
                        opened = True
                        yield body
                        return
                    failure = response
            except TransportError as exc:
                if opened or isinstance(exc, RequestTimeout):
                    raise
                failure = exc
            await trials.failed(failure)

    @asynccontextmanager
    async def websocket(self, request: Request) -> AsyncIterator[WebSocket]:
        """Open a WebSocket, and close it when the block ends.

        The handshake is tried again as any request is that changes nothing: it carries no message yet.

        Raises:
            APIError, TransportError: as :meth:`json`; ``StreamInterrupted`` while it is used.
        """
        answer = await self.send(attrs.evolve(request, upgrade=True, idempotent=True))
        if not isinstance(answer, Upgraded):
            raise ProtocolError(
                f"{request.method} {request.path}: status {answer.status} instead of a WebSocket: does a proxy in "
                "between know WebSockets?",
                status=answer.status,
                method=request.method,
                path=request.path,
            )
        async with answer.socket as socket:
            yield socket

    async def _ready(self) -> tuple[Connection, ServerInfo]:
        """The connections, and what was agreed on with the server; it is asked before the first request."""
        connection = self._shared.connect(self.config)
        if self._shared.ready is None:
            async with self._shared.lock:
                if self._shared.ready is None:
                    self._shared.ready = await self._negotiate(connection)
            connection = self._shared.connect(self.config)  # it may have been closed meanwhile
        return connection, self._shared.ready

    async def _negotiate(self, connection: Connection) -> ServerInfo:
        login, sign_ins = self._attempts.credentials, self._shared.sign_ins
        if isinstance(login, WebLogin) and not sign_ins.count:
            await self._attempts.sign_in(connection, login, seen=0)
        request = Request(method="GET", path="/", signed=False, idempotent=True)
        answer = await self._attempts.send(connection, request, version="")
        self._shared.clock.note(answer)
        body = json_of(answer, method="GET", path="/")
        server = negotiate(body, wanted=self.config.api_version, endpoint=answer.endpoint)
        if server.server_version not in API_VERSIONS:
            log.info("server speaks %s; using %s", server.server_version, server.api_version)
        return server
