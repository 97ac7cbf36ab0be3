"""Streams that are not read to their end, of every kind: left, dropped on any thread, or open when Python exits.

Each test is a program of its own, in which every warning is an error and unseen errors would be printed.  It
must end, say nothing on stderr, and leave no task running; the cluster must have been told.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sync_child import complaints

from backendai_sdk import ComputeSession, LocalCluster, Session

HEAD = """
import asyncio, gc, sys, threading, time
from backendai_sdk import Session
from backendai_sdk._portal import PORTAL

api = Session({endpoint!r}, access_key={access_key!r}, secret_key={secret_key!r})
cs = api.get({session!r})
CODE = '''
import time
try:
    print("begun", flush=True)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    open("told", "a").write("x")
'''
"""

# Each gives something as soon as it is open, from inside of its block if it has one.
KINDS = {
    "run": """
        with cs.stream_execute(CODE) as run:
            yield from run
    """,
    "run over a WebSocket": """
        with cs.stream_execute(CODE, transport="websocket") as run:
            yield from run
    """,
    "events": """
        with cs.stream_events() as events:
            yield events
            yield from events
    """,
    "watch": """
        with api.watch() as events:
            yield events
            yield from events
    """,
    "logs": """
        yield from cs.stream_logs(interval=0.05)
    """,
    "pager": """
        yield from api.list()
    """,
    "pages": """
        yield from api.list().pages()
    """,
    "task": """
        cs.execute("open('big', 'wb').write(b'x' * (4 << 20))")
        yield from cs.commit()
    """,
    "terminal": """
        with cs.pty() as terminal:
            yield terminal
            yield from terminal
    """,
    "port": """
        with cs.forward_port("simple") as forward:
            yield forward
    """,
    "session": """
        with api.create("python", tag="of-a-stream") as made:
            yield made
    """,
}
KIND = pytest.mark.parametrize("kind", KINDS)

LEFT = """
async def tasks():
    return len(asyncio.all_tasks())

def settled(before):
    until = time.monotonic() + 15
    while (now := PORTAL.call(tasks())) > before:
        assert time.monotonic() < until, f"{now} tasks are left, of {before}"
        time.sleep(0.01)

async def collect():
    box.clear()

def by_break():
    for _ in stream():
        break

def dropped_here():
    box.clear()

def dropped_on_a_thread():
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()

def dropped_on_the_loop():
    PORTAL.call(collect())

def found_by_the_collector():
    ring = [box.pop()]
    ring.append(ring)
    del ring
    gc.collect()

cs.execute("print('something for the log')")
by_break()  # whatever a first call starts has been started
api.ping()
before = PORTAL.call(tasks())
for leave in by_break, dropped_here, dropped_on_a_thread, dropped_on_the_loop, found_by_the_collector:
    box = [] if leave is by_break else [stream()]
    if box:
        next(box[0])
    leave()
    settled(before)
    assert cs.execute("print(6 * 7)").stdout == "42\\n"
    print(leave.__name__, flush=True)
api.close()
"""

EXITS = """
cs.execute("print('something for the log')")
kept = stream()
next(kept)
print("open", flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def api(cluster: LocalCluster) -> Iterator[Session]:
    with Session(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key) as api:
        yield api


@pytest.fixture
def cs(api: Session) -> Iterator[ComputeSession]:
    with api.create("python") as cs:
        yield cs


def run(cluster: LocalCluster, cs: ComputeSession, kind: str, code: str) -> subprocess.CompletedProcess[str]:
    head = HEAD.format(
        endpoint=cluster.endpoint,
        access_key=cluster.access_key,
        secret_key=cluster.secret_key,
        session=cs.id,
    )
    script = head + "def stream():" + textwrap.indent(textwrap.dedent(KINDS[kind]), "    ") + code
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def told(cluster: LocalCluster, cs: ComputeSession, kind: str, times: int) -> bool:
    """Whether the code of a run was interrupted, and a stream's own session has ended."""
    if kind == "session":
        return not any(s.tag == "of-a-stream" and s.status != "TERMINATING" for s in cluster.live_sessions())
    if not kind.startswith("run"):
        return True
    (folder,) = (Path(s.work_dir) for s in cluster.sessions() if s.id == cs.id)
    return (folder / "told").exists() and (folder / "told").read_text() == "x" * times


def wait_until_told(cluster: LocalCluster, cs: ComputeSession, kind: str, times: int) -> None:
    until = time.monotonic() + 10
    while not told(cluster, cs, kind, times):
        assert time.monotonic() < until, "the cluster was not told"
        time.sleep(0.02)


@KIND
def test_left_early(cluster: LocalCluster, cs: ComputeSession, kind: str) -> None:
    done = run(cluster, cs, kind, LEFT)
    assert complaints(done.stderr) == ""
    assert done.returncode == 0
    assert done.stdout.split() == [
        "by_break",
        "dropped_here",
        "dropped_on_a_thread",
        "dropped_on_the_loop",
        "found_by_the_collector",
    ]
    wait_until_told(cluster, cs, kind, 6)


@KIND
def test_open_when_python_exits(cluster: LocalCluster, cs: ComputeSession, kind: str) -> None:
    done = run(cluster, cs, kind, EXITS)
    assert (done.returncode, done.stdout, complaints(done.stderr)) == (0, "open\n", "")
    wait_until_told(cluster, cs, kind, 1)
