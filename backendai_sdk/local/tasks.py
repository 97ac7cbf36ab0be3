"""Work that the server does in the background, and what it reports of it.

Assumes that everything runs on the cluster's own loop. A task's reports are kept, because somebody may ask for them
after its end.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any

import attrs

from .records import Signal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["BackgroundTask", "BackgroundTasks"]

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class BackgroundTask:
    """One piece of work and its reports."""

    total: int
    id: uuid.UUID = attrs.field(factory=uuid.uuid4)
    current: int = 0
    status: str = "started"
    message: str | None = None
    reports: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    changed: Signal = attrs.field(factory=Signal)

    @property
    def over(self) -> bool:
        return self.status != "started"

    def update(self, current: int, message: str | None = None) -> None:
        """Report that it got so far."""
        self.current, self.message = current, message
        self._report(
            "updated",
            {
                "task_id": str(self.id),
                "message": message,
                "current_progress": current,
                "total_progress": self.total,
            },
        )

    def end(self, status: str, message: str | None = None) -> None:
        """Report its end: `done`, `failed` or `cancelled`."""
        self.status, self.message = status, message
        self._report(status, {"task_id": str(self.id), "message": message})

    def _report(self, kind: str, data: dict[str, Any]) -> None:
        self.reports.append((f"bgtask_{kind}", data))
        self.changed.fire()


class BackgroundTasks:
    """All of them, by id."""

    def __init__(self) -> None:
        self._records: dict[uuid.UUID, BackgroundTask] = {}
        self._running: set[asyncio.Task[None]] = set()

    def get(self, task_id: uuid.UUID) -> BackgroundTask | None:
        return self._records.get(task_id)

    def start(self, total: int, work: Callable[[BackgroundTask], Awaitable[str | None]]) -> BackgroundTask:
        """Begin; what `work` returns is the message of its end."""
        record = BackgroundTask(total)
        self._records[record.id] = record
        running = asyncio.get_running_loop().create_task(self._run(record, work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return record

    @staticmethod
    async def _run(record: BackgroundTask, work: Callable[[BackgroundTask], Awaitable[str | None]]) -> None:
        try:
            record.end("done", await work(record))
        except asyncio.CancelledError:
            record.end("cancelled", "The server is stopping.")
            raise
        except Exception as error:  # whatever it is, it is the task's result
            log.debug("background task %s failed", record.id, exc_info=True)
            record.end("failed", repr(error))

    async def close(self) -> None:
        """End what runs. Idempotent."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
