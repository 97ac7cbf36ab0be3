"""Life-cycle events: of one session, as a stream that ends with it, or of many (PROTOCOL §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from backendai_sdk._async._event_feed import EventFeed
from backendai_sdk._async._find import find_one, is_uuid
from backendai_sdk._deadline import clamp
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import UsageError
from backendai_sdk.models.event import SessionEvent

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["AsyncEventStream"]


class AsyncEventStream:
    """The events of one session, or of many: a context manager, and inside it an iterator.

    Entering waits until the server has accepted the stream, so nothing that happens inside the block is
    missed.  A stream that the server cuts, or that is silent for ``timeouts.silence``, is opened again with a fresh
    signature; what happened meanwhile is read from the state, and comes in order as events that are marked
    ``recovered``.  No change of a session's status is told twice, nor one that a later event has overtaken.

    The iteration ends after the events that end the sessions; if the server tells of such an end in no event, one is
    made from the state.  That of all sessions goes on until the block is left.

    Raises:
        StreamInterrupted: it was cut and could not be opened again.
    """

    _handle: ClassVar[bool] = True

    def __init__(
        self,
        client: Client,
        sessions: Sequence[str] | None,
        *,
        statuses: Collection[SessionStatus] | None = None,
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._statuses = statuses
        self._feed: EventFeed | None = None
        self._entered = False
        self._ended = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("this event stream was entered before; call stream_events() or watch() again")
        self._entered = True
        feed = EventFeed(self._client, await self._ids(), None if self._statuses is None else self._wanted)
        await feed.start()
        self._feed = feed
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionEvent:
        if self._feed is None:
            raise UsageError(
                "enter the event stream first: async with cs.stream_events() as events, or async with api.watch()"
            )
        if self._ended:
            raise StopAsyncIteration
        left = clamp(None)
        if (ready := self._feed.take()) is not None:
            return ready
        try:
            async with asyncio.timeout(left):
                event = await self._feed.next()
        except TimeoutError:
            clamp(None)  # says so: nothing else bounds the waiting
            raise
        except BaseException as exc:
            if isinstance(exc, Exception):
                await self._stop()
            raise
        if event is None:
            await self._stop()
            raise StopAsyncIteration
        return event

    async def _ids(self) -> list[str] | None:
        """The ids, each once; what is a name is looked up."""
        if self._sessions is None:
            return None
        ids = [s if is_uuid(s) else (await find_one(self._client, s)).id for s in self._sessions]
        return list(dict.fromkeys(ids))

    def _wanted(self, event: SessionEvent) -> bool:
        return self._statuses is None or event.status in self._statuses

    async def _stop(self) -> None:
        self._ended = True
        if self._feed is not None:
            await self._feed.stop()
