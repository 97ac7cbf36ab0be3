"""What the portal's loop thread sends to a thread that waits for it: callbacks to run, and wake-ups.

A callback that a user passes to a blocking method runs on the user's own thread, while that waits.  A thread
has one inbox, however deeply calls nest.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import sys
from typing import TYPE_CHECKING

from backendai_sdk._caller import Caller

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Inbox", "Job"]

# A wait without a time limit cannot be interrupted by Ctrl-C on Windows.
_POLL: float | None = 0.2 if sys.platform == "win32" else None


class Job:
    """One call of a user's callback: asked for on the loop, run on another thread."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self.reply: asyncio.Future[object] = self._loop.create_future()

    def run(self, catch: type[BaseException] = Exception) -> None:
        """Run it here.  What *catch* does not cover (Ctrl-C, ``sys.exit``) belongs to this thread."""
        if self.reply.done():
            return  # the core has stopped waiting for it
        try:
            value = self._function()
        except catch as error:  # it travels to the core
            self._loop.call_soon_threadsafe(self._settle, None, error)
        else:
            self._loop.call_soon_threadsafe(self._settle, value, None)

    def _settle(self, value: object, error: BaseException | None) -> None:
        if self.reply.done():
            return
        if isinstance(error, StopIteration):  # a future cannot carry it
            wrapped = RuntimeError("the callback raised StopIteration")
            wrapped.__cause__ = error
            error = wrapped
        if error is None:
            self.reply.set_result(value)
        else:
            self.reply.set_exception(error)

    def divert(self) -> None:
        """Run it in a worker thread (called on the loop): nobody waits where it was meant to run."""
        try:
            context = contextvars.copy_context()
            self._loop.run_in_executor(None, lambda: context.run(self.run, BaseException))
        except RuntimeError as error:  # the interpreter is exiting, there are no new workers
            self._settle(None, error)


class Inbox:
    """What the loop sends to one thread: callbacks to run, and ``None`` to make it look around.

    ``caller`` knows the calls in which the thread waits (a callback may call again).  Whoever sees that there
    are none empties the queue, so a job is never left where nobody looks.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.put = self._queue.put
        self.caller = Caller()

    def get(self) -> Job | None:
        try:
            return self._queue.get(timeout=_POLL)
        except queue.Empty:
            return None

    def drain(self) -> list[Job]:
        jobs: list[Job] = []
        if self._queue.empty():  # after nearly every call; to learn it from the exception would take longer
            return jobs
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._queue.get_nowait()
                if job is not None:
                    jobs.append(job)
        return jobs
