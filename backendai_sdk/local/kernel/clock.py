"""What a session measures its time by: real time, unless whoever makes it gives another clock."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["Clock", "RealClock"]


class Clock(Protocol):
    """Time for waits."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """`asyncio.timeout()`, by this clock."""
        ...


class RealClock:
    """The machine's own time."""

    @staticmethod
    def monotonic() -> float:
        return time.monotonic()

    @staticmethod
    def timeout(seconds: float | None) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)
