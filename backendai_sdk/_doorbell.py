"""How other threads have functions called on a loop, in the order in which they ask.

As ``loop.call_soon_threadsafe``, at half its price, which every blocking call pays: no handle for each function, and
one read of the pipe instead of reads until there is an error.  Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable

__all__ = ["Doorbell"]


class Doorbell:
    """A pipe that wakes a loop, and what it is to call then.  Made before the loop runs, or on its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: deque[Callable[[], object]] = deque()
        self._ends: tuple[int, ...] = ()
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)
        loop.add_reader(self._ends[0], self._answer)

    def ring(self, function: Callable[[], object]) -> None:
        """Have *function* called, also if a signal interrupts this."""
        try:
            self._asked.append(function)
        finally:
            with contextlib.suppress(BlockingIOError):  # it is full of what wakes the loop anyway
                os.write(self._ends[1], b"\0")

    def _answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends[0], 4096)
        while self._asked:
            try:
                self._asked.popleft()()
            except Exception as error:  # noqa: BLE001 - the others have asked, too
                self._loop.call_exception_handler({"message": "a call cannot begin", "exception": error})

    def close(self) -> None:
        """Call nothing any more; on the loop's thread."""
        self._loop.remove_reader(self._ends[0])

    def __del__(self) -> None:
        # Not before: who rings too late must not write into what has got the pipe's number since.
        for end in self._ends:
            os.close(end)
