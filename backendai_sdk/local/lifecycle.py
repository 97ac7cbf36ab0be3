"""The state machine: what becomes of a session from the moment it is queued.

Assumes that everything here runs on the cluster's own loop, and that this object owns every task it starts:
`close()` ends them all, closes every interpreter and leaves no session alive.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .announcer import Announcer, new_container_id
from .apps import SessionApps
from .problems import Problem
from .scheduler import judge, queue_order, scheduler_data

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from datetime import datetime
    from uuid import UUID

    from .clock import Clock
    from .events import EventHub
    from .kernel import Kernel
    from .records import SessionRecord
    from .releases import Release
    from .scheduler import Agents, Verdict
    from .slots import Slots

__all__ = ["BEFORE_RUNNING", "Lifecycle"]

log = logging.getLogger(__name__)

BEFORE_RUNNING: Final = frozenset({"PENDING", "SCHEDULED", "PREPARING", "PULLING", "PREPARED", "CREATING"})
_CLOSE_LIMIT: Final = 10.0


class Lifecycle:
    """Every session, and the only hands that move one."""

    def __init__(
        self,
        *,
        release: Release,
        clock: Clock,
        agents: Agents,
        hub: EventHub,
        make_kernel: Callable[[SessionRecord], Kernel],
        step_delay: float = 0.0,
        idle_timeout: float = 1800.0,
        max_concurrent: int | None = None,
        max_resources: Slots | None = None,
    ) -> None:
        self._release = release
        self._clock = clock
        self._agents = agents
        self._announce = Announcer(release, hub)
        self._make_kernel = make_kernel
        self._step_delay = step_delay
        self._idle_timeout = idle_timeout
        self.max_concurrent = max_concurrent
        self.max_resources = max_resources
        self.records: dict[UUID, SessionRecord] = {}
        self._pending: dict[UUID, SessionRecord] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: set[asyncio.Task[None]] = set()  # these are waited for, never cancelled
        self._kick = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._closing = False

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(list(self.records.values()))

    @property
    def idle_timeout(self) -> float:
        return self._idle_timeout

    def start(self) -> None:
        self._spawn(self._schedule_forever())
        if self._idle_timeout > 0:
            self._spawn(self._watch_idle())

    def hold(self) -> None:
        """Move no session until `go_on()`, as a manager that stands still; what runs in sessions runs on."""
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._going.wait()

    async def close(self) -> None:
        """End every task and every interpreter. Idempotent."""
        self._closing = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        live = [record for record in self if record.is_live]
        await asyncio.gather(*(self._close_kernel(record) for record in live))
        await asyncio.gather(*self._closers, return_exceptions=True)
        for record in live:
            record.terminated_at = self._clock.now()
            record.move("TERMINATED", record.terminated_at, info="terminated-by-shutdown")
        self._pending.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Cancelled before its first step, the task has never begun to await the work.
        task.add_done_callback(lambda _: work.close())
        return task

    @staticmethod
    async def _guard(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            # A task of the server itself: nobody awaits it, so its failure must be said here.
            log.exception("a task of the local cluster failed")

    # --- the queue --------------------------------------------------------------------------------------

    def enqueue(self, record: SessionRecord) -> None:
        if self._closing:
            raise Problem(503, "service-unavailable", "Serivce unavailable.", "The cluster is stopping.")
        record.eligible_at = self._clock.monotonic() + self._step_delay
        record.move("PENDING", record.created_at)
        self.records[record.id] = record
        self._pending[record.id] = record
        self._announce.enqueued(record)
        self._kick.set()

    async def _schedule_forever(self) -> None:
        while True:
            await self._going.wait()
            wait = self._schedule()
            with suppress(TimeoutError):
                async with self._clock.timeout(wait):
                    await self._kick.wait()
            self._kick.clear()

    def _schedule(self) -> float | None:
        """Try every waiting session once; how long until the next try is worth it, if time alone decides."""
        now, ticks = self._clock.now(), self._clock.monotonic()
        waits: list[float] = []
        for record in sorted(self._pending.values(), key=queue_order):
            if record.eligible_at > ticks:
                waits.append(record.eligible_at - ticks)
                continue
            verdict = judge(
                record,
                self.records,
                now=now,
                max_concurrent=self.max_concurrent,
                max_resources=self.max_resources,
            )
            if verdict.failed:
                self._tell_why(record, "predicate-checks-failed", verdict, now)
                if record.starts_at is not None and record.starts_at > now:
                    waits.append((record.starts_at - now).total_seconds())
            elif self._agents.place(record):
                del self._pending[record.id]
                record.scheduled_at = now
                for kernel in record.kernels:
                    kernel.scheduled_at = now
                record.move("SCHEDULED", now, info=self._release.fresh_scheduled_info)
                self._announce.moved(record)
                record.driver = self._spawn(self._bring_up(record))
            else:
                msg = (
                    "Could not find a contiguous resource region in any agent big enough to host the session"
                    f" (id: {record.id}, resource group: {record.scaling_group})"
                )
                self._tell_why(record, "no-available-instances", verdict, now, msg)
        return max(min(waits), 0.001) if waits else None

    def _tell_why(
        self, record: SessionRecord, info: str, verdict: Verdict, now: datetime, msg: str | None = None
    ) -> None:
        """Note down why a session waits, on releases that say so."""
        if self._release.told_why_pending:
            record.status_info = record.main.status_info = info
            record.status_data = scheduler_data(record.status_data, verdict, now=now, msg=msg)
            record.main.status_data = record.status_data

    # --- towards RUNNING ----------------------------------------------------------------------------------

    async def _bring_up(self, record: SessionRecord) -> None:
        try:
            for status in self._release.flow[1:]:
                if status == "PULLING" and not record.image.needs_pull:
                    continue
                await self._pause(self._step_delay)
                if status == "RUNNING":
                    await self._start(record)
                self._enter(record, status)
        except Exception as error:
            log.exception("session %s could not be started", record.id)
            record.driver = None
            self._fail_to_start(record, error)
            return
        if record.type == "batch":
            await self._run_batch(record)
        record.driver = None

    def _enter(self, record: SessionRecord, status: str) -> None:
        now = self._clock.now()
        info: str | None = None
        data: dict[str, Any] | None = None
        if status == "RUNNING":
            info = self._release.running_status_info
            data = {} if self._release.running_status_data else None
            record.running_since = self._clock.monotonic()
            if self._release.starts_at_is_running_time:
                record.starts_at = now
            for kernel in record.kernels:
                kernel.starts_at = now
                kernel.container_id = new_container_id()
        record.move(status, now, info=info, data=data)
        self._announce.moved(record)

    async def _start(self, record: SessionRecord) -> None:
        await asyncio.to_thread(record.work_dir.mkdir, parents=True, exist_ok=True)
        record.kernel = kernel = self._make_kernel(record)
        record.apps = SessionApps(record.image.apps, record.work_dir, record.environ, record.image.runtime)
        if record.bootstrap_script:
            script = record.work_dir / "bootstrap.sh"
            await asyncio.to_thread(script.write_text, record.bootstrap_script, "utf-8")
            # A real container starts even when its bootstrap script fails: the log tells.
            await kernel.run_command("sh ./bootstrap.sh")

    def _fail_to_start(self, record: SessionRecord, error: Exception) -> None:
        now = self._clock.now()
        self._agents.release(record)
        record.terminated_at = now
        data = {"error": {"src": "other", "name": type(error).__name__, "repr": repr(error)}}
        record.move("CANCELLED", now, info="failed-to-start", data=data)
        self._announce.cancelled(record, "failed-to-start")
        self._spawn(self._clean_up(record))
        self._kick.set()

    async def _run_batch(self, record: SessionRecord) -> None:
        kernel, command = record.kernel, record.startup_command
        if kernel is None or command is None:
            raise RuntimeError("a batch session runs without a kernel or a command")
        try:
            exit_code = await kernel.run_command(command, timeout=record.batch_timeout)
        except TimeoutError:
            exit_code = -2  # what the server reports for a task that ran out of time
        except Exception:
            log.exception("the command of session %s could not be run", record.id)
            exit_code = 1
        await self._going.wait()
        if record.status != "RUNNING":
            return
        record.result = "SUCCESS" if exit_code == 0 else "FAILURE"
        self._announce.finished(record, exit_code)
        self._kick.set()  # somebody may have waited for this result
        record.driver = None
        self.terminate(record, "task-finished")

    async def wait_started(self, record: SessionRecord, seconds: float | None) -> str:
        """Wait until `record` runs or cannot any more; its status, or `TIMEOUT`."""
        try:
            async with self._clock.timeout(seconds):
                while record.status in BEFORE_RUNNING:
                    await record.changed.wait()
        except TimeoutError:
            return "TIMEOUT"
        return record.status

    @staticmethod
    async def wait_ended(record: SessionRecord) -> None:
        """Wait until `record` has ended."""
        while record.is_live:
            await record.changed.wait()

    # --- towards the end ------------------------------------------------------------------------------------

    def cancel(self, record: SessionRecord, reason: str) -> None:
        """PENDING → CANCELLED."""
        self._pending.pop(record.id, None)
        record.terminated_at = now = self._clock.now()
        record.move("CANCELLED", now, info=reason)
        self._announce.cancelled(record, reason)
        self._kick.set()

    def terminate(self, record: SessionRecord, reason: str, *, immediate: bool = False) -> None:
        """→ TERMINATING, and TERMINATED when the interpreter is gone."""
        if record.driver is not None:
            record.driver.cancel()
            record.driver = None
        self._pending.pop(record.id, None)
        record.move("TERMINATING", self._clock.now(), info=reason)
        self._announce.terminating(record, reason)
        if immediate:
            self._ended(record, reason)
            self._spawn(self._clean_up(record))
        else:
            self._spawn(self._wind_down(record, reason))

    async def _wind_down(self, record: SessionRecord, reason: str) -> None:
        await self._pause(self._step_delay)
        await self._clean_up(record)
        if record.is_live:
            self._ended(record, reason)

    def _ended(self, record: SessionRecord, reason: str) -> None:
        self._agents.release(record)
        record.terminated_at = now = self._clock.now()
        for kernel in record.kernels:
            kernel.terminated_at = now
        data: dict[str, Any] | None = {} if self._release.running_status_data else None
        record.move("TERMINATED", now, info=reason, data=data)
        self._announce.terminated(record, reason)
        self._kick.set()

    async def _clean_up(self, record: SessionRecord) -> None:
        await self._close_kernel(record)
        await asyncio.to_thread(shutil.rmtree, record.work_dir, ignore_errors=True)

    async def _close_kernel(self, record: SessionRecord) -> None:
        """End the session's interpreter, even if whoever wants it is cancelled meanwhile."""
        kernel, record.kernel = record.kernel, None
        if kernel is None:
            return
        record.last_logs = kernel.logs()
        closer = asyncio.get_running_loop().create_task(self._guard(self._close(kernel, record.apps)))
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)
        await asyncio.shield(closer)

    @staticmethod
    async def _close(kernel: Kernel, apps: SessionApps | None) -> None:
        async with asyncio.timeout(_CLOSE_LIMIT):
            if apps is not None:
                await apps.close()
            await kernel.close()

    async def restart(self, record: SessionRecord) -> None:
        """RUNNING → RESTARTING → RUNNING with a fresh interpreter; a batch command runs again."""
        record.move("RESTARTING", self._clock.now())
        if record.driver is not None:
            record.driver.cancel()
            record.driver = None
        await self._pause(self._step_delay)
        if record.apps is not None:
            await record.apps.stop_all()
        if record.kernel is not None:
            await record.kernel.restart()
        if record.status != "RESTARTING":
            return  # destroyed meanwhile
        self._back_to_running(record)
        if record.type == "batch":
            record.driver = self._spawn(self._run_batch(record))

    def _back_to_running(self, record: SessionRecord) -> None:
        data: dict[str, Any] | None = {} if self._release.running_status_data else None
        record.running_since = self._clock.monotonic()
        record.move("RUNNING", self._clock.now(), info=self._release.running_status_info, data=data)
        self._announce.restarted(record)

    # --- idle sessions --------------------------------------------------------------------------------------

    def idle_seconds(self, record: SessionRecord) -> float:
        """How long nothing has run in `record`."""
        if record.kernel is None or record.kernel.busy:
            return 0.0
        return self._clock.monotonic() - max(record.running_since, record.kernel.last_used)

    async def _watch_idle(self) -> None:
        while True:
            await self._pause(min(max(self._idle_timeout / 4, 0.05), 5.0))
            for record in self:
                runs = record.status == "RUNNING" and record.type != "batch"
                if runs and self.idle_seconds(record) >= self._idle_timeout:
                    self.terminate(record, "idle-timeout")
