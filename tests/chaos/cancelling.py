"""Cancels a coroutine at its first suspension, then at its second, and so on: every moment at which a task can be cancelled.

A cancellation arrives where the coroutine waits.  *Early*, before what it waits for has happened; *late*, when that has
happened, but the coroutine has not gone on yet: whoever only looks at the exception takes it for lost then.  *Twice*
adds a second cancellation at the next suspension, which is where the clean-up of the first one waits.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs

How = Literal["early", "late", "twice"]
WAYS: tuple[How, ...] = ("early", "late", "twice")


@attrs.define
class Attempt:
    """One go at a coroutine.

    Attributes:
        number: at which suspension it was to be cancelled, from 1.
        reached: whether it got there; else it has run to its end undisturbed.
        value: what it returned then.
    """

    number: int
    reached: bool = False
    value: Any = None


async def attempt(coroutine: Coroutine[Any, Any, Any], number: int, how: How) -> Attempt:
    """Run it in a task of its own, and cancel that at suspension *number*."""
    made = Attempt(number)

    async def run() -> Any:
        return await _stepped(coroutine, made, how)

    task = asyncio.create_task(run(), name=f"cancelled at {number}")
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    if made.reached:
        assert isinstance(ended, asyncio.CancelledError), f"suspension {number}, {how}: {ended!r} instead"
    elif isinstance(ended, BaseException):
        raise ended
    made.value = ended
    return made


@types.coroutine
def _stepped(coroutine: Coroutine[Any, Any, Any], made: Attempt, how: How) -> Generator[Any, Any, Any]:
    task = asyncio.current_task()
    assert task is not None
    count, error = 0, None
    while True:
        try:
            waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            return stop.value
        count += 1
        if count == made.number or (how == "twice" and count == made.number + 1):
            made.reached = True
            if how != "late":
                task.cancel()
            elif waits_for is None:
                asyncio.get_running_loop().call_soon(task.cancel)
            else:
                # Before the task's own callback, so that the task learns of both at once.
                waits_for.add_done_callback(lambda _: task.cancel())
        error = None
        try:
            yield waits_for
        except BaseException as exc:
            error = exc


async def everywhere(
    make: Callable[[], Coroutine[Any, Any, Any]],
    how: How,
    after: Callable[[Attempt], Awaitable[None]],
    *,
    most: int = 400,
) -> int:
    """Cancel what *make* makes at every suspension it has; how many those are.

    Args:
        after: called after each attempt, the last, undisturbed one included.
    """
    for number in range(1, most):
        made = await attempt(make(), number, how)
        await after(made)
        if not made.reached:
            return number - 1
    raise AssertionError(f"it has more than {most} suspensions")


def _open_files() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
    return {fd: name for fd, name in found.items() if not name.startswith(("/proc", "anon_inode"))}


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """After the block there are no more tasks, sockets, pipes and files than before it."""
    gc.collect()
    tasks, files = asyncio.all_tasks(), _open_files()
    yield
    ends_at = time.monotonic() + 10
    while True:
        gc.collect()
        new_tasks = asyncio.all_tasks() - tasks - {asyncio.current_task()}
        new_files = {fd: name for fd, name in _open_files().items() if files.get(fd) != name}
        if not new_tasks and len(_open_files()) <= len(files):
            return
        assert time.monotonic() < ends_at, f"left: {new_tasks} {new_files}"
        await asyncio.sleep(0.02)
