"""Session and kernel events, from where they happen to whoever listens.

Assumes that publishing must never wait: each listener has a bounded queue, and one that does not keep up is
cut off (its stream ends), so that it knows it missed something.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from .faults.faults import Faults
from .faults.feed import EventFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from uuid import UUID

    from .records import KernelRecord, SessionRecord
    from .releases import Release

from contextlib import contextmanager

__all__ = ["Event", "EventHub", "Listener"]

_QUEUE: Final = 4096


@attrs.frozen
class Event:
    """One thing that happened to a session or to one of its kernels."""

    name: str
    session: SessionRecord
    reason: str = ""
    exit_code: int | None = None
    kernel: KernelRecord | None = None
    kernel_id: UUID | None = None  # some releases put one on session events as well

    @property
    def scope(self) -> str:
        return "session" if self.name.startswith("session_") else "kernel"

    def encode(self, release: Release) -> bytes:
        """The event as a server-sent event."""
        data: dict[str, Any] = {
            "reason": self.reason,
            "sessionName": self.session.event_name,
            "ownerAccessKey": self.session.access_key,
            "sessionId": str(self.session.id),
            "exitCode": self.exit_code if release.event_exit_codes else None,
        }
        if self.kernel is not None:
            data |= {
                "kernelId": str(self.kernel.id),
                "clusterRole": self.kernel.role,
                "clusterIdx": self.kernel.idx,
            }
        elif self.kernel_id is not None and release.event_kernel_id_on_session:
            data["kernelId"] = str(self.kernel_id)
        text = json.dumps(data, separators=(",", ":") if release.compact_json else None)
        return f"event: {self.name}\r\ndata: {text}\r\n\r\n".encode()


class Listener:
    """One open stream's end of the hub."""

    def __init__(self, wants: Callable[[Event], bool], limit: int) -> None:
        self._wants = wants
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.closed = False

    def offer(self, event: Event, release: Release) -> None:
        if self.closed or not self._wants(event):
            return
        if len(self._queue) >= self._limit:
            self.close()
            return
        self._queue.append(event.encode(release))
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def get(self, timeout: float) -> bytes | None:
        """What has queued up, joined; `None` when nothing came in time or the hub has closed."""
        if not self._queue and not self.closed:
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None
        self._wake.clear()
        if not self._queue:
            return None
        waiting = b"".join(self._queue)
        self._queue.clear()
        return waiting


class EventHub:
    """Everyone who listens now. There is no replay."""

    def __init__(self, release: Release, faults: Faults | None = None, *, queue_limit: int = _QUEUE) -> None:
        self._release = release
        self._feed = EventFeed(faults or Faults(), self._deliver)
        self._limit = queue_limit
        self._listeners: set[Listener] = set()
        self._closed = False

    def publish(self, event: Event) -> None:
        self._feed.publish(event)

    def _deliver(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener.offer(event, self._release)

    def listen(self, wants: Callable[[Event], bool]) -> AbstractContextManager[Listener]:
        """Subscribe for the length of a `with` block."""
        return self._listen(wants)

    @contextmanager
    def _listen(self, wants: Callable[[Event], bool]) -> Iterator[Listener]:
        listener = Listener(wants, self._limit)
        if self._closed:
            listener.close()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream, for good."""
        self._closed = True
        self._feed.close()
        self.disconnect()

    def disconnect(self) -> None:
        """End every stream that is open now."""
        for listener in tuple(self._listeners):
            listener.close()
