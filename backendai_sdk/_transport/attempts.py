"""One request, as many attempts as it takes: signed anew each time, repeated only if that is safe.

What to do about an outcome is decided by ``retry`` and by what can be put right once; here it is done.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime

from backendai_sdk._deadline import clamp
from backendai_sdk._transport.connection import Connection
from backendai_sdk._transport.credentials import WebLogin, credentials_of
from backendai_sdk._transport.parts import PartReader
from backendai_sdk._transport.shared import Shared
from backendai_sdk._transport.websocket import Upgraded
from backendai_sdk._wire.problems import error_of
from backendai_sdk._wire.request import Request, Response, query_string
from backendai_sdk.config import Config
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

__all__ = ["Attempts", "Corrections"]

log = logging.getLogger("backendai_sdk.transport")

# A rate limit's window is 15 minutes: a call does not wait that long, it fails and says so.
_LONGEST_THROTTLE = 30.0


class Attempts:
    """Sends requests by one set of settings."""

    def __init__(self, config: Config, shared: Shared) -> None:
        self.credentials = credentials_of(config)
        self._config = config
        self._shared = shared
        self._random = random.Random()  # noqa: S311 - spreads retries, keeps no secret

    async def send(
        self, connection: Connection, request: Request, *, version: str, read: PartReader | None = None
    ) -> Response:
        """Send *request* until it is answered, or must not be sent again; the successful answer.

        Args:
            version: the API version to send, empty while none is agreed on.
            read: takes the parts of a successful answer; called for each attempt that gets so far.

        Raises:
            APIError, TransportError: with all attempts in ``attempts``.
        """
        attempts: list[BackendAIError] = []
        corrections = Corrections(self, connection, request)
        endpoints_left = len(self._config.endpoint) - 1
        number = 0
        while True:
            endpoint = self._shared.preferred
            corrections.note()
            async with self._shared.gate.place() as ticket:
                answer = await self._attempt(connection, request, endpoint, version, read)
                if isinstance(answer, Response):
                    self._learn(answer, ticket)
            if isinstance(answer, Response):
                if 200 <= answer.status < 300 or isinstance(answer, Upgraded):
                    self._shared.budget.on_success()
                    return answer
                error = error_of(answer, method=request.method, path=request.path)
                if await corrections.put_right(error, answer):
                    continue
            else:
                error = answer
            attempts.append(error)
            failure = _failure(error)
            if failure is Failure.REJECTED and endpoints_left:
                # Nothing was sent: another endpoint may get it at once.
                endpoints_left -= 1
                self._fail_over(endpoint)
                continue
            number += 1
            if not self._again(request, error, failure, number):
                if isinstance(error, TransportError | APIError):
                    error.attempts = tuple(attempts)
                raise error
            delay = self._config.retry.delay(number, self._random)
            if failure is Failure.THROTTLED:
                delay = max(delay, self._throttle(answer))
            log.debug("%s %s: again in %.2f s after: %s", request.method, request.path, delay, error)
            self._fail_over(endpoint)
            await asyncio.sleep(clamp(delay) or 0)

    def prepare(self, request: Request, endpoint: int, version: str) -> tuple[str, dict[str, str]]:
        """The address and the headers for one attempt, dated and signed now."""
        endpoints = self._config.endpoint
        base, target = endpoints[endpoint % len(endpoints)], self.credentials.target(request)
        if request.params and (query := query_string(request.params)):
            target += f"?{query}"
        now = self._shared.clock.now()
        return base + target, self.credentials.headers(request, base, target, now=now, version=version)

    async def sign_in(self, connection: Connection, login: WebLogin, *, seen: int) -> None:
        """Sign in at the web server, unless that was done since *seen* was read."""

        async def send(request: Request) -> Response:
            return await self.send(connection, request, version="")

        await self._shared.sign_ins.renew(login, connection, send, seen=seen)

    def _again(self, request: Request, exc: BackendAIError, failure: Failure, number: int) -> bool:
        return (
            number < self._config.retry.max_attempts
            and may_retry(failure, idempotent=request.idempotent)
            and self._shared.budget.spend(timeout=isinstance(exc, RequestTimeout))
        )

    def _throttle(self, answer: Response | TransportError) -> float:
        # A manager's 429 carries no limits: those of the last answer that did are what is known.
        told = answer.headers if isinstance(answer, Response) else {}
        known = {name.lower(): value for name, value in (*self._shared.rate_limit.items(), *told.items())}
        asked = throttle_delay(known, datetime.now(UTC).timestamp()) or 0.0
        return min(asked, _LONGEST_THROTTLE)

    async def _attempt(
        self,
        connection: Connection,
        request: Request,
        endpoint: int,
        version: str,
        read: PartReader | None,
    ) -> Response | TransportError:
        """One attempt: an answer, of whatever status, or why none came."""
        timeout = clamp(request.timeout or self._config.timeouts.request)
        self._shared.refuse_closed()
        url, headers = self.prepare(request, endpoint, version)
        try:
            if read is not None:
                return await connection.fetch(request, url, headers, timeout=timeout, read=read)
            send = connection.upgrade if request.upgrade else connection.send
            return await send(request, url, headers, timeout=timeout)
        except RequestTimeout as exc:
            clamp(None)  # says so if it was an enclosing deadline() that ran out
            return exc
        except TransportError as exc:
            return exc

    def _learn(self, answer: Response, ticket: int) -> None:
        """What an answer tells of how many requests the server bears; *ticket* is the request's."""
        limiter = self._shared.gate.limiter
        if answer.status == 429:
            limiter.on_throttle(ticket)
        else:
            limiter.on_success()
        if "x-ratelimit-remaining" in answer.headers:
            self._shared.rate_limit = answer.headers

    def _fail_over(self, endpoint: int) -> None:
        self._shared.fail_over(endpoint, len(self._config.endpoint))


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
