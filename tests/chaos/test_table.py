"""Every public call under every trouble: it ends in time, in success or an error of ours, and leaves nothing behind.

So it does when it is cancelled meanwhile, and when it blocks.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from chaos_both import AsyncView
from chaos_calls import CALLS, Call, Case
from chaos_troubles import CANCELLED, FEW, TROUBLES, Trouble

from backendai_sdk import (
    AsyncComputeSession,
    AsyncImages,
    AsyncSession,
    BackendAIError,
    LocalCluster,
    RetryPolicy,
    Session,
    Timeouts,
)
from backendai_sdk._async import _jobs
from backendai_sdk._portal import PORTAL

LIMIT = 12.0  # no call of the table may take as long
LINGER = 4.0  # nor may what it leaves live as long

# Far shorter than anybody's: so that what hangs ends within the test.
TIMEOUTS = Timeouts(connect=0.5, request=0.7, start=4, run=3, silence=0.7, cleanup=2)
RETRY = RetryPolicy(max_attempts=5, base=0.05, cap=0.2)

_shared: dict[str, str] = {}  # the running session that calls share


@pytest.fixture(autouse=True)
def _fast_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfers may take as long as on a slow line; here no line is slow, and what hangs is found sooner."""
    monkeypatch.setattr(_jobs, "_SLOWEST", 64 << 20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One for all: starting a thousand would take longer than the tests."""
    gc.collect()
    gc.freeze()  # what is there already need not be looked through after each of a thousand tests
    with LocalCluster(faults_seed=20, idle_timeout=0) as cluster:
        yield cluster
    gc.unfreeze()


def client(cluster: LocalCluster, timeouts: Timeouts = TIMEOUTS) -> AsyncSession:
    return AsyncSession(
        endpoint=cluster.endpoint,
        access_key=cluster.access_key,
        secret_key=cluster.secret_key,
        timeouts=timeouts,
        retry=RETRY,
    )


def blocking_client(cluster: LocalCluster, timeouts: Timeouts) -> Any:
    return AsyncView(
        Session(
            endpoint=cluster.endpoint,
            access_key=cluster.access_key,
            secret_key=cluster.secret_key,
            timeouts=timeouts,
            retry=RETRY,
        )
    )


async def running(cluster: LocalCluster, *, own: bool) -> str:
    """The id of a session with a file in it: one that is shared, or a new one."""
    if not own and _shared.get("id") in {s.id for s in cluster.live_sessions()}:
        return _shared["id"]
    async with client(cluster, Timeouts()) as api:
        cs = await api.create("python", name=f"{'own' if own else 'shared'}-{uuid.uuid4().hex[:8]}")
        if not own:
            await cs.execute("1")  # its interpreter starts now
    snapshot = next(s for s in cluster.sessions() if s.id == cs.id)
    (snapshot.work_dir / "there.bin").write_bytes(bytes(50_000))
    if not own:
        _shared["id"] = cs.id
    return cs.id


def rows() -> list[Any]:
    """Each call with each trouble that it has to bear."""
    return [
        pytest.param(call, trouble, id=f"{call.name}-{trouble.name}".replace(" ", "_"))
        for call in CALLS
        for trouble in TROUBLES
        if (trouble.name in FEW if call.few else call.core or not trouble.rare)
    ]


@pytest.mark.parametrize(("call", "trouble"), rows())
async def test_it_ends_well(call: Call, trouble: Trouble, cluster: LocalCluster, tmp_path: Path) -> None:
    await endure(call, trouble, cluster, tmp_path)


@pytest.mark.parametrize(("call", "trouble"), rows())
async def test_it_ends_well_blocking(
    call: Call, trouble: Trouble, cluster: LocalCluster, tmp_path: Path
) -> None:
    """The same program on the generated classes, each call in a thread; a part of it without ``--whole-table``."""
    await endure(call, trouble, cluster, tmp_path, blocking=True)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
@pytest.mark.parametrize("trouble", CANCELLED, ids=lambda trouble: trouble.name)
async def test_it_is_cancelled(call: Call, trouble: Trouble, cluster: LocalCluster, tmp_path: Path) -> None:
    await endure(call, trouble, cluster, tmp_path, cancel_after=0.03)


async def endure(
    call: Call,
    trouble: Trouble,
    cluster: LocalCluster,
    folder: Path,
    *,
    cancel_after: float | None = None,
    blocking: bool = False,
) -> None:
    threads = set(threading.enumerate())
    tasks = asyncio.all_tasks()
    error: BaseException | None = None
    session_id = await running(cluster, own=call.own)
    timeouts = attrs.evolve(TIMEOUTS, request=1.7, silence=1.7) if call.slow else TIMEOUTS
    async with blocking_client(cluster, timeouts) if blocking else client(cluster, timeouts) as api:
        cs = await api.get(session_id)
        case = Case(api, cs, f"new-{uuid.uuid4().hex[:8]}", folder)
        try:
            async with trouble.go_wrong(cluster):
                work = asyncio.ensure_future(call.run(case))
                if cancel_after is not None and not (await asyncio.wait([work], timeout=cancel_after))[0]:
                    work.cancel()
                try:
                    async with asyncio.timeout(LIMIT):
                        await work
                except BackendAIError as exc:
                    error = exc
                except asyncio.CancelledError as exc:
                    if cancel_after is None:
                        raise
                    error = exc
            await api.close()
            if error is not None and not trouble.fails and cancel_after is None:
                raise error
            await leaves_nothing(cluster, case, call, trouble, tasks, threads)
        finally:
            if error is not None and call.runs:
                _shared.clear()  # a run that failed may hold up the next
            await remove(cluster, {_shared.get("id")})


async def leaves_nothing(
    cluster: LocalCluster,
    case: Case,
    call: Call,
    trouble: Trouble,
    tasks: set[asyncio.Task[object]],
    threads: set[threading.Thread],
) -> None:
    assert asyncio.all_tasks() == tasks
    await no_task_of_blocking_calls()
    await no_connection(cluster)
    await no_session_nobody_holds(cluster, case, call, settles=trouble.settles)
    kept = ("asyncio", "backendai-local", "backendai-sdk")
    left = {t for t in threading.enumerate() if not t.name.startswith(kept)}
    assert left <= threads
    gc.collect()  # what was left open warns here, in this test


async def no_task_of_blocking_calls() -> None:
    if PORTAL._loop is not None:
        async with asyncio.timeout(LINGER):
            while len(asyncio.all_tasks(PORTAL._loop)) > 1:  # its own
                await asyncio.sleep(0.005)


async def no_connection(cluster: LocalCluster) -> None:
    front = cluster._front
    assert front is not None
    async with asyncio.timeout(LINGER):
        while front._links:
            await asyncio.sleep(0.005)


async def no_session_nobody_holds(cluster: LocalCluster, case: Case, call: Call, *, settles: bool) -> None:
    """What the call did not give to its caller is gone, if its client could reach the server."""
    if not settles:
        return
    known = {held.id for held in case.held} | {_shared.get("id")} | ({case.cs.id} if call.own else set())
    try:
        async with asyncio.timeout(LINGER):
            while any(s.id not in known for s in cluster.live_sessions()):
                await asyncio.sleep(0.005)
    except TimeoutError:
        left = [(s.name, s.status) for s in cluster.live_sessions() if s.id not in known]
        raise AssertionError(f"nobody holds {left}") from None


async def remove(cluster: LocalCluster, keep: set[str | None]) -> None:
    if all(s.id in keep for s in cluster.live_sessions()):
        return
    async with client(cluster, Timeouts()) as api:
        await api.destroy(*(s.id for s in cluster.live_sessions() if s.id not in keep))
    async with asyncio.timeout(10):
        while any(s.id not in keep for s in cluster.live_sessions()):
            await asyncio.sleep(0.005)


def test_every_call_is_here() -> None:
    # Reaping asks for nothing while nobody has died: see test_killed. Detaching asks for nothing at all.
    skipped = {"AsyncSession.local", "AsyncSession.config", "AsyncSession.reap", "AsyncComputeSession.detach"}
    public = {
        f"{owner.__name__}.{name}"
        for owner in (AsyncSession, AsyncComputeSession, AsyncImages)
        for name, value in vars(owner).items()
        if not name.startswith("_") and not isinstance(value, property)
    }
    assert public - skipped - {name for call in CALLS for name in call.covers} == set()
