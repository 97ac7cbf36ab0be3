"""Shapes and small tools that several cores share: awaitable contexts, sure clean-up, callbacks.

None of them is public; they know nothing of sessions or servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from backendai_sdk._deadline import clamp, without_deadline
from backendai_sdk._log import logger
from backendai_sdk.errors import DeadlineExceeded

__all__ = ["AwaitableContext", "bounded", "finish", "maybe_await"]

log = logger("")

T = TypeVar("T")


class _Closing(Protocol):
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


C = TypeVar("C", bound=_Closing)


class AwaitableContext(Generic[C]):
    """Something that is made when it is awaited, or for the length of an ``async with`` block.

    ``x = await made`` keeps it; ``async with made as x`` ends it as ``x`` itself would be ended.
    Nothing happens before either.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, C]]) -> None:
        self._make = make
        self._made: C | None = None

    async def wait(self) -> C:
        """Make it, and keep it."""
        return await self._make()

    def __await__(self) -> Generator[Any, None, C]:
        return self._make().__await__()

    async def __aenter__(self) -> C:
        self._made = await self._make()
        return self._made

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._made is not None:
            await self._made.__aexit__(exc_type, exc, traceback)


async def bounded(work: Awaitable[T]) -> T:
    """Wait for *work* for as long as an enclosing ``deadline()`` lets; it is cancelled then.

    Outside of one it is just awaited: ``asyncio.timeout(None)`` costs more than many things that are awaited.

    Raises:
        DeadlineExceeded: the time is over.
    """
    try:
        limit = clamp(None)
    except DeadlineExceeded:
        if asyncio.iscoroutine(work):
            work.close()  # or Python would say that it was never awaited
        raise
    if limit is None:
        return await work
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError:
        clamp(None)
        raise


async def finish(work: Coroutine[Any, Any, T], *, timeout: float | None) -> T:
    """Run *work* to its end although the caller is cancelled, once or many times; bounded by *timeout*.

    A cancellation that came meanwhile is raised when the work is over.

    Raises:
        TimeoutError: the work took longer.
    """

    async def bounded() -> T:
        async with asyncio.timeout(timeout):
            return await work

    # A deadline() that is over must not keep the clean-up from being done.
    task = asyncio.get_running_loop().create_task(bounded(), context=without_deadline())
    # Cancelled before its first step (by a loop that shuts down), the task has never begun to await the work.
    task.add_done_callback(lambda _: work.close())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("clean-up failed: %s", error)
        raise cancelled
    return task.result()


async def maybe_await(value: Awaitable[T] | T) -> T:
    """The value itself, or what it is awaited to: callbacks may be plain functions or coroutines."""
    if isinstance(value, Awaitable):
        awaited: T = await value
        return awaited
    return value
