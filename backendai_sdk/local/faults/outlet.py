"""What the server has written and the network has not carried yet.

Assumes one consumer, the connection's link, which gives the time, sends what is due and asks again when told. Bytes
keep their order, and an end (`Ending`) comes after everything that was written before it.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .shape import Shape

__all__ = ["Ending", "Outlet"]


class Ending(Enum):
    """How a connection ends, or seems to."""

    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"


@attrs.define
class _Chunk:
    due: float
    data: memoryview
    shape: Shape


@attrs.define
class _End:
    due: float
    how: Ending


class Outlet:
    """A queue of bytes with the times at which they may go."""

    def __init__(self) -> None:
        self._queue: deque[_Chunk | _End] = deque()
        self._last_due = 0.0  # nothing overtakes
        self._free_at = 0.0  # when the line is free for the next piece
        self._paid = False  # whether the next piece has been waited for
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, data: bytes, shape: Shape, now: float) -> None:
        self._last_due = max(self._last_due, now + shape.delay())
        self._queue.append(_Chunk(self._last_due, memoryview(data), shape))
        self.size += len(data)

    def end(self, how: Ending, delay: float, now: float) -> None:
        self._last_due = max(self._last_due, now + delay)
        self._queue.append(_End(self._last_due, how))

    def clear(self) -> None:
        self._queue.clear()
        self.size = 0

    def take(self, now: float) -> bytes | Ending | float | None:
        """The next bytes, the end, the time to ask again, or nothing at all."""
        if not self._queue:
            return None
        head = self._queue[0]
        if head.due > now:
            return head.due
        if isinstance(head, _End):
            if self._free_at > now:
                return self._free_at
            self._queue.popleft()
            return head.how
        piece = head.shape.piece() or len(head.data)
        if not self._paid:
            cost = head.shape.cost(min(piece, len(head.data)))
            self._free_at = max(self._free_at, now) + cost
            self._paid = True
        if self._free_at > now:
            return self._free_at
        self._paid = False
        data, head.data = bytes(head.data[:piece]), head.data[piece:]
        self.size -= len(data)
        if not head.data:
            self._queue.popleft()
        return data
