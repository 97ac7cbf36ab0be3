"""`backend.ai run` of the official client: its code really runs, and what the program says comes back."""

from __future__ import annotations

from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)

CLEANED = ["✓ [0] Cleaned up the session."]


def ready(name: str) -> list[str]:
    """What is said before a run in a new session."""
    made = f"✓ [0] Session {name} is ready (domain=default, group=default)."
    return [f"∙ Session name prefix: {name}", made]


def finished(code: int) -> list[str]:
    return [f"✓ [0] Execution finished. (exit code = {code})"]


def prefix(done: Any) -> str:
    """The name that the client has chosen for a session."""
    return done.said[0].removeprefix("∙ Session name prefix: ")


def test_run_a_snippet(backendai: Any, api: Session) -> None:
    done = backendai.ok("run", "--rm", "-c", 'print("hello world")', "python:3.6-ubuntu18.04")
    assert done.out == "hello world\n"
    assert done.said == ready(prefix(done)) + finished(0) + CLEANED
    row = next(iter(api.list(status="dead", fields=["name", "image", "status"])))
    assert (row.name, row.status) == (prefix(done), "TERMINATED")
    assert row.image == "cr.backend.ai/stable/python:3.6-ubuntu18.04"


def test_run_quietly(backendai: Any) -> None:
    done = backendai.ok(
        "run", "-q", "--rm", "-c", "import sys; print('out'); print('err', file=sys.stderr)", "python"
    )
    assert (done.out, done.err) == ("out\n", "err\n")


def test_run_for_longer_than_one_answer(backendai: Any) -> None:
    """Servers hand out a run's output at intervals of up to two seconds; this run takes several of them."""
    code = "import time\nfor n in range(3): print(n, flush=True); time.sleep(1)"
    assert backendai.ok("run", "--rm", "-c", code, "python").out == "0\n1\n2\n"


def test_run_in_a_session_that_stays(backendai: Any, official: Any, api: Session) -> None:
    done = backendai.ok("run", "-t", "kept-1", "-c", "x = 6 * 7", "python")
    assert done.said == ready("kept-1") + finished(0)
    done = backendai.ok("run", "-t", "kept-1", "-c", "print(x)", "python")
    assert done.out == "42\n"
    assert done.said == ["∙ Session name prefix: kept-1", "✓ [0] Reusing session kept-1...", *finished(0)]
    done = backendai.ok("run", "-t", "kept-1", "-c", "1 / 0", "python")
    assert done.out == ""
    assert "ZeroDivisionError" in done.err
    # Only newer servers give an uncaught exception an exit code.
    assert f"Execution finished. (exit code = {int(official.modern)})" in done.err
    done = backendai.ok("session", "logs", "kept-1")
    assert done.out.startswith("42\n")
    assert "ZeroDivisionError" in done.out
    assert done.said == ["✓ End of logs."]
    assert [row.name for row in api.list()] == ["kept-1"]


@pytest.mark.parametrize("way", ["snippet", "file"])
def test_run_with_input(backendai: Any, official: Any, way: str) -> None:
    code = "print([input('one? '), input('two? ')])"
    (backendai.folder / "ask.py").write_text(code)
    # Real servers of 26.9 lose the end of a build or a program that is too quick.
    pause = "sleep 3; " if official.modern else ""
    what = {
        "snippet": ["-c", code, "python"],
        "file": ["--build", f"{pause}true", "--exec", f"{pause}python ask.py", "python", "ask.py"],
    }
    done = backendai.ok("run", "--rm", *what[way], stdin="a\nb\nc\n")
    assert done.out == "one? two? ['a', 'b']\n"


def test_run_a_command_with_a_file(backendai: Any, official: Any) -> None:
    (backendai.folder / "myscript.py").write_text(
        "import sys\nprint(sys.argv[1:])\nprint('bad', file=sys.stderr)\nsys.exit(7)\n"
    )
    command = "python myscript.py arg1 arg2"
    options = ["--exec", command]
    if official.modern:
        options = ["--build", "sleep 3", "--exec", f"sleep 3; {command}"]
    done = backendai.ok("run", "--rm", *options, "python:3.6-ubuntu18.04", "./myscript.py")
    assert done.out == "['arg1', 'arg2']\n"
    no_build = 'python-kernel: python-kernel: skipping the build phase due to missing "setup.py" file'
    assert done.said == [
        *ready(prefix(done)),
        "✓ [0] Uploading done.",
        "✓ [0] Clean finished. (exit code = 0)",
        *([] if official.modern else [no_build]),
        "✓ [0] Build finished. (exit code = 0)",
        "bad",
        *finished(7),
        *CLEANED,
    ]


