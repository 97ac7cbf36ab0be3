"""One event stream and shared polls for all who wait in a client session.

Servers deliver events of everything that the key may see, send no snapshot and no replay, and leave out
transitions (PROTOCOL §5.1, §9.28).  So an event only hints that a session's state should be read, and the state
is read in pages of many sessions; what no event hints at is read at growing intervals.  Stream and polls live
while somebody waits.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from backendai_sdk._async._due import due_or_changed
from backendai_sdk._async._event_stream import read_events
from backendai_sdk._async._states import pages_of, read_states
from backendai_sdk._deadline import without_deadline
from backendai_sdk._log import logger
from backendai_sdk.errors import (
    BackendAIError,
    ClientClosed,
    RateLimited,
    ServerError,
    SessionNotFound,
    TransportError,
)
from backendai_sdk.models.event import SessionEvent
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.polling import PollPlan

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["Follower", "Informer"]

log = logger("events")

_FIELDS = ("id", "name", "status", "status_info", "result", "type")
_REOPEN_DELAY = 1.0
_SLOWEST_REOPEN = 30.0
# Pages that are read at the same time.
_AT_ONCE = 4


class Follower:
    """Follows one session's state for one waiter."""

    def __init__(self, informer: Informer, session_id: str) -> None:
        self._informer = informer
        self._id = session_id
        self._news = asyncio.Event()
        self._row: SessionInfo | None = None
        self._error: BaseException | None = None
        self.exit_code: int | None = None
        """Of a batch session's command: the one thing that only an event tells."""

    async def next(self, limit: float | None = None) -> SessionInfo | None:
        """Wait for the next reading of the state; ``None`` if *limit* seconds go by without one.

        Raises:
            SessionNotFound: there is no such session, or this key may not see it.
            BackendAIError: the state cannot be read.
        """
        try:
            async with asyncio.timeout(None if limit is None else max(limit, 0.0)):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        if self._error is not None:
            raise self._error
        return self._row

    def ask(self) -> None:
        """Have the state read at once."""
        self._informer.hint(self._id)

    def tell(self, row: SessionInfo) -> None:
        """The state was read."""
        self._row = row
        self._news.set()

    def fail(self, error: Exception) -> None:
        """The state cannot be read."""
        # Each waiter raises its own: what one adds to it is not the others' affair.
        self._error = copy.copy(error).with_traceback(error.__traceback__)
        self._error.__cause__ = error.__cause__
        self._news.set()

    @property
    def has_read(self) -> bool:
        """Whether there was a reading."""
        return self._row is not None


class Informer:
    """Tells all waiters of a client session the states of their sessions."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._followers: dict[str, set[Follower]] = {}
        self._plan = PollPlan()
        self._changed = asyncio.Event()
        self._reading: set[str] = set()
        self._again: set[str] = set()
        self._read_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @contextmanager
    def follow(self, session_id: str) -> Iterator[Follower]:
        """For the length of the block, the follower is told every reading of that session's state."""
        follower = Follower(self, session_id)
        # A task of a loop that is gone, as after a second asyncio.run(), reads no more.
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._begin()
        self._followers.setdefault(session_id, set()).add(follower)
        self._plan.add(session_id, time.monotonic())
        self.hint(session_id)
        try:
            yield follower
        finally:
            followers = self._followers.get(session_id, set())
            followers.discard(follower)
            if not followers:
                self._followers.pop(session_id, None)
                self._plan.discard(session_id)
            if not self._followers:
                self._end()

    def hint(self, session_id: str) -> None:
        """The state of that session should be read."""
        if session_id in self._reading:
            self._again.add(session_id)  # what is under way may have been asked too early
        self._plan.hint(session_id, time.monotonic())
        self._changed.set()

    async def close(self) -> None:
        """End the stream and the polls; whoever still waits is told so."""
        self._end()
        self._fail_all(ClientClosed("this session object was closed while its sessions were waited for"))
        loop = asyncio.get_running_loop()
        if here := [task for task in self._ending if task.get_loop() is loop]:
            await asyncio.wait(here)

    def _begin(self) -> None:
        self._followers.clear()
        self._plan = PollPlan()
        self._changed = asyncio.Event()
        self._reading, self._again = set(), set()
        # Shared by all who wait: no one's deadline() may end it.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="backendai-sdk-informer", context=without_deadline()
        )

    def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception as exc:  # a mistake of ours: no one may wait for ever because of it
            self._fail_all(exc)
            raise

    def _fail_all(self, error: Exception) -> None:
        for followers in self._followers.values():
            for follower in followers:
                follower.fail(error)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="backendai-sdk-informer-events")
            places = asyncio.Semaphore(_AT_ONCE)
            while True:
                await self._until_due()
                self._changed.clear()
                await places.acquire()
                due = [key for key in self._plan.take(time.monotonic()) if key not in self._reading]
                pages = pages_of(due)
                if not pages:
                    places.release()
                for number, page in enumerate(pages):
                    if number:
                        await places.acquire()
                    self._reading.update(page)
                    task = group.create_task(self._read(page), name="backendai-sdk-informer-poll")
                    task.add_done_callback(lambda _: places.release())

    async def _until_due(self) -> None:
        """Wait until a session is due; those who begin to wait at the same moment are all there then."""
        while not await due_or_changed(self._plan, self._changed):
            pass

    async def _read(self, ids: Sequence[str]) -> None:
        try:
            rows = await read_states(self._client, ids, _FIELDS)
        except Exception as exc:  # noqa: BLE001 - it is the waiters who must learn of it
            self._fail(ids, exc)
        else:
            self._read_at = time.monotonic()
            for session_id in ids:
                self._tell(session_id, rows.get(session_id))
        finally:
            self._reading.difference_update(ids)
            for session_id in self._again.intersection(ids):
                self._again.discard(session_id)
                self.hint(session_id)

    def _tell(self, session_id: str, row: SessionInfo | None) -> None:
        for follower in self._followers.get(session_id, ()):
            if row is not None:
                follower.tell(row)
            else:
                follower.fail(
                    SessionNotFound(
                        f"there is no session {session_id}, or this key may not see it", status=404
                    )
                )

    def _fail(self, ids: Sequence[str], error: Exception) -> None:
        """Tell those who wait; who has been told a state before can bear a server that is away for a while."""
        silence = self._client.config.timeouts.silence
        passing = isinstance(error, TransportError | ServerError | RateLimited) and (
            silence is None or time.monotonic() - self._read_at < silence
        )
        log.debug("cannot read the state of %d sessions: %s", len(ids), error)
        for session_id in ids:
            for follower in self._followers.get(session_id, ()):
                if not (passing and follower.has_read):
                    follower.fail(error)

    # --- events -----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Read the stream, open it again when it ends; after each opening every state is read once."""
        delay = _REOPEN_DELAY
        while True:
            try:
                async with aclosing(read_events(self._client, on_open=self._opened)) as stream:
                    async for events in stream:
                        delay = _REOPEN_DELAY
                        for event in events:
                            self._hear(event)
            except BackendAIError as exc:
                log.debug("the event stream ended: %s; polling goes on", exc)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _SLOWEST_REOPEN)

    def _opened(self) -> None:
        for session_id in self._followers:
            self.hint(session_id)

    def _hear(self, event: SessionEvent) -> None:
        if (followers := self._followers.get(event.session_id)) is None:
            return
        if event.name in {"session_success", "session_failure"}:
            for follower in followers:
                follower.exit_code = event.exit_code
        self.hint(event.session_id)
