"""A background task of the server, as its stream of events tells of it (PROTOCOL §5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

import attrs

from backendai_sdk._async._shapes import maybe_await
from backendai_sdk._deadline import clamp
from backendai_sdk._log import logger
from backendai_sdk._wire.request import Request
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.tasks import END_MARKER, read_progress
from backendai_sdk.enums import TaskStatus
from backendai_sdk.errors import (
    BackendAIError,
    ServerError,
    SessionTimeout,
    StreamInterrupted,
    TaskFailed,
    TransportError,
)
from backendai_sdk.models.task import TaskProgress

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.callbacks import TaskCallback

__all__ = ["AsyncBackgroundTask"]

log = logger("task")

_MAX_REOPENINGS = 5


class AsyncBackgroundTask:
    """Work that the server does in the background, for example a commit.

    Iterate over it for its reports, ``async for progress in task``, or ``wait()`` for its end.  Servers keep
    what became of a task for a day; what was reported before one began to listen is not told again.
    """

    _handle: ClassVar[bool] = True

    def __init__(self, client: Client, task_id: str, *, what: str = "the background task") -> None:
        self._client = client
        self._id = task_id
        self._what = what

    def __repr__(self) -> str:
        return f"<AsyncBackgroundTask {self._id}>"

    @property
    def id(self) -> str:
        """The task's id, a UUID."""
        return self._id

    async def __aiter__(self) -> AsyncIterator[TaskProgress]:
        """Its reports as they come; the last one is final, and tells whether it succeeded.

        A stream that is cut is opened again.

        Raises:
            NotFound, ServerError: the server does not know the task (any more).
            TransportError: the stream could not be opened.
            StreamInterrupted: the stream was cut and could not be opened again.
        """
        async with aclosing(self._reports()) as reports:
            async for report in reports:
                yield report

    async def _reports(self) -> AsyncGenerator[TaskProgress, None]:
        failures = 0
        opened = False

        def on_open() -> None:
            nonlocal opened
            opened = True

        last = TaskProgress(task_id=self._id, status=TaskStatus.UPDATED)
        while True:
            try:
                # The first opening is tried several times by the client; opening again what was cut is ours.
                async with aclosing(self._read(on_open, repeat=not opened)) as reports:
                    async for report in reports:
                        failures = 0
                        # The report of the end does not say again how far it got.
                        last = (
                            report
                            if report.total
                            else attrs.evolve(report, current=last.current, total=last.total)
                        )
                        yield last
                        if last.is_final:
                            return
                cut: BackendAIError = StreamInterrupted("the server ended the stream")
            except (TransportError, ServerError) as exc:
                if not opened:
                    raise
                cut = exc
            failures += 1
            if failures > _MAX_REOPENINGS:
                raise StreamInterrupted(
                    f"what became of {self._what} ({self._id}) is not known: {cut}"
                ) from cut
            await asyncio.sleep(clamp(0.1 * 2**failures) or 0)

    async def wait(
        self, *, timeout: float | None = None, on_progress: TaskCallback | None = None
    ) -> TaskProgress:
        """Wait until it has ended.

        Args:
            timeout: seconds; ``None`` waits as long as it takes. The task goes on when they run out.
            on_progress: called with every report.

        Returns:
            The last report.

        Raises:
            TaskFailed: it failed or was cancelled.
            SessionTimeout: the time ran out.
        """
        last: TaskProgress | None = None
        try:
            async with asyncio.timeout(timeout), aclosing(self._reports()) as reports:
                async for last in reports:
                    if on_progress is not None:
                        await maybe_await(on_progress(last))
        except TimeoutError as exc:
            if isinstance(exc, BackendAIError) or timeout is None:
                raise
            raise SessionTimeout(
                f"{self._what} ({self._id}) did not end within {timeout:g} s; it goes on, and can be waited for again"
            ) from None
        if last is None or not last.status.is_success:
            said = f": {last.message}" if last is not None and last.message else ""
            raise TaskFailed(
                f"{self._what} {last.status if last else 'ended without a word'}{said}", progress=last
            )
        return last

    async def _read(self, on_open: Callable[[], None], *, repeat: bool) -> AsyncGenerator[TaskProgress, None]:
        """One stream, until the server ends it; *on_open* is called when it has accepted it."""
        request = Request(
            method="GET",
            path="/events/background-task",
            params={"taskId": self._id},
            accept="text/event-stream",
            idempotent=True,
        )
        decoder = SSEDecoder()
        async with self._client.stream(request, repeat=repeat) as body:
            on_open()
            async for chunk in body:
                for event in decoder.feed(chunk):
                    if event.name == END_MARKER:
                        return
                    if (report := read_progress(event.name, event.data, task_id=self._id)) is not None:
                        yield report
