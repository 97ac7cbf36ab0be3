"""One time limit around many calls, attempts, polls and waits.

A deadline is kept in a context variable: it holds for everything that is called inside the block, in tasks
that are started there, and through the blocking façade's loop thread, which copies the context.  Nothing is
interrupted from here: whatever waits asks :func:`clamp` for how long it may, and :func:`clamp` raises once
the time is over.
"""

from __future__ import annotations

import math
import time
from contextvars import Context, ContextVar, Token, copy_context
from typing import TYPE_CHECKING, NamedTuple, Self

from backendai_sdk.errors import DeadlineExceeded, InvalidArgument, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["clamp", "deadline", "remaining", "without_deadline"]


# Event loops fire a timer up to one tick of the clock early; what was woken by it must find the time over.
_TICK = time.get_clock_info("monotonic").resolution


class _Limit(NamedTuple):
    ends: float  # on the monotonic clock, which all threads share
    seconds: float


_current: ContextVar[_Limit | None] = ContextVar("backendai_sdk.deadline", default=None)


class deadline:  # noqa: N801 - read as a statement: `with deadline(30):`
    """Bound everything inside the block: ``with deadline(30): …``, or ``async with``.

    The time runs from the entry of the block.  Of nested ones the earlier end counts.  Inside, a call that has
    no time left raises :class:`~backendai_sdk.errors.DeadlineExceeded`; leaving the block never raises.

    Args:
        seconds: how long, from 0 on.
        clock: the clock, in seconds; only to be replaced in tests.

    Raises:
        InvalidArgument: *seconds* is not a finite number from 0 on.
        UsageError: the same object was entered twice.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        given: object = seconds  # callers without a type checker give anything
        # The comparison is false for NaN, too.
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < math.inf:
            raise InvalidArgument(
                f"seconds: {seconds!r} is not a number of seconds from 0 on; without a limit, leave deadline() out",
                argument="seconds",
            )
        self.seconds = seconds
        self._clock = clock
        self._token: Token[_Limit | None] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise UsageError("this deadline is running already; make a new one with deadline(seconds)")
        mine = _Limit(self._clock() + self.seconds, self.seconds)
        outer = _current.get()
        self._token = _current.set(outer if outer is not None and outer.ends <= mine.ends else mine)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:
                # Left in another context than entered (an async generator that another task closes): the
                # variable of this context was never ours.
                return

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, value, trace)


def without_deadline() -> Context:
    """Return a copy of the current context in which no deadline holds: for clean-up, which must run all the same."""
    context = copy_context()
    context.run(_current.set, None)
    return context


def remaining(clock: Callable[[], float] = time.monotonic) -> float | None:
    """Return the seconds left, 0.0 once they are over, or ``None`` outside of every deadline."""
    limit = _current.get()
    return None if limit is None else max(limit.ends - clock(), 0.0)


def clamp(timeout: float | None, clock: Callable[[], float] = time.monotonic) -> float | None:
    """Return how long something may wait: *timeout*, or what is left of the deadline if that is less.

    Args:
        timeout: in seconds; ``None`` is no limit.
        clock: the clock, in seconds; only to be replaced in tests.

    Raises:
        DeadlineExceeded: the deadline is over.
    """
    limit = _current.get()
    if limit is None:
        return timeout
    left = limit.ends - clock()
    if left <= _TICK:
        raise DeadlineExceeded(
            f"the deadline of {limit.seconds:g} s is over; give deadline() more seconds or do less inside it"
        )
    return left if timeout is None else min(timeout, left)
