"""Local files that are to be uploaded: found, named, checked, and watched while they are read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from backendai_sdk._disk.slices import BytesSlice, FileSlice, identity
from backendai_sdk._disk.sources import Source, Sources
from backendai_sdk.errors import FileTransferError, InvalidArgument


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    work = tmp_path / "work"
    for path, text in {
        "a.txt": "1",
        "d/b.txt": "22",
        "d/e/c.py": "333",
        "d/.hidden": "",
        "[x].txt": "x",
    }.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    (work / "d/empty").mkdir()
    (tmp_path / "outside.txt").write_text("o")
    monkeypatch.chdir(work)
    return work


def names(paths, **given):
    return {source.name: source.size for source in Sources(paths, **given)}


def test_files_folders_and_patterns(here):
    assert names("a.txt") == {"a.txt": 1}
    assert names(["./a.txt", Path("d")]) == {"a.txt": 1, "d/b.txt": 2, "d/e/c.py": 3, "d/.hidden": 0}
    assert names("*.txt") == {"a.txt": 1, "[x].txt": 1}
    assert names("[x].txt") == {"[x].txt": 1}  # it exists under this name
    assert names("d/**/*.py") == {"d/e/c.py": 3}
    assert names("**") == {"a.txt": 1, "[x].txt": 1, "d/b.txt": 2, "d/e/c.py": 3, "d/.hidden": 0}
    assert names(".") == names("**")
    assert names(here / "d") == {"d/b.txt": 2, "d/e/c.py": 3, "d/.hidden": 0}
    assert names(here / "d/e/c.py", to="x/y") == {"x/y/c.py": 3}
    assert names("d/e", to="x") == {"x/d/e/c.py": 3}
    assert names([]) == {}
    assert names(["a.txt", "a.txt", here / "a.txt"]) == {"a.txt": 1}
    # Again and again: nothing is kept.
    sources = Sources("d/e")
    assert list(sources) == list(sources) == [Source("d/e/c.py", "d/e/c.py", 3)]


def test_the_files_of_a_folder_follow_each_other():
    Path("d/z.txt").write_text("")
    folders = [os.path.dirname(source.name) for source in Sources("d")]
    assert folders == sorted(folders)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ("missing.py", "there is no file 'missing.py'"),
        ("*.nothing", "no file matches"),
        (Path("*.txt"), "there is no file"),
        ("../outside.txt", "leaves the work folder"),
        ("", "not the name"),
        ([1], "not a path"),
        (["a.txt", "/does/not/exist"], "there is no file"),
    ],
)
def test_refused(paths, said):
    with pytest.raises(InvalidArgument, match=said) as caught:
        list(Sources(paths, argument="files"))
    assert caught.value.argument == "files"


def test_two_files_for_one_name(tmp_path):
    (tmp_path / "a.txt").write_text("another")
    with pytest.raises(InvalidArgument, match="would both become 'a.txt'"):
        list(Sources(["a.txt", tmp_path / "a.txt"]))


def test_odd_things_on_disk(here):
    (here / 'd/quo"te').write_text("")
    with pytest.raises(InvalidArgument, match="quotes"):
        list(Sources("d"))
    os.unlink(here / 'd/quo"te')
    os.mkfifo(here / "d/fifo")
    with pytest.raises(InvalidArgument, match="not a file or a folder"):
        list(Sources("d"))
    os.unlink(here / "d/fifo")
    os.symlink("nowhere", here / "d/dangling")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        list(Sources("d"))
    os.unlink(here / "d/dangling")
    os.symlink("../a.txt", here / "d/link.txt")
    os.symlink("../d/e", here / "d/again")
    assert names("d") == {
        "d/.hidden": 0,
        "d/b.txt": 2,
        "d/link.txt": 1,
        "d/again/c.py": 3,
        "d/e/c.py": 3,
    }
    os.symlink("..", here / "d/e/back")
    with pytest.raises(InvalidArgument, match="leads back"):
        list(Sources("d"))


# --- slices ---------------------------------------------------------------------------------------------


def test_a_slice_is_read_and_hashed_each_time(here):
    content = os.urandom(500_000)
    (here / "big").write_bytes(content)
    piece = FileSlice(filename="p", path="big", offset=1000, size=400_000, before=identity("big"))
    for _ in range(2):
        assert b"".join(piece.blocks()) == content[1000:401_000]
        assert piece.digest == hashlib.sha256(content[1000:401_000]).hexdigest()
    memory = BytesSlice(filename="p", data=memoryview(content)[:10])
    assert (memory.size, memory.digest) == (10, hashlib.sha256(content[:10]).hexdigest())


@pytest.mark.parametrize("change", ["shorter", "longer", "replaced", "removed"])
@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_file_that_changes_is_noticed(here, change, moment):
    (here / "big").write_bytes(bytes(300_000))
    piece = FileSlice(filename="p", path="big", size=300_000, before=identity("big"))

    def alter():
        if change == "removed":
            os.unlink("big")
        elif change == "replaced":
            (here / "new").write_bytes(bytes(300_000))
            os.replace("new", "big")
        else:
            os.truncate("big", 100_000 if change == "shorter" else 400_000)

    blocks = piece.blocks()
    if moment == "during":
        next(blocks)
    elif change == "removed":
        alter()
        with pytest.raises(FileTransferError, match="cannot be read") as caught:
            list(blocks)
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        return
    alter()
    if moment == "during" and change in {"removed", "replaced"}:
        assert sum(map(len, blocks)) < 300_000  # what was opened is read to its end: it is as it was
        return
    with pytest.raises(FileTransferError, match="changed while it was read"):
        list(blocks)


def test_a_small_file_of_another_size_than_it_had(here):
    with pytest.raises(FileTransferError, match="changed"):
        list(FileSlice(filename="p", path="a.txt", size=5).blocks())
