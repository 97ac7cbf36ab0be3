"""The attempts at one request: what is to be done after one that failed.

What may be sent again is decided by ``retry``; besides, what can be wrong with any request is put right once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backendai_sdk._deadline import clamp
from backendai_sdk._log import logger
from backendai_sdk._transport.connection import Connection
from backendai_sdk._transport.credentials import WebLogin
from backendai_sdk._wire.problems import error_of
from backendai_sdk._wire.request import Request, Response
from backendai_sdk.errors import (
    APIError,
    AuthenticationError,
    BackendAIError,
    ClockSkewError,
    ConnectError,
    ConnectionLost,
    RateLimited,
    RequestTimeout,
    ServiceUnavailable,
    TransportError,
)
from backendai_sdk.retry import Failure, may_retry, throttle_delay

if TYPE_CHECKING:
    from backendai_sdk._transport.attempts import Attempts

__all__ = ["Trials"]

log = logger("transport")

# A rate limit's window is 15 minutes: a call does not wait that long, it fails and says so.
_LONGEST_THROTTLE = 30.0


class Trials:
    """The attempts at one request: how often it was sent, and whether it is sent again after a failure.

    Args:
        repeat: whether there may be more than one, besides those that put something right.
    """

    def __init__(
        self, attempts: Attempts, connection: Connection, request: Request, *, repeat: bool = True
    ) -> None:
        self._attempts = attempts
        self._most = attempts._config.retry.max_attempts if repeat else 1
        self._config, self._shared = attempts._config, attempts._shared
        self._request = request
        self._corrections = Corrections(attempts, connection, request)
        self._endpoints_left = len(self._config.endpoint) - 1 if repeat else 0
        self._endpoint = 0
        self._number = 0
        self._errors: list[BackendAIError] = []

    def begin(self) -> int:
        """Before an attempt: the endpoint it goes to."""
        self._corrections.note()
        self._endpoint = self._shared.preferred
        return self._endpoint

    async def failed(self, answer: Response | TransportError) -> None:
        """Wait until the next attempt is due.

        Raises:
            APIError, TransportError: there must be none, with all failures in ``attempts``.
        """
        request = self._request
        if isinstance(answer, Response):
            error = error_of(answer, method=request.method, path=request.path)
            if await self._corrections.put_right(error, answer):
                return
        else:
            error = answer
        self._errors.append(error)
        failure = _failure(error)
        if failure is Failure.REJECTED and self._endpoints_left:
            # Nothing was sent: another endpoint may get it at once.
            self._endpoints_left -= 1
            self._fail_over()
            return
        self._number += 1
        if not self._again(error, failure):
            if isinstance(error, TransportError | APIError):
                error.attempts = tuple(self._errors)
            raise error
        delay = self._config.retry.delay(self._number, self._attempts.random)
        if failure is Failure.THROTTLED:
            delay = max(delay, self._throttle(answer))
        log.debug("%s %s: again in %.2f s after: %s", request.method, request.path, delay, error)
        self._fail_over()
        await asyncio.sleep(clamp(delay) or 0)

    def _again(self, error: BackendAIError, failure: Failure) -> bool:
        return (
            self._number < self._most
            and may_retry(failure, idempotent=self._request.idempotent)
            and self._shared.budget.spend(timeout=isinstance(error, RequestTimeout))
        )

    def _throttle(self, answer: Response | TransportError) -> float:
        # A manager's 429 carries no limits: those of the last answer that did are what is known.
        told = answer.headers if isinstance(answer, Response) else {}
        known = {name.lower(): value for name, value in (*self._shared.rate_limit.items(), *told.items())}
        asked = throttle_delay(known, datetime.now(UTC).timestamp()) or 0.0
        return min(asked, _LONGEST_THROTTLE)

    def _fail_over(self) -> None:
        self._shared.fail_over(self._endpoint, len(self._config.endpoint))


class Corrections:
    """What can be wrong with any request, and is put right once: its date, and the sign-in that it relies on.

    If the server still minds after that, it is something else.
    """

    def __init__(self, attempts: Attempts, connection: Connection, request: Request) -> None:
        self._attempts = attempts
        self._connection = connection
        self._request = request
        self._dated = self._signed_in = False

    def note(self) -> None:
        """Before an attempt: remember what it goes by, because another request may learn better meanwhile."""
        shared = self._attempts._shared
        self._offset, self._seen = shared.clock.offset, shared.sign_ins.count

    async def put_right(self, error: BackendAIError, answer: Response) -> bool:
        """Whether the request should be sent again at once."""
        attempts, login = self._attempts, self._attempts.credentials
        if isinstance(error, ClockSkewError):
            if self._dated or not attempts._shared.clock.learn(answer, used=self._offset):
                return False
            self._dated = True
            return True
        if self._signed_in or self._request.site or not isinstance(login, WebLogin):
            return False
        if not isinstance(error, AuthenticationError):
            return False
        self._signed_in = True
        await attempts.sign_in(self._connection, login, seen=self._seen)
        return True


def _failure(exc: BackendAIError) -> Failure:
    match exc:
        case ConnectError():
            return Failure.REJECTED
        case RateLimited():
            return Failure.THROTTLED
        case ConnectionLost() | RequestTimeout() | ServiceUnavailable():
            return Failure.AMBIGUOUS
    return Failure.FATAL
