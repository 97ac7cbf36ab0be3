"""A port of this machine that leads to an app in a session."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from backendai_sdk._async._apps import list_apps
from backendai_sdk._async._tidy import tidy
from backendai_sdk._async._tunnel import carry, reset, tunnel_to
from backendai_sdk._deadline import without_deadline
from backendai_sdk._log import logger
from backendai_sdk._wire.apps import app_named, app_parameters, local_port_argument
from backendai_sdk.errors import BackendAIError, InvalidArgument, UsageError
from backendai_sdk.models.app import App

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._transport.websocket import WebSocket

__all__ = ["AsyncPortForward"]

log = logger("forward")

_HOST = "127.0.0.1"
_BACKLOG = 100


class AsyncPortForward:
    """A port on this machine's loopback address that leads to an app in a session, while the block lasts.

    Entering claims the port, has the server start the app, and makes sure that it can be reached.  Each
    connection to the port becomes one to the app, as many at once as there are; leaving the block ends them
    all.  A connection that cannot be made is closed with a reset, and ``last_error`` says why.

    What is sent to the app arrives, but not that its sender has finished sending: the servers' proxy has no
    word for it.  Whoever can run programs on this machine can connect to the port.
    """

    _handle: ClassVar[bool] = True

    def __init__(
        self,
        session: AsyncComputeSession,
        app: str,
        local_port: int = 0,
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        args: Mapping[str, object] | None = None,
    ) -> None:
        self._session = session
        self._params = app_parameters(app, port=port, env=env, args=args)
        self._wanted = local_port_argument(local_port)
        self._name = app
        self._app: App | None = None
        self._port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._entered = False
        self.last_error: BackendAIError | None = None

    def __repr__(self) -> str:
        where = f"{_HOST}:{self._port}" if self._port else "closed"
        return f"<AsyncPortForward {where} to {self._name} in {self._session.name}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("this port was forwarded before; call forward_port() again")
        self._entered = True
        listening = _claim(self._wanted)
        try:
            self._app = app_named(self._name, await list_apps(self._session), session=self._session.name)
            # A first connection, for nothing else than to see that there can be one.
            async with self._tunnel():
                pass
            self._server = await asyncio.start_server(self._accept, sock=listening, backlog=_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session = self._session
        what = f"the forwarded port of {session.name} could not be closed"
        await tidy(session._client, self._stop(), what=what, session=session.info)

    @property
    def app(self) -> App:
        """The app that the port leads to.

        Raises:
            UsageError: the block was not entered.
        """
        if self._app is None:
            raise UsageError("enter the port forward first: async with cs.forward_port(app) as forward")
        return self._app

    @property
    def host(self) -> str:
        """The address that is listened on: this machine's loopback address."""
        return _HOST

    @property
    def port(self) -> int:
        """The port on this machine.

        Raises:
            UsageError: the block was not entered, or was left.
        """
        if not self._port:
            raise UsageError("this port is not forwarded (any more): use it inside of its block")
        return self._port

    @property
    def url(self) -> str:
        """The address for a browser, for example ``"http://127.0.0.1:41235"``; ``tcp://`` for what is no HTTP."""
        scheme = "tcp" if self.app.protocol == "tcp" else "http"
        return f"{scheme}://{_HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    # --- inside -----------------------------------------------------------------------------------------

    def _tunnel(self) -> AbstractAsyncContextManager[WebSocket]:
        return tunnel_to(self._session._client, self._session.id, self._params)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted just before the block was left
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(
            self._serve(reader, writer), name="backendai-sdk-forward", context=without_deadline()
        )
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._tunnel() as tunnel:
                await carry(self._session._client, reader, writer, tunnel, self._failed)
        except BackendAIError as exc:
            self._failed(exc)
        finally:
            reset(writer)  # nothing is left to do if it was carried

    def _failed(self, exc: BackendAIError) -> None:
        """Keep why a connection failed, before its local end hears of it: whoever sees the reset may ask at once."""
        if self.last_error is not exc:
            self.last_error = exc
            log.info("a connection to %s in %s failed: %s", self._name, self._session.name, exc)

    async def _stop(self) -> None:
        self._port = 0
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        while self._connections:
            for task in self._connections:
                task.cancel()
            await asyncio.wait(self._connections)
        await server.wait_closed()


def _claim(port: int) -> socket.socket:
    """Listen on a port of this machine; connections wait until they are accepted.

    Raises:
        InvalidArgument: the port is taken, or may not be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # On Windows this would let two programs have one port; elsewhere it lets a port be used again at once.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((_HOST, port))
        listening.listen(_BACKLOG)
    except OSError as exc:
        listening.close()
        if exc.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
            why = (
                "is in use on this machine"
                if exc.errno == errno.EADDRINUSE
                else f"cannot be used: {exc.strerror}"
            )
            raise InvalidArgument(
                f"local_port: {port} {why}; 0 takes one that is free", argument="local_port"
            ) from exc
        raise
    except BaseException:
        listening.close()
        raise
    return listening
