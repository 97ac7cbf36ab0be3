"""A private daemon thread with an event loop of its own.

Assumes nothing about the caller's loop, if it has one: work is handed over and its result waited for with a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["LoopThread", "in_thread"]

T = TypeVar("T")
P = ParamSpec("P")


class _Workers(ThreadPoolExecutor):
    """Worker threads that still do their work when the interpreter exits, on the loop's own thread then.

    A cluster that nobody stopped is stopped at exit, and must sweep up its processes; the standard library's
    executors take no work any more by then.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with contextlib.suppress(RuntimeError):
            return super().submit(fn, *args, **kwargs)
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - an executor hands on whatever was raised
            future.set_exception(error)
        return future


class LoopThread:
    """Start it, hand it work, stop it."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._workers = _Workers(thread_name_prefix=name)
        self._loop.set_default_executor(self._workers)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._finish()

    def _finish(self) -> None:
        """Leave nothing behind: no task, no async generator, no worker thread, no open loop."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        # Not the loop's own way of shutting it down: that starts a thread, which the exiting interpreter refuses.
        self._workers.shutdown()
        asyncio.set_event_loop(None)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], limit: float) -> T:
        """The result of `work`, run over there; `TimeoutError` (and the work cancelled) after `limit` seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit)
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T], limit: float = 10.0) -> T:
        """The result of a plain function, called over there."""

        async def work() -> T:
            return function()

        return self.run(work(), limit)

    def stop(self, limit: float = 10.0) -> None:
        """End the thread. Idempotent."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(limit)


async def in_thread(function: Callable[[], T]) -> T:
    """Call a blocking function in a worker thread and see it through, cancelled or not."""
    work = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
