"""Files: up, down, listed, read, written, removed; small ones, large ones, and what is not there."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backendai_sdk import (
    AsyncComputeSession,
    FileExists,
    FileTransferError,
    InvalidArgument,
    RemoteFileNotFound,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_code]

MIB = 1 << 20


def make(folder: Path) -> dict[str, bytes]:
    """A few files below a folder, by name."""
    made = {
        "one.txt": b"one\n",
        "sub/two words.bin": bytes(range(256)),
        "sub/deep/empty": b"",
        "žluť.txt": "kůň\n".encode(),
    }
    for name, data in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


def below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


async def test_a_folder_there_and_back(cs: AsyncComputeSession, tmp_path: Path, unique: str) -> None:
    source = tmp_path / "source"
    made = make(source)
    sent = await cs.upload(source, to=unique)
    assert (sent.files, sent.bytes) == (len(made), sum(map(len, made.values())))
    got = await cs.download(f"{unique}/source", to=tmp_path / "back")
    assert got.files == len(made)
    assert below(tmp_path / "back" / "source") == made
    with pytest.raises(FileExists):
        await cs.download(f"{unique}/source", to=tmp_path / "back")


async def test_listing(cs: AsyncComputeSession, tmp_path: Path, unique: str) -> None:
    made = make(tmp_path / "source")
    await cs.upload(tmp_path / "source", to=unique)
    entries = {entry.path: entry for entry in await cs.list_files(unique, recursive=True) if entry.is_file}
    assert {path.removeprefix(f"{unique}/source/"): entry.size for path, entry in entries.items()} == {
        name: len(data) for name, data in made.items()
    }
    top = await cs.list_files(f"{unique}/source")
    assert {(entry.name, entry.is_dir) for entry in top} == {
        ("one.txt", False),
        ("sub", True),
        ("žluť.txt", False),
    }
    for entry in top:
        assert entry.mtime is not None
        assert abs(datetime.now(UTC) - entry.mtime) < timedelta(days=1)
    with pytest.raises(RemoteFileNotFound):
        await cs.list_files(f"{unique}/nowhere")


async def test_reading_and_writing(cs: AsyncComputeSession, unique: str) -> None:
    await cs.write_file(f"{unique}.txt", "first\n")
    assert await cs.read_file(f"{unique}.txt") == b"first\n"
    await cs.write_file(f"{unique}.txt", b"second\n")
    result = await cs.execute(f"print(open('{unique}.txt').read(), end='')")
    assert result.stdout == "second\n"
    with pytest.raises(FileExists):
        await cs.write_file(f"{unique}.txt", b"third", overwrite=False)
    await cs.execute(f"open('{unique}-own.txt', 'w').write('by code')")
    assert await cs.read_file(f"{unique}-own.txt") == b"by code"
    with pytest.raises(RemoteFileNotFound):
        await cs.read_file(f"{unique}-nowhere.txt")


async def test_a_file_over_the_limit(cs: AsyncComputeSession, tmp_path: Path, unique: str) -> None:
    """What is too large for one request goes in pieces, both ways, and is the same."""
    data = hashlib.sha256(unique.encode()).digest() * (3 * MIB // 32) + b"tail"
    local = tmp_path / f"{unique}.bin"
    local.write_bytes(data)
    await cs.upload(local)
    result = await cs.execute(
        f"import hashlib\nprint(hashlib.sha256(open('{unique}.bin', 'rb').read()).hexdigest())"
    )
    assert result.stdout.strip() == hashlib.sha256(data).hexdigest()
    await cs.download(f"{unique}.bin", to=tmp_path / "back")
    assert (tmp_path / "back" / f"{unique}.bin").read_bytes() == data


async def test_more_files_than_a_request_takes(cs: AsyncComputeSession, tmp_path: Path, unique: str) -> None:
    source = tmp_path / unique
    source.mkdir()
    made = {f"{i:02}.txt": f"file {i}\n".encode() for i in range(45)}
    for name, data in made.items():
        (source / name).write_bytes(data)
    await cs.upload(source)
    assert len(await cs.list_files(unique)) == len(made)
    await cs.download(f"{unique}/4*.txt", to=tmp_path / "back")
    assert below(tmp_path / "back") == {n: d for n, d in made.items() if n.startswith("4")}


async def test_removing(cs: AsyncComputeSession, unique: str) -> None:
    # Made by code: a folder that an upload makes belongs to root, and is not the code's to change.
    await cs.execute(f"import os\nos.makedirs('{unique}/sub')\nopen('{unique}/sub/a', 'w').close()")
    with pytest.raises(FileTransferError):
        await cs.remove(unique)
    await cs.remove(unique, recursive=True)
    assert unique not in {entry.name for entry in await cs.list_files()}
    with pytest.raises(RemoteFileNotFound):
        await cs.remove(unique)


async def test_bad_paths_never_leave(cs: AsyncComputeSession, tmp_path: Path) -> None:
    (tmp_path / "fine").write_text("x")
    with pytest.raises(InvalidArgument):
        await cs.upload(tmp_path / "missing")
    with pytest.raises(InvalidArgument):
        await cs.upload(tmp_path / "fine", to="../outside")
    with pytest.raises(InvalidArgument):
        await cs.write_file("line\nbreak", b"x")
    with pytest.raises(InvalidArgument):
        await cs.read_file("../../etc/hostname")
