"""Ctrl-C in blocking code: real signals, a real local cluster, nothing left behind, and the session goes on working."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from backendai_sdk import LocalCluster
from backendai_sdk.local import Agent

HEAD = """
from backendai_sdk import Session
api = Session({endpoint!r}, access_key={access_key!r}, secret_key={secret_key!r})
"""

WAITING = """
try:
    print("waiting", flush=True)
    api.create("python", resources="cpu=2 mem=1g", name="never-runs")
except KeyboardInterrupt:
    print("interrupted", api.list().first_page().total_count, flush=True)
"""

RUNNING = """
with api.create("python", resources="cpu=1 mem=512m") as cs:
    try:
        cs.execute("print('go', flush=True)\\nimport time; time.sleep(600)", on_output=lambda item: print("waiting", flush=True))
    except KeyboardInterrupt:
        print("interrupted", cs.execute("print(6 * 7)").stdout.strip(), flush=True)
"""


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Room for two cpus, one of which is taken."""
    with LocalCluster(agents=[Agent("i-small", cpu=2, mem="4g", accelerators={})]) as cluster:
        yield cluster


@pytest.mark.parametrize(("body", "says"), [(WAITING, "interrupted 1"), (RUNNING, "interrupted 42")])
def test_ctrl_c(cluster: LocalCluster, body: str, says: str) -> None:
    from backendai_sdk import Session

    settings = {
        "endpoint": cluster.endpoint,
        "access_key": cluster.access_key,
        "secret_key": cluster.secret_key,
    }
    with Session(**settings) as api, api.create("python", resources="cpu=1 mem=512m") as holder:
        script = HEAD.format(**settings) + body
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n"
            if body is WAITING:
                while not any(s.name == "never-runs" for s in cluster.live_sessions()):
                    time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=25)
        assert out.splitlines()[-1] == says
        assert err == ""
        assert child.returncode == 0
        left = [s for s in cluster.live_sessions() if s.status != "TERMINATING" and s.id != holder.id]
        assert left == []
