"""The cluster's own idea of the time, which a test may set wrong or move on.

Assumes that everything the server says about time (record times, the `Date` header, the check of a request's date)
and every long wait of it (idle sessions, start times, time limits, the rate limit's window) goes through one `Clock`.

Two things may differ from the real time, and mean different things. `offset`: the clock is wrong, and shows it to
clients, whose requests it holds against it. `advance()`: time has passed, for the cluster alone; what clients see and
sign is as before, because their own clocks have not moved.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Clock"]

_LIMIT: Final = 10.0


class Clock:
    """Real time plus `offset`, plus what it was advanced by."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._advanced = 0.0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits: set[asyncio.Timeout] = set()

    def __repr__(self) -> str:
        return f"Clock(offset={self._offset!r}, advanced={self._advanced:g})"

    @property
    def offset(self) -> timedelta:
        """How wrong the clock is. May be set from any thread, at any time."""
        return self._offset

    @offset.setter
    def offset(self, offset: timedelta) -> None:
        if not isinstance(offset, timedelta):
            raise TypeError(f"offset={offset!r}: a timedelta is expected")
        self._offset = offset

    def advance(self, seconds: float) -> None:
        """Let time pass: what the cluster waits for comes so much sooner. From any thread.

        Sessions, records and limits see it; the `Date` header and the check of requests' dates do not, and code in
        sessions goes on in real time.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds={seconds!r}: a number is expected")
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"seconds={seconds!r}: at least 0 is expected, for time does not run back")
        with self._lock:
            loop = self._loop
            if loop is None:
                self._advanced += seconds
                return
        # On the loop, so that nobody there sees the time passed but its waits not shortened.
        passed = threading.Event()
        loop.call_soon_threadsafe(self._pass, seconds, passed)
        passed.wait(_LIMIT)

    def now(self) -> datetime:
        """The present moment as this server records it, aware, in UTC."""
        return self.shown() + timedelta(seconds=self._advanced)

    def shown(self) -> datetime:
        """What the server tells its clients the time is, and expects of their requests."""
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        """Seconds since some moment, for waits; `offset` does not change it."""
        return time.monotonic() + self._advanced

    # --- waiting, on the cluster's loop -----------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Which loop waits by this clock."""
        with self._lock:
            self._loop = loop

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        """`asyncio.timeout()`, by this clock."""
        async with asyncio.timeout(seconds) as limit:
            self._waits.add(limit)
            try:
                yield
            finally:
                self._waits.discard(limit)

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep()`, by this clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with self.timeout(seconds):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            pass

    def _pass(self, seconds: float, passed: threading.Event) -> None:
        self._advanced += seconds
        for limit in tuple(self._waits):
            when = limit.when()
            if when is not None and not limit.expired():
                limit.reschedule(when - seconds)
        passed.set()
