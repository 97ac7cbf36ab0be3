"""One request, as many attempts as it takes: each signed anew, bounded in time, and let through by the gate.

Whether there is another one after a failure is the affair of :mod:`trials`.
"""

from __future__ import annotations

import random

from backendai_sdk._deadline import clamp
from backendai_sdk._transport.connection import Connection
from backendai_sdk._transport.credentials import WebLogin, credentials_of
from backendai_sdk._transport.parts import PartReader
from backendai_sdk._transport.shared import Shared
from backendai_sdk._transport.trials import Trials
from backendai_sdk._transport.websocket import Upgraded
from backendai_sdk._wire.request import Request, Response, query_string
from backendai_sdk.config import Config
from backendai_sdk.errors import RequestTimeout, TransportError

__all__ = ["Attempts"]


class Attempts:
    """Sends requests by one set of settings."""

    def __init__(self, config: Config, shared: Shared) -> None:
        self.credentials = credentials_of(config)
        self._config = config
        self._shared = shared
        self.random = random.Random()  # noqa: S311 - spreads retries, keeps no secret

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
        trials = Trials(self, connection, request)
        while True:
            endpoint = trials.begin()
            async with self._shared.gate.place() as ticket:
                answer = await self._attempt(connection, request, endpoint, version, read)
                if isinstance(answer, Response):
                    self._learn(answer, ticket)
            if isinstance(answer, Response) and (200 <= answer.status < 300 or isinstance(answer, Upgraded)):
                self._shared.budget.on_success()
                return answer
            await trials.failed(answer)

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
