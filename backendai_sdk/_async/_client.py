"""What the public cores stand on: one transport, one informer, a journal, and perhaps an embedded cluster.

Opened by the first request, not by the constructor, so that a client session may be made anywhere and
starts nothing until it is used.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from backendai_sdk._async._informer import Informer
from backendai_sdk._async._journal import Ledger
from backendai_sdk._async._shapes import finish
from backendai_sdk._deadline import clamp, without_deadline
from backendai_sdk._transport import Transport
from backendai_sdk._wire.gql import collided, list_body, read_page
from backendai_sdk._wire.request import Request, Response
from backendai_sdk._wire.statuses import status_argument
from backendai_sdk.config import Config, shown_progress
from backendai_sdk.errors import ClientClosed, UsageError

if TYPE_CHECKING:
    from backendai_sdk._transport.connection import ByteStream
    from backendai_sdk._transport.parts import PartReader
    from backendai_sdk._transport.websocket import WebSocket
    from backendai_sdk.local import LocalCluster
    from backendai_sdk.models.page import Page
    from backendai_sdk.models.server import ServerInfo
    from backendai_sdk.models.session import SessionInfo

__all__ = ["Client"]

# How long to wait before a query that met others in the server's database is asked again.
_AFTER_COLLISIONS = (0.1, 0.3, 1.0)


class Client:
    """The inside of an ``AsyncSession``, shared with the handles and streams that it gives out."""

    def __init__(self, config: Config | None, *, local: LocalCluster | None = None) -> None:
        self._config = config
        self._local = local
        self._transport = None if config is None else Transport(config)
        self._starting = asyncio.Lock()
        self._closed = False
        self.informer = Informer(self)
        self.lists_by_ids = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.journal = Ledger(config, lambda work: self.spawn(work, name="backendai-sdk-journal"))

    @property
    def config(self) -> Config:
        """The settings; of an embedded cluster they exist once it runs."""
        if self._config is None:
            raise UsageError("the local cluster has not started yet: use `with`, or make a first call")
        return self._config

    @property
    def is_configured(self) -> bool:
        """Whether the settings exist; those of an embedded cluster come with its start."""
        return self._config is not None

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def with_config(self, change: Callable[[Config], Config]) -> Client:
        """A view with other settings that shares everything else."""
        view = object.__new__(Client)
        view.__dict__.update(self.__dict__)
        view._config = change(self.config)
        if self._transport is not None:
            view._transport = self._transport.with_config(view._config)
        return view

    @property
    def _opened(self) -> Transport | None:
        return None if self._closed else self._transport

    async def open(self) -> Transport:
        """Start the embedded cluster if there is one; give the transport."""
        if self._closed:
            raise ClientClosed("this session object was closed; make a new one")
        if self._transport is None:
            async with self._starting:
                if self._transport is None:
                    self._config = await _start(self._local)
                    self._transport = Transport(self._config)
        return self._transport

    async def close(self) -> None:
        """Stop waiting, close the connections, stop the embedded cluster; to the end, also under cancellation."""
        self._closed = True
        if self._transport is not None and self._transport.inherited:
            return  # what is open is the parent's, as are the tasks
        await finish(self._close(), timeout=None)

    async def _close(self) -> None:
        await self.informer.close()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(
            0
        )  # what was spawned just now gets to its first step, and so cleans up after itself
        if here := [task for task in self._tasks if task.get_loop() is loop]:
            for task in here:
                task.cancel()
            await asyncio.wait(here)
        await self.journal.close()
        if self._transport is not None:
            await self._transport.close()
        if self._local is not None:
            await self._local.astop()

    def turn_in(self, session_id: str) -> asyncio.Lock:
        """What a run in that session holds; the same for all handles of it."""
        return self._turns.setdefault(session_id, asyncio.Lock())

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Have *work* done in the background, until this client is closed; no deadline() holds for it."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=without_deadline())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- requests ---------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time by the server's clock, as far as it is known to differ."""
        return self._transport.now() if self._transport is not None else datetime.now(UTC)

    async def server(self) -> ServerInfo:
        """The server's release and the agreed version."""
        return await (await self.open()).server()

    async def json(self, request: Request) -> object:
        """Send a request; the decoded answer."""
        return await (self._opened or await self.open()).json(request)

    async def send(self, request: Request) -> Response:
        """Send a request; the raw answer."""
        return await (self._opened or await self.open()).send(request)

    async def fetch(self, request: Request, read: PartReader) -> None:
        """Send a request; *read* takes the parts of its answer."""
        await (await self.open()).fetch(request, read)

    @asynccontextmanager
    async def stream(self, request: Request, *, repeat: bool = True) -> AsyncIterator[ByteStream]:
        """Open a stream, in several attempts if need be."""
        transport = await self.open()
        async with transport.stream(request, repeat=repeat) as body:
            yield body

    @asynccontextmanager
    async def websocket(self, request: Request) -> AsyncIterator[WebSocket]:
        """Open a WebSocket."""
        transport = await self.open()
        async with transport.websocket(request) as socket:
            yield socket

    async def gql(self, body: Mapping[str, object]) -> object:
        """Ask the GraphQL endpoint; queries change nothing, so they may be repeated."""
        request = Request(method="POST", path="/admin/gql", json=dict(body), idempotent=True)
        for pause in _AFTER_COLLISIONS:
            if not collided(answer := await self.json(request)):
                return answer
            await asyncio.sleep(clamp(pause) or 0)
        return await self.json(request)

    async def page(
        self,
        fields: Sequence[str],
        *,
        limit: int,
        offset: int = 0,
        status: str | Sequence[str] | None = None,
        filter: str | None = None,
        order: str | None = None,
        access_key: str | None = None,
        group_id: str | None = None,
    ) -> Page[SessionInfo]:
        """One page of sessions; ``status=None`` lists those of every status."""
        known = None if status is None else status_argument(status, await self.server())
        body = list_body(
            fields,
            limit=limit,
            offset=offset,
            status=known,
            filter=filter,
            order=order,
            access_key=access_key,
            group_id=group_id,
        )
        return read_page(await self.gql(body), offset=offset)


async def _start(cluster: LocalCluster | None) -> Config:
    if cluster is None:
        raise UsageError("there are no settings")
    await cluster.astart()
    return Config(
        endpoint=cluster.endpoint,
        access_key=cluster.access_key,
        secret_key=cluster.secret_key,
        **shown_progress(os.environ),  # type: ignore[arg-type]
    )
