"""The types of the public API, as users' checkers see them. Never run: mypy --strict and pyright read it.

Both faces are listed side by side, so that one cannot change without the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from backendai_sdk import (
    App,
    AppAccess,
    AsyncBackgroundTask,
    AsyncComputeSession,
    AsyncEventStream,
    AsyncImages,
    AsyncPager,
    AsyncPortForward,
    AsyncPty,
    AsyncRun,
    AsyncSession,
    BackgroundTask,
    ByteSize,
    CommitStatus,
    Completions,
    ComputeSession,
    Config,
    DependencyNode,
    DestroyOutcome,
    EventStream,
    ExecutionResult,
    Explanation,
    FileEntry,
    FileTransfer,
    Html,
    ImageInfo,
    Images,
    InputRequest,
    LocalCluster,
    Page,
    Pager,
    PendingReason,
    Phase,
    PortForward,
    Pty,
    ReapReport,
    ReasonKind,
    RemoteError,
    ResourceSlots,
    Run,
    RunItem,
    ServerInfo,
    Session,
    SessionEvent,
    SessionInfo,
    SessionStatus,
    Stdout,
    TaskProgress,
    TaskStatus,
    TransferProgress,
    Verdict,
    deadline,
)


async def asynchronous() -> None:
    async with AsyncSession.local(release="26.8") as api:
        assert_type(api, AsyncSession)
        assert_type(api.config, Config)
        assert_type(await api.ping(), ServerInfo)
        assert_type(api.list(), AsyncPager[SessionInfo])
        assert_type(await api.list(status=["running"], fields="all"), Page[SessionInfo])
        assert_type(await api.list().first_page(), Page[SessionInfo])
        assert_type(await api.list().total_count(), int)
        async for row in api.list():
            assert_type(row, SessionInfo)
        async for page in api.list().pages():
            assert_type(page, Page[SessionInfo])
        assert_type(await api.match("x"), Sequence[SessionInfo])
        assert_type(await api.get("x"), AsyncComputeSession)
        assert_type(await api.ensure("name", "python", tag="t"), AsyncComputeSession)
        assert_type(await api.destroy("a", "b", forced=True), Sequence[DestroyOutcome])
        assert_type(await api.reap(owner="x", dry_run=True), ReapReport)
        assert_type(await api.run("python", code="1", resources="cpu=1"), ExecutionResult)
        assert_type(api.with_options(timeout=1), AsyncSession)
        assert_type(await api.create("python"), AsyncComputeSession)
        async with api.create("python", resources={"cpu": 1}, on_progress=progress) as cs:
            assert_type(cs, AsyncComputeSession)
            assert_type(cs.id, str)
            assert_type(cs.status, SessionStatus)
            assert_type(await cs.refresh(), SessionInfo)
            assert_type(await cs.wait("running", timeout=1), SessionInfo)
            assert_type(await cs.execute("1", on_output=output, stdin=answer), ExecutionResult)
            assert_type(await cs.execute("1", timeout=5, transport="websocket"), ExecutionResult)
            assert_type(await cs.execute_batch(exec="ls"), ExecutionResult)
            assert_type(cs.exit_code, int | None)
            assert_type(await cs.logs(), str)
            assert_type(await cs.upload(["a", Path("b")], to="c", progress=how_far), FileTransfer)
            assert_type(await cs.download("a", to=Path("b"), overwrite=True, progress=True), FileTransfer)
            assert_type(await cs.read_file("a"), bytes)
            assert_type(await cs.write_file(Path("a"), b"", overwrite=False), None)
            assert_type(await cs.list_files("a", recursive=True), list[FileEntry])
            assert_type(await cs.remove(["a"], recursive=True), None)
            assert_type(await cs.destroy(), DestroyOutcome)
            assert_type(await cs.detach(), None)
            async with cs.stream_execute("1", transport="rest") as run:
                assert_type(run, AsyncRun)
                assert_type(run.waiting, bool)
                async for item in run:
                    assert_type(item, RunItem)
                assert_type(run.result(), ExecutionResult)
            async with cs.stream_events() as events:
                assert_type(events, AsyncEventStream)
                async for event in events:
                    assert_type(event, SessionEvent)
                    assert_type(event.status, SessionStatus | None)
            async with api.watch(cs, "name", status=["RUNNING", "dead"]) as watched:
                assert_type(watched, AsyncEventStream)
            async with cs.resume("id") as resumed:
                assert_type(resumed, AsyncRun)


async def asynchronous_apps(api: AsyncSession, cs: AsyncComputeSession) -> None:
    assert_type(api.images, AsyncImages)
    assert_type(await api.images.list(installed=True), Page[ImageInfo])
    assert_type(await api.images.get("x", architecture="x86_64"), ImageInfo)
    assert_type(cs.stream_logs(interval=1), AsyncIterator[str])
    assert_type(await cs.complete("x", row=0, col=1), Completions)
    assert_type(await cs.apps(), Sequence[App])
    assert_type(await cs.start_app("x", env={"A": "1"}, args={"--x": None}), AppAccess)
    assert_type(await cs.status_history(), Mapping[SessionStatus, datetime])
    assert_type(await cs.dependency_graph(), DependencyNode)
    assert_type(await cs.explain(), Explanation)
    explanation = await cs.explain()
    assert_type(explanation.reasons, tuple[PendingReason, ...])
    assert_type(explanation.verdict, Verdict | None)
    assert_type(explanation.reasons[0].kind, ReasonKind)
    assert_type(await cs.commit_status(), CommitStatus)
    assert_type(await cs.task_log(), str)
    assert_type(await cs.commit(), AsyncBackgroundTask)
    async for report in await cs.convert_to_image("x"):
        assert_type(report, TaskProgress)
    assert_type(await api.background_task("id").wait(timeout=1, on_progress=report_of), TaskProgress)
    async with cs.forward_port("x", 8080) as forward:
        assert_type(forward, AsyncPortForward)
        assert_type(forward.port, int)
        assert_type(forward.url, str)
    async with cs.pty(rows=1, cols=1, via="ttyd") as terminal:
        assert_type(terminal, AsyncPty)
        async for data in terminal:
            assert_type(data, bytes)


def blocking() -> None:
    with Session.local(release="26.8") as api:
        assert_type(api, Session)
        assert_type(api.config, Config)
        assert_type(api.ping(), ServerInfo)
        assert_type(api.list(), Pager[SessionInfo])
        assert_type(api.list().first_page(), Page[SessionInfo])
        assert_type(api.list().total_count(), int)
        for row in api.list(status="all", fields=["id"]):
            assert_type(row, SessionInfo)
        assert_type(api.list().pages(), Iterator[Page[SessionInfo]])
        assert_type(api.match("x"), Sequence[SessionInfo])
        assert_type(api.get("x"), ComputeSession)
        assert_type(api.ensure("name", "python", tag="t"), ComputeSession)
        assert_type(api.destroy("a", "b", forced=True), Sequence[DestroyOutcome])
        assert_type(api.reap(owner="x", dry_run=True), ReapReport)
        assert_type(api.run("python", code="1", resources="cpu=1"), ExecutionResult)
        assert_type(api.with_options(timeout=1), Session)
        assert_type(api.create("python"), ComputeSession)
        with api.create("python", resources={"cpu": 1}, on_progress=progress) as cs:
            assert_type(cs, ComputeSession)
            assert_type(cs.id, str)
            assert_type(cs.status, SessionStatus)
            assert_type(cs.refresh(), SessionInfo)
            assert_type(cs.wait("running", timeout=1), SessionInfo)
            assert_type(cs.execute("1", on_output=output, stdin=answer), ExecutionResult)
            assert_type(cs.execute_batch(exec="ls", transport="websocket"), ExecutionResult)
            assert_type(cs.exit_code, int | None)
            assert_type(cs.logs(), str)
            assert_type(cs.upload(["a", Path("b")], to="c", progress=how_far), FileTransfer)
            assert_type(cs.download("a", to=Path("b"), overwrite=True, progress=True), FileTransfer)
            assert_type(cs.read_file("a"), bytes)
            assert_type(cs.write_file(Path("a"), b"", overwrite=False), None)
            assert_type(cs.list_files("a", recursive=True), list[FileEntry])
            assert_type(cs.remove(["a"], recursive=True), None)
            assert_type(cs.destroy(), DestroyOutcome)
            with cs.stream_execute("1") as run:
                assert_type(run, Run)
                for item in run:
                    assert_type(item, RunItem)
                assert_type(run.result(), ExecutionResult)
            with cs.stream_events() as events:
                assert_type(events, EventStream)
                for event in events:
                    assert_type(event, SessionEvent)
            with api.watch(cs, "id", status="all") as watched:
                assert_type(watched, EventStream)
            with cs.resume("id") as resumed:
                assert_type(resumed, Run)


def files(entry: FileEntry, done: FileTransfer) -> None:
    assert_type(entry.mtime, datetime | None)
    assert_type(entry.size, int)
    assert_type(done.bytes, int)


def blocking_apps(api: Session, cs: ComputeSession) -> None:
    assert_type(api.images, Images)
    assert_type(api.images.list(installed=True), Page[ImageInfo])
    assert_type(api.images.get("x", architecture="x86_64"), ImageInfo)
    assert_type(cs.stream_logs(interval=1), Iterator[str])
    assert_type(cs.complete("x", row=0, col=1), Completions)
    assert_type(cs.apps(), Sequence[App])
    assert_type(cs.start_app("x", env={"A": "1"}, args={"--x": None}), AppAccess)
    assert_type(cs.status_history(), Mapping[SessionStatus, datetime])
    assert_type(cs.dependency_graph(), DependencyNode)
    assert_type(cs.explain(), Explanation)
    assert_type(cs.commit_status(), CommitStatus)
    assert_type(cs.task_log(), str)
    assert_type(cs.commit(), BackgroundTask)
    for report in cs.convert_to_image("x"):
        assert_type(report, TaskProgress)
    assert_type(api.background_task("id").wait(timeout=1, on_progress=report_of), TaskProgress)
    with cs.forward_port("x", 8080) as forward:
        assert_type(forward, PortForward)
        assert_type(forward.port, int)
        assert_type(forward.url, str)
    with cs.pty(rows=1, cols=1, via="ttyd") as terminal:
        assert_type(terminal, Pty)
        for data in terminal:
            assert_type(data, bytes)


def values(row: SessionInfo, result: ExecutionResult, page: Page[SessionInfo], item: RunItem) -> None:
    assert_type(row.id, str)
    assert_type(row.name, str)
    assert_type(row.created_at, datetime | None)
    assert_type(row.occupying_slots, ResourceSlots | None)
    assert_type(result.exit_code, int | None)
    assert_type(result.ok, bool)
    assert_type(result.error, RemoteError | None)
    assert_type(result.check(), ExecutionResult)
    assert_type(page.items, tuple[SessionInfo, ...])
    assert_type(page.total_count, int)
    slots = ResourceSlots.parse("cpu=1")
    assert_type(slots["cpu"], Decimal | ByteSize)
    match item:
        case Stdout(text) | Html(text):
            assert_type(text, str)
        case InputRequest(is_password):
            assert_type(is_password, bool)
        case _:
            pass
    with deadline(5), LocalCluster() as cluster:
        assert_type(cluster.endpoint, str)


def progress(phase: Phase, status: SessionStatus, message: str) -> None:
    print(phase, status, message)


def how_far(progress: TransferProgress) -> None:
    print(progress.files, progress.total_bytes)


def report_of(progress: TaskProgress) -> None:
    assert_type(progress.status, TaskStatus)
    assert_type(progress.fraction, float | None)


async def output(item: RunItem) -> None:
    print(item)


def answer(prompt: str) -> str:
    return prompt
