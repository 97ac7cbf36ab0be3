"""One run of code in a session, item by item, whatever the transport."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from backendai_sdk._async._shapes import bounded, finish
from backendai_sdk._log import logger
from backendai_sdk._wire.batch import ResumedSteps
from backendai_sdk._wire.execute import Next, RunMachine
from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.tracebacks import remote_error
from backendai_sdk.errors import (
    APIError,
    BackendAIError,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    RateLimited,
    RequestTimeout,
    ServerError,
    SessionNotFound,
    StreamInterrupted,
    TransportError,
    UsageError,
    WireError,
)
from backendai_sdk.models.run import ExecutionResult, Finished, RunItem

if TYPE_CHECKING:
    from backendai_sdk._async._run_channel import RunChannel
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._wire.batch import BatchSteps

__all__ = ["AsyncRun"]

log = logger("run")

# How long an interrupted run may take to end before it is left to the server.
_DRAIN = 5.0
# For how long an interrupt waits for a batch run to begin, so that its end is heard: head start and one poll.
_BEGINNING = 3.0
# How often it is interrupted meanwhile.
_INSIST = 1.0


class AsyncRun:
    """A run of code: a context manager, and inside it an iterator over what the code writes.

    Servers run one thing at a time in a session: entering the block waits until earlier runs of this client
    session are over.  The run starts with the first item that is asked for.  It ends with ``Finished``; a run
    that cannot be followed to its end raises ``StreamInterrupted`` with what had arrived.  Leaving the block
    before the end interrupts the code; one that does not heed that keeps its turn until it ends.  After an
    ``InputRequest``, call ``send_input()`` before asking for the next item.

    Attributes:
        run_id: the id under which servers know the run; empty over a WebSocket, where they do not tell it.
    """

    _handle: ClassVar[bool] = True

    def __init__(
        self,
        session: AsyncComputeSession,
        channel: RunChannel,
        *,
        code: str = "",
        batch: BatchSteps | None = None,
        resumed: bool = False,
    ) -> None:
        self._session = session
        self._channel = channel
        self._code = code
        if resumed:
            batch = ResumedSteps()
        self._batch = batch
        self._machine = RunMachine(batch=batch)
        self._pending: deque[RunItem] = deque()
        self._outputs: list[RunItem] = []
        self._asked = resumed
        self._error: BackendAIError | None = None
        self._entered = False
        self._waiting = False
        # Since when a server that owes more than an empty answer has given none.
        self._owed_since: float | None = None
        self.run_id: str = channel.run_id

    async def __aenter__(self) -> Self:
        if self._entered or self._waiting:
            raise UsageError("this run was entered before; call stream_execute() again")
        turn = self._session._run_lock
        if turn.locked():
            log.debug("a run waits for its turn in %s: another one is not over", self._session.name)
        self._waiting = True
        try:
            await bounded(turn.acquire())
        finally:
            self._waiting = False
        self._entered = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._unfinished:
                await self._abandon()
        finally:
            if self._unfinished:
                # Nobody else could read its end, and until then the server runs nothing more in this session.
                self._session._client.spawn(self._follow_to_end(), name=f"backendai-sdk-left-{self.run_id}")
            else:
                await self._release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunItem:
        if not self._entered:
            raise UsageError("enter the run first: async with cs.stream_execute(code) as run")
        while not self._pending:
            if self._machine.next is Next.NOTHING:
                raise StopAsyncIteration
            if self._machine.next is Next.INPUT:
                raise UsageError("the code waits for input: call send_input() before asking for more")
            await self._advance(self._channel.poll if self._asked else self._first)
        item = self._pending.popleft()
        self._outputs.append(item)
        return item

    async def send_input(self, text: str) -> None:
        """Answer the code's ``input()``.

        Args:
            text: one line, without its line break.

        Raises:
            UsageError: the code did not ask for input.
        """
        if not isinstance(text, str):
            raise InvalidArgument(f"text: {type(text).__name__} is not text", argument="text")
        if self._machine.next is not Next.INPUT or self._pending:
            raise UsageError("the code does not wait for input: answer when an InputRequest came")
        await self._advance(lambda: self._channel.answer(text))

    async def interrupt(self) -> None:
        """Interrupt the code as Ctrl-C would; what it still writes and ``Finished`` follow."""
        await self._session.interrupt()

    @property
    def waiting(self) -> bool:
        """Whether the block is being entered and earlier runs of the session are not over yet."""
        return self._waiting

    @property
    def finished(self) -> bool:
        """Whether the run is over and everything was read."""
        return self._machine.next is Next.NOTHING and not self._pending

    @property
    def unread(self) -> tuple[RunItem, ...]:
        """What has arrived and was not read: after the block was left early, what the interrupted code wrote."""
        return tuple(self._pending)

    def result(self) -> ExecutionResult:
        """What the run came to, once it is over.

        Raises:
            UsageError: it is not over.
        """
        if not self.finished:
            raise UsageError("the run is not over: read its items first")
        outputs = tuple(item for item in self._outputs if not isinstance(item, Finished))
        return ExecutionResult(
            status=self._machine.status,
            exit_code=self._machine.exit_code,
            outputs=outputs,
            error=None if self._batch is not None and self._machine.steps else remote_error(outputs),
            run_id=self.run_id,
            session_id=self._session.id,
            steps=dict(self._machine.steps),
        )

    async def _first(self) -> Mapping[str, object]:
        self._asked = True
        if self._batch is None:
            return await self._channel.start("query", self._code, {})
        return await self._channel.start("batch", "", self._batch.options)

    async def _advance(self, ask: Callable[[], Awaitable[Mapping[str, object]]]) -> None:
        """Take in the next answer."""
        if self._error is not None:
            raise self._error
        try:
            items = self._machine.receive(await ask())
            self._pending += items
            if self._batch is not None:
                self._bound_owed(items)
        except DeadlineExceeded:
            raise  # the run itself goes on
        except BackendAIError as exc:
            self._error = self._what_happened(exc)
            if self._error is not exc:
                raise self._error from exc
            if isinstance(exc, ServerError | SessionNotFound) and not self._outputs:
                await self._session._explain_not_running(exc)
            raise

    def _what_happened(self, exc: BackendAIError) -> BackendAIError:
        """*exc*, or if it is the loss of a run that had begun, the error that says so and has what was received."""
        lost = isinstance(exc, ConnectionLost | RequestTimeout | StreamInterrupted)
        # An answer that says no may have taken output with it, as when an agent is slow to answer its manager.
        begun = bool(self._machine.status) and isinstance(
            exc, TransportError | ServerError | RateLimited | SessionNotFound
        )
        begun = begun and not isinstance(exc, WireError)
        if not (lost or begun):
            return exc
        assert isinstance(exc, TransportError | APIError)  # noqa: S101 - all of them are
        hint = ""
        if isinstance(exc, RequestTimeout) and not self._machine.status:
            hint = ". Another client's run that is not over may keep the session from answering"
        elif self.run_id and exc.path and not isinstance(exc, SessionNotFound):
            hint = f". What it writes from now on can be read with resume({self.run_id!r})"
        return StreamInterrupted(
            f"the run {self.run_id or 'in ' + self._session.name} was cut: {exc}{hint}",
            received=[*self._outputs, *self._pending],
            run_id=self.run_id,
            method=exc.method,
            path=exc.path,
            attempts=[exc],
        )

    def _bound_owed(self, items: list[RunItem]) -> None:
        """Give up a batch run whose server has nothing left to wait for, and does not say that it is over."""
        if (
            items
            or not self._machine.owed
            or (silence := self._session._client.config.timeouts.silence) is None
        ):
            self._owed_since = None
            return
        now = time.monotonic()
        if self._owed_since is None:
            self._owed_since = now
        elif now - self._owed_since >= silence:
            raise StreamInterrupted(
                f"for {limit('timeouts.silence', silence)} no command has been under way, and the server does not say "
                "that the run is over; it may have lost the end, and run nothing more in this session; "
                f"{more_time('timeouts.silence')}"
            )

    @property
    def _unfinished(self) -> bool:
        return self._channel.started and self._error is None and self._machine.next is not Next.NOTHING

    async def _release(self) -> None:
        """Let the next run have its turn."""
        try:
            await self._channel.close()
        finally:
            self._session._run_lock.release()

    async def _abandon(self) -> None:
        """Interrupt the code and read on to its end, so that the session is free for the next run."""
        try:
            await finish(self._read_to_end(interrupt=True), timeout=_DRAIN)
        except TimeoutError:
            log.warning(
                "the run %s in %s did not end within %g s of being interrupted; the next one waits for it",
                self.run_id or "over a WebSocket",
                self._session.name,
                _DRAIN,
            )
        except BackendAIError as exc:
            log.warning("the run %s was left behind in %s: %s", self.run_id, self._session.name, exc)

    async def _follow_to_end(self) -> None:
        """What is left to do of a run that does not heed interrupts."""
        try:
            await self._read_to_end(interrupt=False)
        except BackendAIError as exc:
            log.warning("the run %s was left behind in %s: %s", self.run_id, self._session.name, exc)
        finally:
            await self._release()

    async def _read_to_end(self, *, interrupt: bool) -> None:
        loop = asyncio.get_running_loop()
        again_at = 0.0 if interrupt else math.inf
        begins_by = loop.time() + _BEGINNING
        while self._machine.next is not Next.NOTHING:
            if self._machine.next is Next.INPUT:
                await self._advance(lambda: self._channel.answer(""))
                continue
            if (now := loop.time()) >= again_at and (self._machine.begun or now >= begins_by):
                # Once more after a while: code may catch an interrupt and go on.
                again_at = now + _INSIST
                await self._session.interrupt()
            await self._advance(self._channel.poll)
