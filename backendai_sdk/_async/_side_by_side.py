"""Work on many things, a few at once: what is to be done is taken from an iterator only when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import TypeVar

__all__ = ["SIDE_BY_SIDE", "side_by_side"]

T = TypeVar("T")

# Requests of one transfer at once: more do not make agents faster, and each holds a block or two.
SIDE_BY_SIDE = 4


async def side_by_side(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], *, limit: int = SIDE_BY_SIDE
) -> None:
    """Do *work* for each item, at most *limit* at once; the first error stops the rest and is raised.

    Args:
        items: stepped in a thread, since it may look at the disk.
    """
    iterator = iter(items)
    stepping = asyncio.Lock()

    async def next_item() -> list[T]:
        async with stepping:
            return await asyncio.to_thread(lambda: list(islice(iterator, 1)))

    async def worker() -> None:
        while item := await next_item():
            await work(item[0])

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(limit):
                group.create_task(worker(), name=f"backendai-sdk-transfer-{number}")
    except BaseExceptionGroup as errors:
        error = _first(errors)
        raise error from error.__cause__


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
