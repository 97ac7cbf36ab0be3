"""A run over REST: one request for each answer, held by the server for up to 2 s (PROTOCOL §4.1).

A server that cannot be reached, or that says that it is not ready, has not taken anything out of the run's output:
it is asked again under the same run id, for as long as ``timeouts.silence``.  A request that may have arrived is not
sent again: servers give each piece of output once, so what its answer had would be missing without a word.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backendai_sdk._async._shapes import bounded
from backendai_sdk._deadline import clamp, without_deadline
from backendai_sdk._log import logger
from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.run_requests import RunRequests, goes_on, new_run_id, result_of
from backendai_sdk.errors import (
    BackendAIError,
    ConnectError,
    RateLimited,
    ServiceUnavailable,
    StreamInterrupted,
)

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["RestChannel"]

log = logger("run")

_IDLE_PAUSE = 0.1
# Answers that nobody has taken yet, beyond which no more is asked for.
_AHEAD = 2
# Between two tries to reach the server.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
# What may have taken nothing.
_PASSING = (ConnectError, RateLimited, ServiceUnavailable)
# What managers answer before they do anything; a proxy's 503 may come after that (PROTOCOL §6.3).
_NOT_READY = frozenset({"server-frozen", "service-unavailable"})


class RestChannel:
    """The REST run loop.

    Requests live in a task of their own: servers give each piece of output once, so a poll that is under way
    when its caller is cancelled must still be read, by whoever goes on with the run.  That task asks on by itself
    for as long as the run goes on: while the caller is busy with an answer, the next one is on its way.
    """

    def __init__(self, client: Client, session_id: str, *, run_id: str | None = None) -> None:
        self._client = client
        self._path = path("/session/{}", session_id)
        self._requests = RunRequests(run_id or new_run_id())
        self._poll: Request | None = None  # always the same, so it is made and encoded once
        self._asking: asyncio.Task[None] | None = None
        self._answers: deque[Mapping[str, object] | Exception] = deque()
        # Whoever waits for an answer, and the task that waits until there is room for another one.
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.run_id: str = self._requests.run_id
        # Of one that somebody else has begun, the id is known.
        self.started: bool = run_id is not None
        self._begun = self.started

    async def start(self, mode: str, code: str, options: Mapping[str, object]) -> Mapping[str, object]:
        self.started = True
        return await self._ask(self._request(self._requests.first(mode, code, options)))

    async def poll(self) -> Mapping[str, object]:
        return await self._ask(self._polling())

    async def answer(self, text: str) -> Mapping[str, object]:
        return await self._ask(self._request(self._requests.answer(text)))

    async def close(self) -> None:
        if self._asking is not None and not self._asking.done():
            # For another task that waits for an answer, against all advice: it must not ask anew.
            self._answers.append(StreamInterrupted("the run was left before its end", path=self._path))
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self, request: Request) -> Mapping[str, object]:
        """The next answer: to what was asked already, or else to this."""
        while not self._answers:
            loop = asyncio.get_running_loop()
            if self._asking is None or self._asking.done():
                # A deadline() is kept here and not in the task: the end of the run must be read all the same.
                self._asking = loop.create_task(
                    self._follow(request), name=f"backendai-sdk-run-{self.run_id}", context=without_deadline()
                )
            self._waiter = waiter = loop.create_future()
            if clamp(None) is None:  # most often
                await waiter
            else:
                await bounded(waiter)
        answer = self._answers.popleft()
        _wake(self._room)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _follow(self, request: Request) -> None:
        """Ask, and ask on until the run waits for something else than time."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                result = await self._send(request)
                self._begun = True
                self._answers.append(result)
                if not goes_on(result):
                    return
                # A turn of the loop later: the next request is out by then, and the server works while the caller does.
                loop.call_soon(self._tell)
                while len(self._answers) >= _AHEAD:
                    self._room = loop.create_future()
                    await self._room
                request = self._polling()
        except Exception as exc:  # noqa: BLE001 - kept for whoever asks next
            self._answers.append(exc)
        finally:
            self._tell()

    def _tell(self) -> None:
        """Wake who waits for an answer."""
        _wake(self._waiter)

    async def _send(self, request: Request) -> Mapping[str, object]:
        began = time.monotonic()
        try:
            answer = await self._client.json(request)
        except _PASSING as exc:
            if not self._begun or not _took_nothing(exc):
                raise
            answer = await self._insist(request, exc, since=began)
        result = result_of(answer)
        if result["status"] == "continued" and not result.get("console"):
            # Servers hold a poll for up to 2 s; one that says nothing at once is not asked in a tight loop.
            await asyncio.sleep(max(0.0, _IDLE_PAUSE - (time.monotonic() - began)))
        return result

    async def _insist(self, request: Request, error: BackendAIError, *, since: float) -> object:
        """The answer to a request that took nothing, as soon as the server can be reached.

        Args:
            error: why it was not answered.
            since: when it was asked first, on the monotonic clock.
        """
        silence = self._client.config.timeouts.silence
        ends_at = math.inf if silence is None else since + silence
        pause = _FIRST_PAUSE
        while True:
            if time.monotonic() + pause > ends_at:
                raise StreamInterrupted(
                    f"for {limit('timeouts.silence', silence)} the server could not be asked for more: {error}; "
                    f"{more_time('timeouts.silence')}",
                    method=request.method,
                    path=request.path,
                ) from error
            log.debug("the run %s waits for its server: %s", self.run_id, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                return await self._client.json(request)
            except _PASSING as exc:
                if not _took_nothing(exc):
                    raise
                error = exc

    def _polling(self) -> Request:
        """The request for more."""
        if self._poll is None:
            self._poll = self._request(self._requests.poll())
        return self._poll

    def _request(self, body: dict[str, object]) -> Request:
        """A request that is bounded by the shorter of two limits: a server answers every poll after 2 s."""
        limits = self._client.config.timeouts
        silent = limits.silence is not None and (limits.request is None or limits.silence < limits.request)
        return Request(
            method="POST",
            path=self._path,
            json=body,
            timeout=limits.silence if silent else limits.request,
            limited_by="timeouts.silence" if silent else "timeouts.request",
        )


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _took_nothing(exc: BackendAIError) -> bool:
    """Whether a request that failed so has surely taken nothing out of the run's output."""
    match exc:
        case ConnectError() | RateLimited():
            return True
        case ServiceUnavailable(status=503):
            return exc.type in _NOT_READY
    return False
