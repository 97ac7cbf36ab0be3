"""How many requests may be under way at once: a window that learns from the server.

Additive increase, multiplicative decrease, as TCP does it: each success widens the window a little, a
throttled request halves it.  No waiting and no clock in here; the transport waits, and feeds back what came.
Not for several threads at once: the transport's loop has it.
"""

from __future__ import annotations

from backendai_sdk.errors import InvalidArgument, UsageError

__all__ = ["Limiter"]


class Limiter:
    """A window for requests under way.

    ::

        if limiter.acquire_allowed():
            ticket = limiter.acquire()
            try:
                ...  # send
                limiter.on_success()  # or on_throttle(ticket)
            finally:
                limiter.release()

    Args:
        start: the window at first.
        max: the widest window.

    Raises:
        InvalidArgument: not ``1 <= start <= max``.
    """

    def __init__(self, start: int = 64, max: int = 256) -> None:
        if not 1 <= start <= max:
            raise InvalidArgument(
                f"start: {start!r} is not between 1 and max, which is {max!r}", argument="start"
            )
        self._window = float(start)
        self._max = max
        self._in_flight = 0
        self._tickets = 0
        # Tickets up to this one were handed out before the last cut.
        self._cut_at = 0

    @property
    def limit(self) -> int:
        """The window: how many requests may be under way, from 1 on."""
        return int(self._window)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return self._in_flight

    def acquire_allowed(self) -> bool:
        """Whether one more request may start now; counts nothing."""
        return self._in_flight + 1 <= self._window

    def acquire(self) -> int:
        """Count a request as under way and return its ticket, for :meth:`on_throttle`.

        Raises:
            UsageError: the window is full; ask :meth:`acquire_allowed` first.
        """
        if self._in_flight + 1 > self._window:
            raise UsageError(f"{self._in_flight} requests are under way, and the limit is {self.limit}")
        self._in_flight += 1
        self._tickets += 1
        return self._tickets

    def release(self) -> None:
        """Count a request as ended, however it ended.

        Raises:
            UsageError: none is under way.
        """
        if not self._in_flight:
            raise UsageError("release() without acquire()")
        self._in_flight -= 1

    def on_success(self) -> None:
        """A request was served: widen the window by one for each full window of successes.

        Call it before :meth:`release`.  A window that is not made use of does not grow: nothing was learnt.
        """
        if 2 * self._in_flight + 1 > self._window:
            self._window = min(self._window + 1.0 / self._window, float(self._max))

    def on_throttle(self, ticket: int | None = None) -> None:
        """A request was throttled: halve the window.

        Args:
            ticket: the request's, from :meth:`acquire`.  A burst is throttled as a whole: those of its requests
                that had started before the window was cut say nothing about the new one, and change nothing.
        """
        if ticket is not None and ticket <= self._cut_at:
            return
        self._cut_at = self._tickets
        self._window = max(self._window / 2.0, 1.0)

    def __repr__(self) -> str:
        return f"<Limiter {self._in_flight} in flight, limit {self.limit} of at most {self._max}>"
