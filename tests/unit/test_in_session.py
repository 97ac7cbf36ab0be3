"""The program that runs in sessions, as a session runs it: a child of its own, in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from backendai_sdk._wire.files import packed_entries
from backendai_sdk._wire.job import NO_PYTHON, Job


def run(folder: Path, task: str, **arguments):
    job = Job(task, **arguments)
    for part in job.parts:
        (folder / part.filename).write_bytes(part.data)
    done = subprocess.run(["sh", "-c", job.command], cwd=folder, capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    assert not [name for name in os.listdir(folder) if name.endswith((".py", ".json"))]
    answer = job.answer(done.stdout)
    assert answer is not None, done.stdout
    return answer


def place(size, target="deep/er/whole.bin", **more):
    return {
        "target": target,
        "temporary": f"{Path(target).parent}/.t.whole",
        "size": size,
        "overwrite": False,
        **more,
    }


def test_join(tmp_path):
    content = os.urandom(1000)
    assert run(tmp_path, "prepare", **place(1000)) == {}
    pieces = []
    for number in range(4):
        piece = content[number * 250 : number * 250 + 250]
        (tmp_path / f".p{number}").write_bytes(piece)
        pieces.append([f".p{number}", 250, hashlib.sha256(piece).hexdigest()])
    assert run(tmp_path, "join", **place(1000), pieces=pieces[:3], offset=0, last=False) == {}
    assert os.listdir(tmp_path / "deep/er") == [".t.whole"]
    assert run(tmp_path, "join", **place(1000), pieces=pieces[3:], offset=750, last=True) == {}
    assert (tmp_path / "deep/er/whole.bin").read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["deep"]
    assert os.listdir(tmp_path / "deep/er") == ["whole.bin"]
    assert run(tmp_path, "prepare", **place(1000))["refused"] == "exists"
    assert run(tmp_path, "prepare", **place(1000, overwrite=True)) == {}
    assert run(tmp_path, "prepare", **place(1 << 60, "x"))["refused"] == "space"
    assert run(tmp_path, "prepare", **place(1, "deep"))["refused"] == "folder"
    assert run(tmp_path, "prepare", **place(1, "deep/er/whole.bin/x"))["refused"] == "error"


@pytest.mark.parametrize("damage", ["content", "shorter", "missing", "offset", "size"])
def test_a_damaged_piece_is_found(tmp_path, damage):
    run(tmp_path, "prepare", **place(4, "f"))
    (tmp_path / "p").write_bytes({"content": b"abcX", "shorter": b"abc"}.get(damage, b"abcd"))
    if damage == "missing":
        (tmp_path / "p").unlink()
    pieces = [["p", 4, hashlib.sha256(b"abcd").hexdigest()]]
    answer = run(
        tmp_path,
        "join",
        **place(5 if damage == "size" else 4, "f"),
        pieces=pieces,
        offset=1 if damage == "offset" else 0,
        last=True,
    )
    assert answer["refused"] == "damaged"
    assert not (tmp_path / "f").exists()


def test_split(tmp_path):
    content = os.urandom(1050)
    (tmp_path / "whole").write_bytes(content)
    job = {"source": "whole", "piece": 250, "version": None, "drop": []}
    first = run(tmp_path, "split", **job, offset=0, names=["p0", "p1", "p2"])
    assert [(name, size) for name, size, _ in first["pieces"]] == [("p0", 250), ("p1", 250), ("p2", 250)]
    assert first["version"][0] == 1050
    job |= {"version": first["version"], "drop": ["p0", "p1", "p2"]}
    second = run(tmp_path, "split", **job, offset=750, names=["p3", "p4", "p5"])
    assert [size for _, size, _ in second["pieces"]] == [250, 50]
    assert sorted(os.listdir(tmp_path)) == ["p3", "p4", "whole"]
    assert (tmp_path / "p3").read_bytes() == content[750:1000]
    assert second["pieces"][1][2] == hashlib.sha256(content[1000:]).hexdigest()
    (tmp_path / "whole").write_bytes(content + b"more")
    assert run(tmp_path, "split", **job, offset=750, names=["p"])["refused"] == "changed"
    assert run(tmp_path, "split", **(job | {"source": "no"}), offset=0, names=["p"])["refused"] == "missing"
    assert run(tmp_path, "clean", names=["p*", "nothing", "no/such/*"]) == {}
    assert os.listdir(tmp_path) == ["whole"]


def test_remove(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/f").write_text("")
    (tmp_path / "l").symlink_to("d")
    (tmp_path / "x").write_text("")
    assert run(tmp_path, "remove", paths=["x", "no"], recursive=True) == {"refused": "missing", "said": "no"}
    assert run(tmp_path, "remove", paths=["x", "d"], recursive=False)["refused"] == "folder"
    assert (tmp_path / "x").exists()
    assert run(tmp_path, "remove", paths=["l", "x"], recursive=False) == {}
    assert run(tmp_path, "remove", paths=["d", "d/f"], recursive=True) == {}
    assert os.listdir(tmp_path) == []


def test_look(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/ü;'\n").write_text("123")
    (tmp_path / "l").symlink_to(".")
    rows = list(packed_entries(run(tmp_path, "look", folders=["."], recursive=True, times=False), file="."))
    rows = [row for row in rows if not row.name.startswith(".backendai-")]
    assert [(row.path, row.kind, row.size) for row in rows if row.is_file] == [("d/e/ü;'\n", "file", 3)]
    assert {(row.path, row.kind) for row in rows} == {
        *(("d", "folder"), ("d/e", "folder"), ("d/e/ü;'\n", "file"), ("l", "link")),
    }
    rows = list(
        packed_entries(run(tmp_path, "look", folders=["d", "no"], recursive=False, times=True), file=".")
    )
    assert [(row.path, row.name) for row in rows] == [("d/e", "e")]
    assert rows[0].mtime is not None


def test_without_python(tmp_path):
    job = Job("clean", names=[])
    for part in job.parts:
        (tmp_path / part.filename).write_bytes(part.data)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rm").symlink_to("/bin/rm")
    command = job.command.replace("/opt/backend.ai/bin/python", "no-such")
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env={"PATH": str(tmp_path / "bin")}, timeout=20
    )
    assert done.returncode == NO_PYTHON
    assert os.listdir(tmp_path) == ["bin"]


def test_answers_among_other_output():
    job = Job("clean", names=[])
    mark = job.parts[0].filename[len(".backendai-") : -len(".py")]
    line = f"backendai-{mark} " + json.dumps({"a": 1})
    assert job.answer(f"noise\r\n{line}\r\nmore") == {"a": 1}
    assert job.answer(f"x{line}") is None
    assert job.answer(f"backendai-{mark} {{") is None
    assert job.answer(f"backendai-{mark} []") is None
