"""How many requests a key has made in the last fifteen minutes.

Assumes a rolling window per subject (an access key, or an address for anonymous requests), kept in memory.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WINDOW", "Budget", "RateLimiter"]

WINDOW: Final = 900


@attrs.frozen
class Budget:
    """What is left to a subject after a request."""

    limit: int
    used: int
    reset: int

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    def headers(self, *, with_reset: bool) -> dict[str, str]:
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.limit - self.used, 0)),
            "X-RateLimit-Window": str(WINDOW),
        }
        if with_reset:
            headers["X-RateLimit-Reset"] = str(self.reset)
        return headers


class RateLimiter:
    """Counts requests. `limit` may be changed while the server runs."""

    def __init__(
        self, limit: int, *, monotonic: Callable[[], float] = time.monotonic, anonymous_limit: int = 1000
    ) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self.anonymous_limit = anonymous_limit
        self._seen: dict[str, deque[float]] = {}

    def hit(self, subject: str, limit: int) -> Budget:
        """Count one request of `subject`."""
        now = self._monotonic()
        times = self._seen.setdefault(subject, deque(maxlen=limit + 1))
        if times.maxlen != limit + 1:
            times = self._seen[subject] = deque(times, maxlen=limit + 1)
        while times and times[0] <= now - WINDOW:
            times.popleft()
        times.append(now)
        reset = int(WINDOW - (now - times[0]))
        return Budget(limit, len(times), reset)

    @staticmethod
    def untouched(limit: int) -> Budget:
        """What a server answers where it does not count."""
        return Budget(limit, 0, WINDOW)
