"""Sessions from `start` to `rm` with the official client: files, names, events, and the queue."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)

START = ["start", "-r", "cpu=1", "-r", "mem=256"]


def test_ps_with_no_session(backendai: Any, official: Any) -> None:
    done = backendai("ps", "--name-only")
    if official.modern:
        assert (done.code, done.out.split()) == (0, ["Name", "------"])
    else:
        assert (done.code, done.out) == (1, "")
        assert done.said[0].startswith("✘ NoItems:")


def test_start(backendai: Any, api: Session) -> None:
    slots = ["-r", "cpu=4", "-r", "mem=8g", "-r", "cuda.shares=2"]
    done = backendai.ok("start", "-t", "work-1", *slots, "--tag", "mine", "-e", "A=1", "python")
    session = api.get("work-1")
    assert done.out == ""
    assert done.said == [
        f"∙ Session ID {session.id} is created and ready.",
        "∙ This session provides the following app services: sshd, ttyd, simple",
    ]
    (row,) = api.list(fields=["tag", "status", "occupying_slots"])
    assert (row.tag, row.status, str(row.occupying_slots)) == (
        "mine",
        "RUNNING",
        "cpu=4 mem=8g cuda.shares=2",
    )
    assert session.execute("import os; print(os.environ['A'])").stdout == "1\n"

    done = backendai.ok("start", "-t", "work-1", "python")
    assert done.said[0] == f"∙ Session ID {session.id} is already running and ready."
    done = backendai("start", "-t", "work-1", "--no-reuse", "python")
    assert done.code == 1
    assert "✘ BackendAPIError: 400 Bad Request" in done.said
    assert str(session.id) in done.err


@pytest.mark.parametrize("code", [0, 3])
def test_start_a_batch(backendai: Any, api: Session, code: int) -> None:
    done = backendai.ok(
        *START, "--type", "batch", "-t", "batch-1", "-c", f"echo worked; exit {code}", "python"
    )
    ended = api.get(done.said[0].split()[3])
    ended.wait("dead", timeout=20)
    names = ["ps", "--dead", "-f", "name,type,status,result", "--limit", "1"]
    row = backendai.ok(*names).rows[0]
    result = "FAILURE" if code else "SUCCESS"
    assert list(row.values()) == ["batch-1", "BATCH", "TERMINATED", result]
    assert backendai.ok("session", "logs", str(ended.id)).out == "worked\n\n"


def test_start_what_cannot_be(backendai: Any) -> None:
    done = backendai("start", "-r", "gpu=1", "python")
    assert (done.code, done.out) == (1, "")
    assert "Unknown slot type: 'gpu'" in done.err


def test_rename(backendai: Any, official: Any, api: Session) -> None:
    session = api.create("python", name="old-1")
    done = backendai("session", "rename", "old-1", "new-1")
    name = session.refresh().name
    if official.modern:
        # It sends the new name where a server of its own release does not look for it.
        assert (done.code, name) == (1, "old-1")
        assert "✘ BackendAPIError: 400 Bad Request" in done.said
    else:
        assert (done.code, done.said, name) == (0, ["✓ Session renamed to new-1."], "new-1")


def test_restart(backendai: Any, official: Any, api: Session) -> None:
    session = api.create("python", name="again-1")
    session.execute("x = 1")
    done = backendai("restart", "again-1")
    if official.modern:
        assert done.code == 1
        assert "501" in done.err
    else:
        assert (done.code, done.said) == (0, ["✓ Done."])
        result = session.execute("x")
        assert result.error is not None
        assert result.error.name == "NameError"


def test_files(backendai: Any, api: Session) -> None:
    session = api.create("python", name="files-1")
    content = bytes(range(256)) * 40
    (backendai.folder / "data.bin").write_bytes(content)
    (backendai.folder / "note.txt").write_text("hello")
    done = backendai.ok("session", "upload", "files-1", "note.txt", "data.bin")
    assert done.said == ["✓ Uploaded."]
    code = "print(open('note.txt').read(), len(open('data.bin', 'rb').read()))"
    assert session.execute(code).stdout == "hello 10240\n"

    done = backendai.ok("session", "ls", "files-1")
    facts = sorted((row["File name"], row["Size"], row["Mode"]) for row in done.rows)
    assert facts == [("data.bin", "10.0 KiB", "-rw-r--r--"), ("note.txt", "5 Bytes", "-rw-r--r--")]

    (backendai.folder / "got").mkdir()
    done = backendai("session", "download", "files-1", "data.bin", "note.txt", "--dest", "got")
    assert (done.code, done.said[-1].partition(" to ")[0]) == (0, "✓ Downloaded"), done
    assert (backendai.folder / "got" / "data.bin").read_bytes() == content
    assert (backendai.folder / "got" / "note.txt").read_text() == "hello"


def test_a_file_in_a_folder(backendai: Any, api: Session) -> None:
    """It encodes the name and servers take names as they are: the folder does not come into being."""
    session = api.create("python", name="files-3")
    (backendai.folder / "sub").mkdir()
    (backendai.folder / "sub" / "note.txt").write_text("hello")
    backendai.ok("session", "upload", "files-3", "sub/note.txt")
    assert session.execute("import os; print(os.listdir())").stdout == "['sub%2Fnote.txt']\n"


def test_a_file_that_is_not_there(backendai: Any, api: Session, official: Any) -> None:
    api.create("python", name="files-2")
    done = backendai("session", "download", "files-2", "missing.txt")
    assert done.code == 1
    # 26.9 does not say what was wrong.
    said = "Internal server error." if official.modern else "Could not found the file: /home/work/missing.txt"
    assert said in done.err


def test_dependencies(backendai: Any, full: Session) -> None:
    done = backendai.ok(
        *START, "-t", "second-1", "--depends", str(full.get("holder-1").id), "--enqueue-only", "python"
    )
    assert done.said[-1].endswith("is enqueued for scheduling.")
    done = backendai.ok("session", "show-graph", "second-1")
    assert "PENDING" in done.out
    assert "RUNNING" in done.out


def test_events(backendai: Any, follow: Any, api: Session) -> None:
    session = api.create("python", name="seen-1")
    with follow("session", "events", "seen-1") as following:
        backendai.ok("rm", "seen-1")
        lines = following.lines("session_terminated ")
        assert following.stop() == -signal.SIGINT
    events = [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in lines]
    names = [name for name, _ in events]
    assert names[0] == "session_terminating"
    assert "kernel_terminated" in names
    assert {data["sessionName"] for _, data in events} == {"seen-1"}
    assert {data["sessionId"] for _, data in events} == {str(session.id)}
    assert events[0][1]["reason"] == "user-requested"


def test_events_of_kernels_alone(follow: Any, api: Session) -> None:
    session = api.create("python", name="seen-2")
    with follow("session", "events", "--scope", "kernel", str(session.id)) as following:
        session.destroy()
        lines = following.lines("kernel_terminated ")
        following.stop()
    assert all(line.startswith("kernel_") for line in lines)


def test_watch(follow: Any, full: Session) -> None:
    full.create("python", name="watched-1", resources="cpu=1 mem=256m", enqueue_only=True)
    with follow("session", "watch", "watched-1") as following:
        full.destroy("holder-1")
        full.get("watched-1").wait("running", timeout=20)
        full.destroy("watched-1")
        out, err = following.child.communicate(timeout=60)
    assert (following.child.returncode, out) == (0, b"")
    seen = err.decode().split()
    assert seen[:1] == ["✓"]
    assert [name for name in seen if name in {"kernel_started", "session_terminating"}] == [
        "kernel_started",
        "session_terminating",
    ]
    assert seen[-1] == "session_terminated"


def test_rm_several(backendai: Any, full: Session) -> None:
    for name in ("waits-1", "waits-2"):
        full.create("python", name=name, resources="cpu=1 mem=256m", enqueue_only=True)
    # What holds the room goes last: the others would start in it.
    done = backendai.ok("rm", "waits-1", str(full.get("waits-2").id), "holder-1")
    assert (done.out, done.said) == ("", ["✓ Done."])
    found = {row.name: row.status for row in full.list(status="all", fields=["name", "status"])}
    assert {found["waits-1"], found["waits-2"]} == {"CANCELLED"}
    assert found["holder-1"] == "TERMINATED"


def test_rm_what_is_not_there(backendai: Any, api: Session) -> None:
    api.create("python", name="there-1")
    done = backendai("rm", "nosuch-1", "there-1")
    assert (done.code, done.out) == (1, "")
    assert "✘ BackendAPIError: 404 Not Found" in done.said
    assert list(api.list()) == []
