"""One blocking session in many threads, with interrupts, and on both sides of a fork."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sync_child import complaints

from backendai_sdk import LocalCluster, Session
from backendai_sdk._portal import PORTAL, Portal

THREADS = 16


class Interrupted(BaseException):
    """What Ctrl-C raises in the main thread, for any thread."""


def interrupt(thread: threading.Thread) -> None:
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted))


async def trace(function: Any) -> Any:
    """Have that function trace the portal's thread; which one did?"""
    before = sys.gettrace()
    sys.settrace(function)
    return before


@pytest.fixture
def _untraced() -> Iterator[None]:
    """Take coverage's trace function away from this thread, the portal's, and the new ones.

    While an exception is pending for a thread that waits, CPython 3.11 cannot enter a traced function: it looks for
    something to do for this thread again and again, without a step forward.
    """
    here, there, portals = sys.gettrace(), threading.gettrace(), PORTAL.call(trace(None))
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    threading.settrace(there)  # type: ignore[arg-type]
    sys.settrace(here)
    PORTAL.call(trace(portals))


def under_interrupts(ask: Callable[[int, int], tuple[object, object]], calls: int, *, pause: float) -> None:
    """Have each of the threads ask that often, and interrupt them at random: what it gets must be what it wants."""
    random_ = random.Random(6)
    progress = [0] * THREADS
    pending = [True] * THREADS
    interrupts = [0] * THREADS
    wrong: list[object] = []

    def work_on(me: int) -> None:
        while progress[me] < calls:
            pending[me] = False  # from here on an interrupt is caught
            want, got = ask(me, progress[me])
            if got != want:
                wrong.append((want, got))
            progress[me] += 1

    def work(me: int) -> None:
        while progress[me] < calls:
            try:
                work_on(me)
            except Interrupted:
                interrupts[me] += 1
            except BaseException as error:
                wrong.append(error)
                progress[me] = calls

    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(made < calls for made in progress):
        me = random_.randrange(THREADS)
        if progress[me] < calls * 9 // 10 and not pending[me]:
            pending[me] = True
            interrupt(threads[me])
        time.sleep(pause)  # for the others' sake
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert all(interrupts), interrupts


# An interrupt may come before the portal has got hold of the coroutine.
@pytest.mark.usefixtures("_untraced")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_answers_never_cross_under_interrupts() -> None:
    portal = Portal()

    async def echo(value: object, pauses: int) -> object:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return value

    async def relay(callback: Callable[[], object]) -> object:
        return await callback()  # type: ignore[misc]

    def ask(me: int, number: int) -> tuple[object, object]:
        want = (me, number)
        if number % 4:
            return want, portal.call(echo(want, number % 3))
        return want, portal.call(relay(portal.on_caller(lambda: want)))

    under_interrupts(ask, 1000, pause=0.0005)
    portal.call(echo(None, 10))
    portal._exit()
    assert portal._tasks == set()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


def settings(cluster: LocalCluster) -> dict[str, str]:
    return {
        "endpoint": cluster.endpoint,
        "access_key": cluster.access_key,
        "secret_key": cluster.secret_key,
    }


FIELDS = ("name", "image", "type", "status", "tag", "created_at", "cluster_size", "cluster_mode")


@pytest.mark.usefixtures("_untraced")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_answers_of_one_session_never_cross_under_interrupts() -> None:
    """Real requests, whose answers say who has asked: a file of the thread's own, a row with the fields it wants."""

    async def tasks() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    before = PORTAL.call(tasks())
    with LocalCluster() as cluster, Session(**settings(cluster)) as api, api.create("python") as cs:
        texts = {(me, n): f"{me} {n} " * (me + 1) for me in range(THREADS) for n in range(3)}
        for (me, n), text in texts.items():
            cs.write_file(f"{me}-{n}.txt", text)

        def ask(me: int, number: int) -> tuple[object, object]:
            if number % 2:
                return texts[me, number % 3], cs.read_file(f"{me}-{number % 3}.txt").decode()
            fields = {"id", FIELDS[me % len(FIELDS)]}
            page = api.list(fields=tuple(fields), page_size=1 + me).first_page()
            return fields, {name for name, _ in page[0].items()}

        under_interrupts(ask, 60, pause=0.002)
        assert cs.read_file("3-1.txt").decode() == texts[3, 1]
        assert [s.id for s in cluster.live_sessions()] == [cs.id]

    assert PORTAL.call(tasks()) <= before


MEET = """
import pathlib, time
here = pathlib.Path({folder!r})
(here / "{me}").touch()
while len(list(here.iterdir())) < 4:
    time.sleep(0.005)
print({me})
"""


def test_four_calls_on_one_session_are_under_way_at_once(cluster: LocalCluster, tmp_path: Path) -> None:
    """Each waits in the cluster for the other three."""
    with Session(**settings(cluster)) as api, ExitStack() as stack:
        made = [stack.enter_context(api.create("python", resources="cpu=1 mem=256m")) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            runs = [
                pool.submit(made[me].execute, MEET.format(folder=str(tmp_path), me=me), timeout=20)
                for me in range(4)
            ]
            assert [run.result().stdout for run in runs] == [f"{me}\n" for me in range(4)]


FORK = """
import os, sys, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # about threads and fork
from backendai_sdk import BackendAIError, Session

def say(*words):
    print(*words, flush=True)

other = Session(**{settings!r})
with Session(**{settings!r}) as api, api.create("python") as cs:
    rows = iter(other.list())
    other.ping()
    assert cs.execute("print(1)").stdout == "1\\n"
    pid = os.fork()
    if pid == 0:
        try:
            say("old", cs.execute("print(2)").stdout.strip())
        except BackendAIError as error:
            say("refused", type(error).__name__, str(error))
        with Session(**{settings!r}) as fresh:
            say("fresh", fresh.get(cs.id).execute("print(3)").stdout.strip())
        if {closes}:
            api.close()
            other.close()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    say("still", next(rows).id == cs.id, other.list().total_count())
    say("parent", cs.execute("print(4)").stdout.strip(), cs.refresh().status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("closes", [True, False])
def test_a_forked_child_is_told_to_start_anew_and_leaves_the_parents_things_alone(
    cluster: LocalCluster, closes: bool
) -> None:
    script = FORK.format(settings=settings(cluster), closes=closes)
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)
    assert complaints(done.stderr) == ""
    refused, *rest = done.stdout.splitlines()
    assert refused.startswith("refused UsageError this session was in use before os.fork()")
    assert rest == ["fresh 3", "still True 1", "parent 4 RUNNING"]
