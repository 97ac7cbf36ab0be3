"""A client session's side of the journal: what is to be written goes to a thread, many writes at a time.

A session is written down, and that is on the disk, before it is asked for.  What only tidies (its id, that it is
destroyed, was never made or is given up) is written in the order in which it happened, and nobody waits for it:
not even a cancelled task, and no event loop.  Without a journal all this does nothing.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from backendai_sdk._journal.entry import Entry
from backendai_sdk._journal.file import (
    JournalFile,
    Step,
    abandon,
    beat,
    entries,
    forget,
    forget_session,
    idle_owners,
    intend,
    leave,
    made,
    prune,
)
from backendai_sdk._journal.owner import BEAT, Owner, this_process
from backendai_sdk._log import logger
from backendai_sdk.config import Config
from backendai_sdk.errors import JournalError

__all__ = ["Ledger"]

log = logger("journal")

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class _Queue:
    """The writes of one process that wait for their turn; a forked child begins with an empty one."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.waiting: list[tuple[Step, Future[object]]] = []
        self.writing = False
        self.last: Future[object] | None = None


class Ledger:
    """Writes down the sessions of one client session, in the name of this process."""

    def __init__(self, config: Config | None, spawn: Spawn) -> None:
        self._file = None if config is None or config.journal is None else JournalFile(config.journal)
        self._endpoint = "" if config is None else ",".join(config.endpoint)
        self._account = "" if config is None else config.access_key or config.username
        self._spawn = spawn
        self._queue = _Queue()
        self._heart: asyncio.Task[None] | None = None

    @property
    def is_kept(self) -> bool:
        """Whether there is a journal."""
        return self._file is not None

    @property
    def advice(self) -> str:
        """What the log says besides when a session was left behind."""
        return "; the journal has it, reap() will destroy it" if self.is_kept else ""

    # --- what is waited for -----------------------------------------------------------------------------

    async def intend(self, name: str, *, access_key: str, asked_at: datetime) -> str:
        """Write down that a session of that name is about to be asked for; what its entry is called.

        Raises:
            JournalError: it could not be written: the session must not be asked for.
        """
        if self._file is None:
            return ""
        self._beat()
        entry = Entry(
            endpoint=self._endpoint,
            account=self._account,
            access_key=access_key,
            name=name,
            asked_at=asked_at.timestamp(),
            owner=this_process(),
        )
        write = self._write(intend(entry, now=time.time()))
        try:
            await asyncio.wrap_future(write)
        except JournalError as exc:
            exc.args = (f"{exc}. No session was asked for",)
            raise
        except asyncio.CancelledError:
            self.forget(entry.key)
            raise
        return entry.key

    async def release(self, session_id: str) -> None:
        """That session is to outlive this process.

        Raises:
            JournalError: it could not be written: the session still ends with this process.
        """
        if self._file is not None:
            await asyncio.wrap_future(self._write(forget_session(session_id)))

    async def read(self) -> list[Entry]:
        """What is written down about the servers and the account of this client session, the oldest first.

        Raises:
            JournalError: it cannot be read.
        """
        if self._file is None:
            return []
        found = await asyncio.wrap_future(self._write(entries()))
        assert isinstance(found, list)  # noqa: S101 - what the step returns
        return [e for e in found if e.is_of(tuple(self._endpoint.split(",")), self._account)]

    async def idle_owners(self) -> list[Owner]:
        """The owners that own nothing (any more)."""
        if self._file is None:
            return []
        found = await asyncio.wrap_future(self._write(idle_owners()))
        assert isinstance(found, list)  # noqa: S101 - what the step returns
        return found

    # --- what only tidies -------------------------------------------------------------------------------

    def made(self, key: str, session_id: str) -> None:
        """The session of that entry has that id. Until that is written, its name will find it."""
        if key:
            self._tidy(made(key, session_id))

    def forget(self, key: str) -> None:
        """Nothing came, or will come, of that entry."""
        if key:
            self._tidy(forget(key))

    def forget_session(self, session_id: str) -> None:
        """That session is gone or going."""
        self._tidy(forget_session(session_id))

    def abandon(self, *, key: str = "", session_id: str = "") -> None:
        """This process holds that session no more, and it may live: whoever reaps may destroy it."""
        if key or session_id:
            self._tidy(abandon(key=key, session_id=session_id))

    def forget_owners(self, dead: Collection[Owner]) -> None:
        """These own nothing any more, as far as they are dead."""
        if dead:
            self._tidy(prune(dead))

    async def flush(self) -> None:
        """Wait until all of it is written."""
        if self._queue.last is not None and self._queue.pid == os.getpid():
            await asyncio.wait([asyncio.wrap_future(self._queue.last)])

    async def close(self) -> None:
        """Wait until all of it is written; an owner that owns nothing leaves no trace."""
        if self._queue.last is not None and self._queue.pid == os.getpid():
            self._tidy(leave(this_process()))
            await self.flush()

    # --- inside -----------------------------------------------------------------------------------------

    def _tidy(self, step: Step) -> None:
        if self._file is not None:
            self._write(step).add_done_callback(_seen)

    def _write(self, step: Step) -> Future[object]:
        """Have the step done in a thread, after all that came before it, together with what comes meanwhile."""
        if self._queue.pid != os.getpid():
            self._queue = _Queue()
        queue, done = self._queue, Future[object]()
        done.set_running_or_notify_cancel()  # it cannot be cancelled: who waits for it may be
        with queue.lock:
            queue.waiting.append((step, done))
            queue.last = done
            begin, queue.writing = not queue.writing, True
        if begin:
            try:
                asyncio.get_running_loop().run_in_executor(None, self._work, queue)
            except RuntimeError as exc:
                # No thread is to be had any more: the interpreter exits.
                self._fail(queue, JournalError(f"the journal cannot be written any more: {exc}"))
        return done

    def _work(self, queue: _Queue) -> None:
        """Write until nothing waits; runs in a thread, one at a time."""
        assert self._file is not None  # noqa: S101 - the callers have looked
        while True:
            with queue.lock:
                batch, queue.waiting = queue.waiting, []
                if not batch:
                    queue.writing = False
                    return
            try:
                results = self._file.do([step for step, _ in batch])
            except BaseException as exc:  # noqa: BLE001 - it is for those who wait
                for _, done in batch:
                    done.set_exception(_copy(exc))
            else:
                for (_, done), result in zip(batch, results, strict=True):
                    done.set_result(result)

    def _fail(self, queue: _Queue, exc: JournalError) -> None:
        with queue.lock:
            batch, queue.waiting, queue.writing = queue.waiting, [], False
        for _, done in batch:
            done.set_exception(_copy(exc))

    def _beat(self) -> None:
        """See to it that others hear of this process from time to time."""
        # A task of a loop that is gone, as after a second asyncio.run(), beats no more.
        heart = self._heart
        if heart is None or heart.done() or heart.get_loop() is not asyncio.get_running_loop():
            self._heart = self._spawn(self._beat_on())

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._tidy(beat(this_process(), now=time.time()))


def _copy(exc: BaseException) -> BaseException:
    """An error for each who waits: one object raised in many tasks would collect all their tracebacks."""
    if not isinstance(exc, JournalError):
        return exc
    copy = JournalError(*exc.args)
    copy.__cause__ = exc.__cause__
    return copy


def _seen(done: Future[object]) -> None:
    if (exc := done.exception()) is not None:
        log.warning("the journal is not up to date; reap() will find out: %s", exc)
