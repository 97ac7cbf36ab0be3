"""One event stream of a server, opened once and read until it ends (PROTOCOL §5.1)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from backendai_sdk._wire.events import EventDecoder
from backendai_sdk._wire.request import Request
from backendai_sdk.models.event import SessionEvent

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["read_events"]


async def read_events(
    client: Client, *, on_open: Callable[[], None], session_id: str | None = None, repeat: bool = False
) -> AsyncGenerator[list[SessionEvent], None]:
    """Open one event stream and read it until the server ends it; events come as many together as have arrived.

    Args:
        on_open: called when the server has accepted the stream: nothing that happens later is missed.
        session_id: only this session's.
        repeat: try several times to open it, for those who do not themselves.
    """
    request = Request(
        method="GET",
        path="/events/session",
        params={"sessionId": session_id, "scope": "*"},
        accept="text/event-stream",
        idempotent=True,
    )
    decoder = EventDecoder(session_id=session_id)
    async with client.stream(request, repeat=repeat) as body:
        on_open()
        async for chunk in body:
            if events := decoder.feed(chunk):
                yield events
            if decoder.closed:
                return
