"""A program that is killed while it creates fifty sessions: one ``reap()`` later none of them lives.

Real children, a real SIGKILL, a cluster that survives them: it runs in the test's process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import AsyncSession, LocalCluster, ReapReport, Session

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here"),
]

ROOT = Path(__file__).parents[2]
ASYNC = """
    import asyncio
    from backendai_sdk import AsyncSession

    async def main():
        async with AsyncSession() as api:
            async def one():
                async with api.create("python", resources="cpu=1 mem=128m"):
                    print("up", flush=True)
                    await asyncio.Event().wait()
            await asyncio.gather(*(one() for _ in range(50)))

    asyncio.run(main())
"""
BLOCKING = """
    from concurrent.futures import ThreadPoolExecutor
    from backendai_sdk import Session

    api = Session()

    def one(_):
        api.create("python", resources="cpu=1 mem=128m")
        print("up", flush=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(50)))
    input()
"""
QUEUED = ASYNC.replace('"cpu=1 mem=128m"', '"cpu=100 mem=128m"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite3"


@pytest.fixture
def start(cluster: LocalCluster, path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a program with that cluster and that journal in its environment."""
    environ = os.environ | {
        "BACKEND_ENDPOINT": cluster.endpoint,
        "BACKEND_ACCESS_KEY": cluster.access_key,
        "BACKEND_SECRET_KEY": cluster.secret_key,
        "BACKEND_JOURNAL": str(path),
    }
    with ExitStack() as stack:

        def begin(code: str) -> subprocess.Popen[str]:
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            command = [sys.executable, "-c", textwrap.dedent(code)]
            child = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environ, text=True, **pipes))
            stack.callback(child.kill)
            return child

        yield begin


@pytest.fixture
def settings(cluster: LocalCluster, path: Path) -> dict[str, Any]:
    """The same for a client session of the test's own."""
    return {
        "endpoint": cluster.endpoint,
        "access_key": cluster.access_key,
        "secret_key": cluster.secret_key,
        "journal": path,
    }


def written(path: Path) -> int:
    """How many sessions the journal has."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # its tables are being made


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL


def living(cluster: LocalCluster) -> set[str]:
    return {s.id for s in cluster.live_sessions()}


async def dies_down(cluster: LocalCluster, *held: str) -> None:
    """Wait until those that are being ended have ended: no others may live."""
    left = {s.id for s in cluster.live_sessions() if s.status != "TERMINATING"}
    assert left == set(held)
    while living(cluster) != set(held):
        await asyncio.sleep(0.02)


def look(report: ReapReport) -> None:
    known = {"terminated", "cancelled", "gone", "never made", "unsettled"}
    assert {o.status for o in report.outcomes} <= known, report
    assert report.outcomes


@pytest.mark.parametrize("lines", [0, 1, 10, 25, 49])
@pytest.mark.parametrize("program", [ASYNC, BLOCKING, QUEUED], ids=["async", "threads", "queued"])
async def test_killed_while_creating_fifty(
    cluster: LocalCluster,
    start: Any,
    path: Path,
    settings: dict[str, Any],
    program: str,
    lines: int,
) -> None:
    async with AsyncSession(**settings) as api:
        async with api.create("python", resources="cpu=1 mem=128m") as held:
            await api._client.journal.flush()
            child = start(program)
            if program is QUEUED or lines == 0:
                # By entries instead: of those that wait in the queue nothing is printed.
                while written(path) - 1 <= lines:  # one is held here
                    await asyncio.sleep(0.001)
            for _ in range(0 if program is QUEUED else lines):
                await asyncio.to_thread(child.stdout.readline)
            kill(child)
            report = await api.reap()
            look(report)
            assert report.held == 1
            await dies_down(cluster, held.id)
            assert (await held.execute("print('unharmed')")).stdout == "unharmed\n"
        again = await api.reap()
        assert {o.status for o in again.outcomes} <= {"unsettled"}
    await dies_down(cluster)


async def test_the_sessions_of_living_programs_are_not_touched(
    cluster: LocalCluster, start: Any, path: Path, settings: dict[str, Any]
) -> None:
    one, two = start(ASYNC), start(BLOCKING)
    for _ in range(10):
        await asyncio.to_thread(two.stdout.readline)
    for _ in range(50):
        assert await asyncio.to_thread(one.stdout.readline) == "up\n"
    kill(two)
    async with AsyncSession(**settings) as api:
        report = await api.reap()
        look(report)
        assert report.held == 50
        alive = [s for s in cluster.live_sessions() if s.status == "RUNNING"]
        assert len(alive) == 50
        assert not {o.session_id for o in report.outcomes} & {s.id for s in alive}
        kill(one)
        report = await api.reap()
        assert len([o for o in report.outcomes if o.status == "terminated"]) == 50
        await dies_down(cluster)


@pytest.mark.timeout(180)  # a hundred sessions, listed by four at once
async def test_several_reapers_of_several_dead(
    cluster: LocalCluster, start: Any, path: Path, settings: dict[str, Any]
) -> None:
    """From this process, from a thread of it, and from another process, all at once."""
    reaper = """
        from backendai_sdk import Session
        with Session() as api:
            input()
            api.reap().check()
            print("reaped", flush=True)
    """
    children, third = [start(ASYNC), start(BLOCKING)], start(reaper)
    for child in children:
        for _ in range(15):
            await asyncio.to_thread(child.stdout.readline)
    for child in children:
        kill(child)

    def blocking() -> ReapReport:
        with Session(**settings) as api:
            return api.reap()

    third.stdin.write("\n")
    third.stdin.flush()
    async with AsyncSession(**settings) as api:
        reports = await asyncio.gather(api.reap(), api.reap(), asyncio.to_thread(blocking))
    assert await asyncio.to_thread(third.stdout.readline) == "reaped\n"
    for report in reports:
        report.check()
    await dies_down(cluster)


async def test_a_program_that_ends_by_itself_leaves_nothing_to_reap(
    cluster: LocalCluster, start: Any, path: Path, settings: dict[str, Any]
) -> None:
    child = start("""
        from backendai_sdk import Session
        with Session() as api:
            with api.create("python", resources="cpu=1 mem=128m"):
                print("up", flush=True)
            kept = api.create("python", resources="cpu=1 mem=128m")
            kept.detach()
    """)
    assert await asyncio.to_thread(child.wait, 30) == 0
    assert written(path) == 0
    async with AsyncSession(**settings) as api:
        assert (await api.reap()).outcomes == ()
        (kept,) = [s for s in cluster.live_sessions() if s.status != "TERMINATING"]
        await api.destroy(kept.id)


async def test_a_program_that_exits_without_closing_anything(
    cluster: LocalCluster, start: Any, path: Path, settings: dict[str, Any]
) -> None:
    """What it has kept is reaped; what it was about to write at exit is written."""
    child = start("""
        from backendai_sdk import Session
        api = Session()
        gone = api.create("python", resources="cpu=1 mem=128m")
        kept = api.create("python", resources="cpu=1 mem=128m")
        gone.destroy()
    """)
    assert await asyncio.to_thread(child.wait, 30) == 0
    assert written(path) == 1
    async with AsyncSession(**settings) as api:
        assert [o.status for o in (await api.reap()).outcomes] == ["terminated"]
    await dies_down(cluster)
