"""The door that requests wait at: as many at once as the server has shown that it bears.

The window itself is :class:`~backendai_sdk.limiter.Limiter`; here is only the waiting, first come, first served.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from backendai_sdk._deadline import clamp
from backendai_sdk.limiter import Limiter

__all__ = ["Gate"]

# Runs hold a request for seconds at a time, so hundreds at once are ordinary.
_START = 100
_MAX = 1000


class Gate:
    """Bounds the requests under way of one client session."""

    def __init__(self) -> None:
        self.limiter = Limiter(start=_START, max=_MAX)
        self._waiting: deque[asyncio.Future[int]] = deque()

    def place(self) -> _Place:
        """A block that waits for a place and holds it; gives the ticket for ``limiter.on_throttle``.

        Raises:
            DeadlineExceeded: no place became free within an enclosing ``deadline()``.
        """
        return _Place(self)

    def _enter_now(self) -> int | None:
        return self.limiter.acquire() if not self._waiting and self.limiter.acquire_allowed() else None

    async def _enter(self) -> int:
        if (ticket := self._enter_now()) is not None:
            return ticket
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._leave()  # the place had been given to us already: hand it on
            raise

    def _leave(self) -> None:
        self.limiter.release()
        while self._waiting and self.limiter.acquire_allowed():
            turn = self._waiting.popleft()
            # One that was cancelled while it waited is done, and wants no place.
            if not turn.done():
                turn.set_result(self.limiter.acquire())


class _Place:
    """A place at the gate, for a block.  A class, because every request passes here, and most need not wait."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __aenter__(self) -> int:
        if (ticket := self._gate._enter_now()) is not None:
            return ticket
        try:
            async with asyncio.timeout(clamp(None)):
                return await self._gate._enter()
        except TimeoutError:
            clamp(None)
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gate._leave()
