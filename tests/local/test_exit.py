"""A cluster that nobody stopped: the interpreter's exit ends it, without noise and without remains."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORGOTTEN = """
from backendai_sdk import Session
api = Session.local()
cs = api.create("python")
print(cs.execute("import os; print(os.getpid(), os.getcwd())").stdout, end="")
"""


@pytest.mark.parametrize("ending", ["", "1 / 0", "import sys; sys.exit(3)"])
def test_a_forgotten_cluster_ends_with_the_interpreter(ending: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGOTTEN + ending],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    pid, folder = done.stdout.split()
    noise = [] if not ending.startswith("1") else done.stderr.splitlines()[:-1]
    assert ("ZeroDivisionError" in done.stderr) == ending.startswith("1")
    assert "executor" not in done.stderr
    assert "Task" not in "".join(noise)
    assert ending or done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert not os.path.exists(folder)