def test_run_with_all_steps_in_a_folder(backendai: Any, official: Any) -> None:
    folder = backendai.folder / "project"
    folder.mkdir()
    (folder / "main.py").write_text("import os; print('ran', os.environ['GREETING'])")
    pause = "sleep 3; " if official.modern else ""
    done = backendai.ok(
        *("run", "--rm", "-e", "GREETING=a=b", "--basedir", "project"),
        *("--clean", f"{pause}echo cleaned", "--build", f"{pause}echo built; ls"),
        *("--exec", f"{pause}python main.py", "python", "project/main.py"),
    )
    assert done.out == "cleaned\nbuilt\nmain.py\nran a=b\n"
    assert [line for line in done.said if "exit code" in line] == [
        "✓ [0] Clean finished. (exit code = 0)",
        "✓ [0] Build finished. (exit code = 0)",
        *finished(0),
    ]


def test_run_with_resources(backendai: Any, api: Session) -> None:
    slots = ["-r", "cpu=4", "-r", "mem=8g", "-r", "cuda.shares=2"]
    done = backendai.ok("run", "-t", "large-1", *slots, "-c", 'print("with a GPU")', "python")
    assert done.out == "with a GPU\n"
    (row,) = api.list(fields=["name", "occupying_slots"])
    assert (row.name, str(row.occupying_slots)) == ("large-1", "cpu=4 mem=8g cuda.shares=2")


def test_run_the_same_for_several_values(backendai: Any) -> None:
    """One session for each value, and all that they say in files of their own."""
    options = ["--env-range", "N=case:3,4", "-e", "FACTOR=$N"]
    code = "import os; print(int(os.environ['FACTOR']) * 2)"
    done = backendai.ok("run", "--rm", *options, "-c", code, "python")
    assert [line[:16] for line in done.out.splitlines()] == ["env = 'FACTOR=3'", "env = 'FACTOR=4'"]
    logs = (backendai.folder.parent / "home" / ".cache" / "backend.ai").rglob("*.stdout.log")
    assert sorted(log.read_text() for log in logs) == ["6\n", "8\n"]


@pytest.mark.parametrize("command", [["start"], ["run", "-c", "print(1)"]], ids=["start", "run"])
def test_enqueue_only(backendai: Any, full: Session, command: list[str]) -> None:
    done = backendai.ok(*command, "--enqueue-only", "-r", "cpu=1", "-t", "queued-1", "python")
    queued = full.get("queued-1")
    shown = queued.id if command == ["start"] else "queued-1"
    assert done.out == ""
    assert done.said[-1] == f"∙ Session ID {shown} is enqueued for scheduling."
    assert queued.status == "PENDING"


@pytest.mark.parametrize("command", [["start"], ["run", "--rm", "-c", "print(1)"]], ids=["start", "run"])
def test_max_wait(backendai: Any, full: Session, command: list[str]) -> None:
    """The session stays in the queue, also with `--rm`."""
    done = backendai.ok(*command, "--max-wait", "1", "-r", "cpu=1", "-t", "queued-1", "python")
    queued = full.get("queued-1")
    shown = queued.id if command == ["start"] else "queued-1"
    assert done.out == ""
    assert done.said[-1] == f"∙ Session ID {shown} is still on the job queue."
    assert queued.status == "PENDING"


def test_run_with_an_unknown_image(backendai: Any) -> None:
    done = backendai.ok("run", "--rm", "-c", "print(1)", "nosuch:1")  # its exit status says nothing
    assert done.out == ""
    assert "BackendAPIError(404, 'Not Found'" in done.said[-1]
    assert "nosuch:1" in done.said[-1]
