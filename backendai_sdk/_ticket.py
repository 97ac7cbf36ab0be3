"""One blocking call, as the loop sees it: a coroutine to run, and a thread to wake when that is over."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from backendai_sdk._caller import CALLER

if TYPE_CHECKING:
    from backendai_sdk._inbox import Inbox, Job

__all__ = ["Ticket"]

T = TypeVar("T")


class Life(Protocol):
    """What a call needs to know of its portal."""

    _tasks: set[asyncio.Task[Any]]
    _stopped: bool


class Ticket(Generic[T]):
    """One blocking call: its coroutine, and how far that is.  All methods run on the loop."""

    __slots__ = ("_context", "_coro", "_inbox", "_portal", "done", "error", "job", "result", "task")

    def __init__(self, portal: Life, coro: Coroutine[Any, Any, T], inbox: Inbox) -> None:
        self._portal = portal
        self._coro = coro
        self._context = contextvars.copy_context()
        self._context.run(CALLER.set, inbox.caller)
        self._inbox = inbox
        self.task: asyncio.Task[None] | None = None
        self.job: Job | None = None
        self.done = False
        self.result: T
        self.error: BaseException | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run(), context=self._context)
        self._portal._tasks.add(self.task)  # the loop itself holds tasks weakly
        self.task.add_done_callback(self._never_ran)

    async def _run(self) -> None:
        """Run the coroutine, and wake the caller at its very end: a task's callbacks would be a turn later."""
        task = cast("asyncio.Task[None]", self.task)
        task.remove_done_callback(self._never_ran)
        try:
            self.result = await self._coro
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self.error = error
        finally:
            self._portal._tasks.discard(task)
            self._wake()

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        """The task was cancelled before its first step, so that nothing in it has run."""
        self._portal._tasks.discard(task)
        self._coro.close()
        self.error = asyncio.CancelledError()
        self._wake()

    def _wake(self) -> None:
        if self._portal._stopped:
            return  # only daemon threads still wait, and an error there would be noise
        self.done = True
        self._inbox.put(None)

    def cancel(self) -> None:
        if self.task is None:  # interrupted before it was sent
            self._coro.close()
            self._wake()
        else:
            self.task.cancel()
        self.abandon()  # after the task, which must see one cancellation, not two

    def abandon(self) -> None:
        """Give up the callback that was interrupted, so that nothing waits for its answer."""
        if self.job is not None:
            self.job.reply.cancel()
