"""When a failed request may be sent again, and after how long: policy only, no waiting.

Clock and randomness are passed in.  Whether a request may be repeated at all follows from what the failure
says about the server: has it acted?  (:func:`may_retry`.)  How often is bounded twice: per call by
:class:`RetryPolicy`, and for all calls of a client session together by :class:`RetryBudget`, so that a server
that is down does not get several times its usual load.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from backendai_sdk.errors import InvalidArgument

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

__all__ = ["Failure", "RetryBudget", "RetryPolicy", "may_retry", "throttle_delay"]

# The window of the servers' rate limit (PROTOCOL §6.4). Nothing that they ask for is longer.
_WINDOW = 900.0


class Failure(Enum):
    """What a failed attempt says about the server."""

    REJECTED = "rejected"
    """It has not seen the request: connection refused, unknown host, TLS."""
    THROTTLED = "throttled"
    """It has refused before it acted, because of too many requests: 429."""
    AMBIGUOUS = "ambiguous"
    """It may have acted: cut after sending, no answer in time, 502, 503, 504."""
    FATAL = "fatal"
    """It has said no, or cannot be understood: another attempt would get the same."""


def may_retry(failure: Failure, *, idempotent: bool) -> bool:
    """Whether the same request may be sent again.

    ============= ============ ================
    failure       idempotent   not idempotent
    ============= ============ ================
    REJECTED      yes          yes
    THROTTLED     yes          yes
    AMBIGUOUS     yes          no: settle first
    FATAL         no           no
    ============= ============ ================
    """
    return failure in {Failure.REJECTED, Failure.THROTTLED} or (failure is Failure.AMBIGUOUS and idempotent)


@attrs.frozen
class RetryPolicy:
    """How often one call is attempted, and how long it waits in between.

    Attributes:
        max_attempts: attempts in all, the first one included; 1 never repeats.
        base: the longest first wait, in seconds; it doubles with each attempt.
        cap: the longest wait of all, in seconds.

    Raises:
        InvalidArgument: *max_attempts* is below 1, a time is negative or not finite, or *cap* is below *base*.
    """

    max_attempts: int = 4
    base: float = 0.1
    cap: float = 10.0

    def __attrs_post_init__(self) -> None:
        attempts: object = self.max_attempts  # callers without a type checker give anything
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidArgument(
                f"max_attempts: {attempts!r} is not a whole number from 1 on; 1 means no retries",
                argument="max_attempts",
            )
        for name in ("base", "cap"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise InvalidArgument(
                    f"{name}: {value!r} is not a number of seconds from 0 on", argument=name
                )
        if self.cap < self.base:
            raise InvalidArgument(f"cap: {self.cap!r} s is below base, {self.base!r} s", argument="cap")

    def delay(self, attempt: int, rng: random.Random) -> float:
        """How long to wait after the *attempt*-th attempt (counted from 1) has failed, in seconds.

        Full jitter: anything from 0 to ``min(cap, base · 2^(attempt-1))``, so that clients which failed together
        do not come back together.
        """
        # ldexp would overflow for attempts by the thousand; any cap is reached long before.
        return rng.uniform(0.0, min(self.cap, math.ldexp(self.base, min(max(attempt, 1) - 1, 64))))


class RetryBudget:
    """The retries that all calls of a client session may make together: a token bucket.

    It begins full; a retry takes tokens, a success brings one back.  While nothing succeeds, a client stops
    repeating after 100 retries (50 after time limits); its first attempts are never held back.  The numbers
    are those of the AWS SDKs' standard mode.  Not for several threads at once: the transport's loop has it.
    """

    RETRY_COST = 5
    TIMEOUT_COST = 10
    SUCCESS_REFUND = 1

    def __init__(self, capacity: int = 500) -> None:
        self.capacity = capacity
        self._tokens = capacity

    @property
    def tokens(self) -> int:
        """What is left, from 0 to ``capacity``."""
        return self._tokens

    def spend(self, *, timeout: bool = False) -> bool:
        """Take the tokens for one retry; ``False``, and nothing taken, if there are too few.

        Args:
            timeout: the attempt before ended by a time limit: such a retry costs double.
        """
        cost = self.TIMEOUT_COST if timeout else self.RETRY_COST
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def on_success(self) -> None:
        """An attempt was answered: bring one token back."""
        if self._tokens < self.capacity:  # most often it is full
            self._tokens = min(self.capacity, self._tokens + self.SUCCESS_REFUND)

    def __repr__(self) -> str:
        return f"<RetryBudget {self._tokens}/{self.capacity}>"


def throttle_delay(headers: Mapping[str, str], now: float) -> float | None:
    """How long a server's headers ask to wait before the next request, in seconds from 0 to 900.

    ``Retry-After`` counts if there is one (no Backend.AI server sends it, something before it may).  Then the
    ``X-RateLimit-*`` headers (PROTOCOL §6.4): 0 while requests remain; else the window's reset (26.x), else
    the mean interval between requests, because the window rolls: places come free one by one.

    Servers leave the headers out of the 429 itself: give those of the last answer that had them.

    Args:
        headers: the response's headers; names are compared without regard to case.
        now: the present as a Unix time in seconds, for a ``Retry-After`` that is a date.

    Returns:
        The wait, or ``None`` if the headers say nothing of use.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if (after := lower.get("retry-after")) and (wait := _retry_after(after, now)) is not None:
        return wait
    remaining = _count(lower.get("x-ratelimit-remaining"))
    if remaining is None:
        return None
    if remaining > 0:
        return 0.0
    if (reset := _count(lower.get("x-ratelimit-reset"))) is not None:
        return min(reset, _WINDOW)
    limit, window = _count(lower.get("x-ratelimit-limit")), _count(lower.get("x-ratelimit-window"))
    return min((window or _WINDOW) / limit, _WINDOW) if limit else None


def _retry_after(value: str, now: float) -> float | None:
    if (seconds := _count(value)) is not None:
        return min(seconds, _WINDOW)
    try:
        when = parsedate_to_datetime(value)
        # "-0000" gives a time without zone, which means UTC in e-mail's own rules.
        wait = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), _WINDOW)


def _count(value: str | None) -> float | None:
    """Read a number from 0 on; unlimited key pairs have the text ``None`` there."""
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
