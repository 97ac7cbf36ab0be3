"""The events of some sessions, or of all: a stream that is opened again when it is cut, and readings of the state.

What has happened while no stream was open is read from the state before anything of the new stream is told, so that
everything comes in order.  While a stream is open, the state is read at growing intervals, because servers leave
transitions out; what a reading tells is given a moment, in which its event may still come.  What is told, and that
it is told once, is the transcript's affair.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from backendai_sdk._async._due import due_or_changed
from backendai_sdk._async._event_stream import read_events
from backendai_sdk._async._states import pages_of, read_ended, read_live, read_states
from backendai_sdk._deadline import clamp, without_deadline
from backendai_sdk._log import logger
from backendai_sdk._wire.transcript import STATE_FIELDS, State, Transcript
from backendai_sdk.errors import (
    BackendAIError,
    RateLimited,
    ServerError,
    SessionNotFound,
    StreamInterrupted,
    TransportError,
)
from backendai_sdk.models.event import SessionEvent
from backendai_sdk.polling import PollPlan

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["EventFeed"]

log = logger("events")

# Of a stream that is cut and cannot be opened again: half a minute and more in all, as long as a server restarts.
_MAX_REOPENINGS = 8
_SLOWEST_REOPENING = 10.0
# A stream that was open for so long was no failure, whatever has ended it.
_STEADY = 5.0
# How long an event may take to come after the state that it tells of.
_EVENT_DELAY = 1.0
_FIRST_POLL = 2.0
# How far the server's clock may be from what is known of it.
_CLOCK_ERROR = timedelta(seconds=60)
# Events that wait for whoever reads; beyond, the stream is not read on, and the server feels it.
_WAITING = 1024
_ALL = "*"
_PASSING = (TransportError, ServerError, RateLimited)


class EventFeed:
    """Events, in a queue.

    Args:
        ids: the sessions; ``None`` for all that the key may see.
        wanted: which events to tell; ``None`` for all.
    """

    def __init__(
        self, client: Client, ids: Sequence[str] | None, wanted: Callable[[SessionEvent], bool] | None
    ) -> None:
        self._client = client
        self._ids = None if ids is None else frozenset(ids)
        self._wanted = wanted
        self._transcript = Transcript()
        self._plan = PollPlan(first=_FIRST_POLL)
        # Whose state counts whatever events may be under way: from when on.
        self._urgent: dict[str, float] = {}
        self._found = False
        self._left = set(ids or ())
        self._gaps = 0
        # The last moment, by the server's clock, at which the stream is known to have been heard.
        self._heard_at: datetime | None = None
        self._open_since: float | None = None
        self._held: list[SessionEvent] | None = None
        self._out: deque[SessionEvent] = deque()
        # After those in the queue nothing comes any more: all sessions have ended, or it went wrong.
        self._over = False
        self._error: Exception | None = None
        self._news, self._changed = asyncio.Event(), asyncio.Event()
        # What the reader of the stream waits for while the queue is full.
        self._room: asyncio.Event | None = None
        self._opened = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Wait until the server has accepted the stream and the state was read: from here on nothing is missed.

        Raises:
            SessionNotFound: there is no session of one of the ids.
            BackendAIError: the stream cannot be opened.
        """
        reader = self._spawn(self._listen(), "stream")
        opened = asyncio.ensure_future(self._opened.wait())
        try:
            # A deadline() is kept by those who wait; the tasks have the limit of silence.
            await asyncio.wait([opened, reader], timeout=clamp(None), return_when=asyncio.FIRST_COMPLETED)
            clamp(None)
            if not self._opened.is_set() and self._error is not None:
                raise self._error
            try:
                await self._look_at_all()
            except _PASSING as exc:
                log.debug("cannot read the state yet: %s", exc)
        except BaseException:
            await self.stop()
            raise
        finally:
            opened.cancel()
        for key in [_ALL] if self._ids is None else self._ids:
            self._plan.add(key, time.monotonic(), delay=_FIRST_POLL if self._found else 0.0)
        self._spawn(self._keep(), "polls")

    def take(self) -> SessionEvent | None:
        """The next event, if it is here already: events come in bursts, and most need not be waited for."""
        if not self._out:
            return None
        event = self._out.popleft()
        if self._room is not None and len(self._out) < _WAITING:
            self._room.set()
            self._room = None
        return event

    async def next(self) -> SessionEvent | None:
        """The next event; ``None`` once all sessions have ended.

        Raises:
            StreamInterrupted: the stream was cut and cannot be opened again.
        """
        while (event := self.take()) is None:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        return event

    async def stop(self) -> None:
        """Close the stream, and wait for that."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except Exception as exc:  # noqa: BLE001 - whoever reads must learn of it, or would wait for ever
                self._end(exc)

        task = asyncio.get_running_loop().create_task(
            guarded(), name=f"backendai-sdk-events-{what}", context=without_deadline()
        )
        # Cancelled before its first step, the task has never begun to await the work.
        task.add_done_callback(lambda _: work.close())
        self._tasks.append(task)
        return task

    # --- what comes over the stream ---------------------------------------------------------------------

    async def _listen(self) -> None:
        failures = 0
        only = next(iter(self._ids)) if self._ids is not None and len(self._ids) == 1 else None
        while True:
            self._open_since = None
            try:
                first = not self._opened.is_set()
                stream = read_events(self._client, on_open=self._on_open, session_id=only, repeat=first)
                async with aclosing(stream) as batches:
                    async for events in batches:
                        failures = 0
                        for event in events:
                            self._hear(event)
                        if len(self._out) >= _WAITING:
                            self._room = asyncio.Event()
                            await self._room.wait()
                cut: BackendAIError = StreamInterrupted("the server ended the event stream")
            except BackendAIError as exc:
                if not self._opened.is_set():
                    raise
                cut = exc
            self._mark_cut()
            steady = self._open_since is not None and time.monotonic() - self._open_since >= _STEADY
            failures = 1 if steady else failures + 1
            if failures > _MAX_REOPENINGS:
                raise StreamInterrupted(
                    f"the event stream was cut and cannot be opened again: {cut}",
                    method="GET",
                    path="/events/session",
                    attempts=[cut],
                ) from cut
            log.debug("the event stream was cut (%s); opening it again", cut)
            await asyncio.sleep(min(0.2 * 2**failures, _SLOWEST_REOPENING))

    def _mark_cut(self) -> None:
        """A stream that was open is open no more; it may have been silent before that was found out."""
        if self._held is None and self._open_since is not None:
            self._heard_at = self._long_ago()

    def _long_ago(self) -> datetime:
        """A moment, by the server's clock, at which a stream that is cut now was still heard."""
        silence = self._client.config.timeouts.silence or 0.0
        return self._client.now() - timedelta(seconds=silence) - _CLOCK_ERROR

    def _on_open(self) -> None:
        self._open_since = time.monotonic()
        if self._opened.is_set():
            self._gaps += 1
            self._held = self._held or []
            self._changed.set()
        self._opened.set()

    def _hear(self, event: SessionEvent) -> None:
        session_id = event.session_id
        if self._ids is not None and session_id not in self._ids:
            return
        if self._held is not None:
            self._held.append(event)
            return
        if told := self._transcript.hear(event):
            self._tell(told)
        if session_id in self._transcript.doubtful:
            self._read_soon(session_id)
        elif event.name in {"kernel_terminated", "kernel_cancelled"}:
            # Some releases say no more than this when a session ends.
            self._read_soon(session_id, delay=_EVENT_DELAY)

    def _read_soon(self, session_id: str, *, delay: float = 0.0) -> None:
        if self._transcript.ended(session_id):
            return
        now = time.monotonic()
        self._urgent[session_id] = min(self._urgent.get(session_id, now + delay), now + delay)
        self._plan.add(session_id, now, delay=delay)
        self._plan.hint(session_id, now, delay=delay)
        self._changed.set()

    def _tell(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            if not self._over and (self._wanted is None or self._wanted(event)):
                self._out.append(event)
            if event.is_final:
                self._urgent.pop(event.session_id, None)
                self._plan.discard(event.session_id)
                if self._ids is not None:
                    self._left.discard(event.session_id)
                    if not self._left:
                        self._end(None)
        if not self._news.is_set():
            self._news.set()

    def _end(self, error: Exception | None) -> None:
        """Say that nothing more comes, and why; what is said first counts."""
        if not self._over:
            self._over, self._error = True, error
        self._news.set()

    # --- what the state tells ---------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self._until_due()
            try:
                if self._held is not None:
                    await self._close_gap()
                else:
                    await self._look(self._plan.take(time.monotonic()))
            except _PASSING as exc:
                log.debug("cannot read the state: %s", exc)

    async def _until_due(self) -> None:
        while self._held is None and not await due_or_changed(self._plan, self._changed):
            pass

    async def _close_gap(self) -> None:
        """Tell what has happened while no stream was open, and then what the new one has brought since."""
        try:
            while True:
                gaps = self._gaps
                await self._look_at_all()
                if gaps == self._gaps:
                    break
        except _PASSING:
            self._plan.hint_all(time.monotonic() + _EVENT_DELAY)
            raise
        finally:
            # If the state cannot be read, what comes must be told all the same; polls go on trying.
            held, self._held = self._held or [], None
            for event in held:
                self._hear(event)

    async def _look_at_all(self) -> None:
        """Read the state of every session."""
        if self._ids is not None:
            await self._look_by_id(sorted(self._left), at_once=True)
        else:
            await self._look_at_live(at_once=True)
            await self._look_at_ended()
        self._found = True

    async def _look(self, keys: Sequence[str]) -> None:
        """Read the state of those that are due."""
        if not self._found:
            await self._look_at_all()
            return
        if _ALL in keys:
            await self._look_at_live(at_once=False)
        await self._look_by_id([key for key in keys if key != _ALL], at_once=False)

    async def _look_at_live(self, *, at_once: bool) -> None:
        asked = self._transcript.begin()
        before = set(self._transcript.live)
        async for row in read_live(self._client, STATE_FIELDS):
            before.discard(row.id)
            self._take(State.of(row), asked, at_once=at_once)
        self._plan.extra = len(self._transcript.live)
        # Those that are not listed any more have ended.
        await self._look_by_id(sorted(before.intersection(self._transcript.live)), at_once=at_once)

    async def _look_at_ended(self) -> None:
        """Find those that nobody has heard of, because they began and ended in the gap."""
        asked = self._transcript.begin()
        async for row in read_ended(self._client, STATE_FIELDS, since=self._heard_at or self._long_ago()):
            if self._found:
                self._take(State.of(row), asked, at_once=True)
            else:
                self._transcript.pass_over(row.id)

    async def _look_by_id(self, ids: Sequence[str], *, at_once: bool) -> None:
        for page in pages_of(ids):
            asked = self._transcript.begin()
            rows = await read_states(self._client, page, STATE_FIELDS)
            for session_id in page:
                if (row := rows.get(session_id)) is not None:
                    self._take(State.of(row), asked, at_once=at_once)
                elif self._ids is not None:
                    raise SessionNotFound(
                        f"there is no session {session_id}, or this key may not see it", status=404
                    )

    def _take(self, state: State, asked: int, *, at_once: bool) -> None:
        counts = at_once or self._urgent.get(state.id, math.inf) <= time.monotonic()
        if not counts and self._transcript.behind(state):
            self._read_soon(state.id, delay=_EVENT_DELAY)
            return
        self._urgent.pop(state.id, None)
        if self._ids is None and state.id not in self._transcript.doubtful:
            self._plan.discard(state.id)
        self._tell(self._transcript.read(state, asked, find=self._ids is not None or not self._found))
        if state.id in self._transcript.doubtful:
            self._read_soon(state.id, delay=0.5)
