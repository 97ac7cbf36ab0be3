"""The cluster as an object: starting, stopping, leaving nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import pytest

from backendai_sdk.local import LocalCluster

ROOT = Path(__file__).parents[2]


def children():
    mine = str(os.getpid())
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == mine:
                found.add(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def test_blocking_use_and_nothing_left(tmp_path):
    threads, processes, files = set(threading.enumerate()), children(), len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with LocalCluster(work_dir=tmp_path) as cluster:
            url = cluster.endpoint
            assert urllib.request.urlopen(url).status == 200
            assert len(list(tmp_path.iterdir())) == 1
        del cluster
        gc.collect()
    assert set(threading.enumerate()) == threads
    assert children() == processes
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == files
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)


async def test_running_sessions_end_with_it(both):
    processes = children()
    cluster, api = await both()
    await api.create("runs-1")
    await api.run("runs-1", "1")
    waiting = asyncio.create_task(api.execute("runs-1", "import time; time.sleep(60)", "long"))
    await asyncio.sleep(0.3)
    assert children() > processes
    async with asyncio.timeout(15):
        await cluster.astop()
    assert children() == processes
    assert cluster.live_sessions() == []
    assert [s.status for s in cluster.sessions()] == ["TERMINATED"]
    await asyncio.gather(waiting, return_exceptions=True)


def test_start_and_stop_are_idempotent():
    cluster = LocalCluster()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = cluster.endpoint
    with pytest.raises(RuntimeError, match="not been started"):
        _ = cluster.user
    assert cluster.sessions() == []
    cluster.stop()
    assert cluster.start() is cluster.start()
    first, keys = cluster.endpoint, cluster.user
    cluster.stop()
    cluster.stop()
    cluster.start()
    assert cluster.user != keys
    assert cluster.endpoint
    assert first.startswith("http://127.0.0.1:")
    cluster.stop()
    assert "stopped" in repr(cluster)


async def test_inside_a_loop_and_beside_it(start):
    async with LocalCluster() as cluster:
        assert urllib.request.urlopen
        status = await asyncio.to_thread(lambda: urllib.request.urlopen(cluster.endpoint).status)
        assert status == 200
    with LocalCluster() as cluster:  # blocking use in a coroutine works too
        assert urllib.request.urlopen(cluster.endpoint).status == 200


async def test_cancelled_start_leaves_nothing():
    threads = set(threading.enumerate())

    async def use():
        async with LocalCluster():
            await asyncio.sleep(30)

    for wait in (0, 0.005, 0.02, 0.2):
        task = asyncio.create_task(use())
        await asyncio.sleep(wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    left = [t for t in set(threading.enumerate()) - threads if "cluster" in t.name]
    assert left == []


def test_taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        threads = set(threading.enumerate())
        cluster = LocalCluster(port=taken.getsockname()[1])
        with pytest.raises(OSError, match=r"[Aa]ddress"):
            cluster.start()
        assert set(threading.enumerate()) == threads


def test_unknown_release():
    with pytest.raises(ValueError, match=r"choose one of 23\.09"):
        LocalCluster("1.0")


def test_several_at_once():
    with LocalCluster("23.09") as one, LocalCluster("26.9") as two:
        assert one.endpoint != two.endpoint
        assert b"23.09" in urllib.request.urlopen(one.endpoint).read()
        assert b"26.9" in urllib.request.urlopen(two.endpoint).read()


def test_users():
    with LocalCluster() as cluster:
        added = cluster.add_user("somebody@local.test", admin=True)
        assert added.admin
        with pytest.raises(ValueError, match="somebody"):
            cluster.add_user("somebody@local.test")


async def test_many_at_once(both):
    from backendai_sdk.local import Agent

    cluster, api = await both(agents=[Agent(cpu=20, mem="64g")])
    made = await asyncio.gather(*(api.create(f"many-{n}", enqueueOnly=True) for n in range(60)))
    assert [m.status for m in made] == [201] * 60
    async with asyncio.timeout(20):
        while sum(s.status == "RUNNING" for s in cluster.sessions()) < 20:
            await asyncio.sleep(0.02)
        while live := cluster.live_sessions():
            running = [s for s in live if s.status == "RUNNING"]
            assert len(running) <= 20
            await asyncio.gather(*(api("DELETE", f"/session/{s.id}") for s in running))
            await asyncio.sleep(0.02)
    assert {s.status for s in cluster.sessions()} == {"TERMINATED"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_line(number, tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "backendai_sdk.local", "--release", "23.09", "--admin"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=ROOT
    ) as process:
        try:
            lines = [process.stdout.readline().strip() for _ in range(4)]
            values = dict(line.removeprefix("export ").split("=", 1) for line in lines)
            assert list(values) == [
                "BACKEND_ENDPOINT",
                "BACKEND_ENDPOINT_TYPE",
                "BACKEND_ACCESS_KEY",
                "BACKEND_SECRET_KEY",
            ]
            assert values["BACKEND_ENDPOINT_TYPE"] == "api"
            assert b"23.09.10" in urllib.request.urlopen(values["BACKEND_ENDPOINT"]).read()
            process.send_signal(number)
            assert process.wait(15) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []


def test_cleans_up_at_exit(tmp_path):
    code = "from backendai_sdk.local import LocalCluster; c = LocalCluster().start(); print(c.endpoint)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=20, env=environ
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
