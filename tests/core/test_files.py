"""Files: up and down, small and large, many and odd; what is refused, and what a failure leaves."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import (
    AgentError,
    FileExists,
    FileTransferError,
    InvalidArgument,
    RemoteFileNotFound,
    SessionNotReady,
    TransferProgress,
)
from backendai_sdk._disk import unpack
from backendai_sdk._wire import pieces

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
MIB = 1 << 20


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def write(files: dict[str, bytes]) -> None:
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def content_of(folder: Path) -> dict[str, bytes]:
    found = folder.rglob("*")
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in found if p.is_file() and not p.is_symlink()
    }


def work_dir(cluster: Any, session: Any) -> Path:
    (record,) = [s for s in cluster.sessions() if str(s.id) == session.id]
    return Path(record.work_dir)


@RELEASES
async def test_there_and_back(api: Any, cluster: Any, here: Path) -> None:
    files = {f"d/f{i}.txt": b"x" * i for i in range(25)} | {
        "d/sub/ü ;%+&=?#.bin": os.urandom(5000),
        "d/sub/empty": b"",
        "d/just below.bin": os.urandom(MIB - 1),
        "d/large.bin": os.urandom(2 * MIB + 17),
        "d/" + "n" * 200: b"long name",
    }
    write(files)
    async with api.create("python") as cs:
        done = await cs.upload("d")
        assert (done.files, done.bytes) == (len(files), sum(map(len, files.values())))
        assert {f"d/{path}": c for path, c in content_of(work_dir(cluster, cs) / "d").items()} == files
        done = await cs.download("d", to="back")
        assert (done.files, done.bytes) == (len(files), sum(map(len, files.values())))
        assert content_of(here / "back") == files
        assert await cs.read_file("d/large.bin") == files["d/large.bin"]
        assert await cs.read_file("/home/work/d/f3.txt") == b"xxx"
        await cs.write_file("new/folder/text.txt", "grüße")
        assert await cs.read_file("new/folder/text.txt") == "grüße".encode()
        large = os.urandom(MIB + 1)
        await cs.write_file("new/large", large)
        assert (work_dir(cluster, cs) / "new/large").read_bytes() == large
        rows = await cs.list_files("new", recursive=True)
        assert [(r.path, r.kind, r.size) for r in rows if not r.is_dir] == [
            ("new/folder/text.txt", "file", 7),
            ("new/large", "file", MIB + 1),
        ]
        await cs.remove(["d", "new/l*"], recursive=True)
        assert [row.path for row in await cs.list_files("new")] == ["new/folder"]
        left = [row.path for row in await cs.list_files() if "backendai" in row.name or row.name == "d"]
        assert left == []


async def test_where_things_go(api: Any, cluster: Any, here: Path, tmp_path: Path) -> None:
    write({"a.txt": b"1", "p/q/b.txt": b"2", "p/c.py": b"3"})
    write({str(tmp_path / "far/away.txt"): b"4"})
    async with api.create("python") as cs:
        await cs.upload(["a.txt", "p/q", tmp_path / "far"])
        await cs.upload("p/*.py", to="to/here")
        home = work_dir(cluster, cs)
        assert content_of(home) == {
            "a.txt": b"1",
            "p/q/b.txt": b"2",
            "far/away.txt": b"4",
            "to/here/p/c.py": b"3",
        }
        (home / "empty/folder").mkdir(parents=True)
        await cs.download(["p/q/b.txt", "to", "empty"], to=tmp_path / "x")
        assert content_of(tmp_path / "x") == {"b.txt": b"2", "to/here/p/c.py": b"3"}
        assert (tmp_path / "x/empty/folder").is_dir()
        await cs.download(".", to=tmp_path / "y")
        assert content_of(tmp_path / "y") == content_of(home)
        await cs.download(["**/*.txt", "p"], to=tmp_path / "z")
        assert set(content_of(tmp_path / "z")) == {"a.txt", "away.txt", "p/q/b.txt"}
        (home / "odd[1]*").write_text("5")
        await cs.download("odd[1]*")
        assert (here / "odd[1]*").read_text() == "5"


async def test_listing(api: Any, cluster: Any) -> None:
    async with api.create("python") as cs:
        home = work_dir(cluster, cs)
        for number in range(12):
            (home / f"d/{number:02d}").mkdir(parents=True)
            (home / f"d/{number:02d}/f").write_text("x" * number)
        (home / "d/l").symlink_to("00")
        rows = await cs.list_files("d/03")
        assert [(row.name, row.path, row.size, row.mode[0]) for row in rows] == [("f", "d/03/f", 3, "-")]
        assert abs(rows[0].mtime - datetime.now(UTC)) < timedelta(minutes=5)
        tree = await cs.list_files("d", recursive=True)
        assert [row.path for row in tree] == sorted(
            [f"d/{n:02d}" for n in range(12)] + [f"d/{n:02d}/f" for n in range(12)] + ["d/l"]
        )
        assert next(row for row in tree if row.path == "d/l").kind == "link"
        # While something runs in the session, folders are listed one by one.
        running = asyncio.ensure_future(
            cs.execute(
                "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)"
            )
        )
        while not (home / "begun").exists():
            await asyncio.sleep(0.01)
        again = await cs.list_files("d", recursive=True)
        assert [row.path for row in again] == [row.path for row in tree]
        await cs.write_file("go", b"")
        assert (await running).ok
        with pytest.raises(RemoteFileNotFound, match="no folder 'nowhere'"):
            await cs.list_files("nowhere")
        with pytest.raises(FileTransferError, match="not a folder"):
            await cs.list_files("d/00/f")
        with pytest.raises(InvalidArgument, match="leaves the work folder"):
            await cs.list_files("..")


async def test_nothing_is_replaced_unasked(api: Any, cluster: Any, here: Path) -> None:
    write({"f": b"new", "big": bytes(MIB)})
    async with api.create("python") as cs:
        await cs.write_file("f", b"old")
        with pytest.raises(FileExists, match="'f' exists in the session"):
            await cs.upload("f", overwrite=False)
        with pytest.raises(FileExists):
            await cs.write_file("f", b"", overwrite=False)
        with pytest.raises(FileExists, match="'f' exists: give overwrite=True"):
            await cs.download("f")
        assert (here / "f").read_bytes() == b"new"
        await cs.write_file("f2", b"", overwrite=False)
        await cs.upload("big", overwrite=False)
        with pytest.raises(FileExists):
            await cs.upload("big", overwrite=False)
        assert await cs.read_file("f") == b"old"
        await cs.download("f", overwrite=True)
        assert (here / "f").read_bytes() == b"old"
        await cs.download("big", overwrite=True)
        await cs.upload("f")
        # A folder is checked whole, before anything is fetched.
        await cs.write_file("d/a", b"1")
        await cs.write_file("d/z", b"2")
        write({"d/z": b"mine"})
        with pytest.raises(FileExists):
            await cs.download("d")
        assert content_of(here / "d") == {"z": b"mine"}


async def test_bad_arguments(api: Any, here: Path) -> None:
    write({"f": b"1", "d/g": b"2"})
    async with api.create("python") as cs:
        for call, said in [
            (cs.upload("missing"), "no file 'missing'"),
            (cs.upload("f", to="../up"), "to: '../up' leaves"),
            (cs.upload("f", to='a"b'), "to: .*quotes"),
            (cs.upload("f", progress=3), "progress: 3"),
            (cs.download("/etc/passwd"), "outside of /home/work"),
            (cs.download("f", to="f"), "to: 'f' is not a folder"),
            (cs.write_file(".", b""), "not a file"),
            (cs.write_file("a\nb", b""), "control characters"),
            (cs.write_file("a", 7), "neither bytes nor text"),
            (cs.remove("."), "work folder itself"),
            (cs.read_file(""), "not the name"),
        ]:
            if said.startswith("to: 'f'"):
                await cs.upload("f")
            with pytest.raises(InvalidArgument, match=said):
                await call
        for call, said in [
            (cs.download("nope"), "there is no file 'nope'"),
            (cs.download("*.nope"), "no file matches"),
            (cs.read_file("nope"), "there is no file 'nope'"),
            (cs.remove(["f", "nope"]), "there is no file 'nope'"),
        ]:
            with pytest.raises(RemoteFileNotFound, match=said) as caught:
                await call
            assert isinstance(caught.value, FileNotFoundError)
            assert caught.value.session_id == cs.id
        assert await cs.read_file("f") == b"1"
        await cs.upload("d")
        for call, said in [(cs.read_file("d"), "is a folder"), (cs.remove("d"), "folder")]:
            with pytest.raises(FileTransferError, match=said):
                await call
        await cs.write_file("e/g", b"")
        with pytest.raises(InvalidArgument, match="would both become"):
            await cs.download("*/g", to="x")
        assert not (here / "x").exists()


@pytest.mark.parametrize("release", ["23.09", "26.9"])
async def test_an_upload_that_an_agent_cannot_store(api: Any, cluster: Any, release: str) -> None:
    """A 26.9 answers as if all were well."""
    write({"f": b"1", "d/x": b"2"})
    async with api.create("python") as cs:
        (work_dir(cluster, cs) / "f").mkdir()
        with pytest.raises(FileTransferError if release == "26.9" else AgentError):
            await cs.upload("f")
        (work_dir(cluster, cs) / "d").write_text("a file")
        with pytest.raises(Exception, match="did not arrive" if release == "26.9" else "FileExists"):
            await cs.write_file("d/x", b"2")


async def test_links(api: Any, cluster: Any, here: Path) -> None:
    async with api.create("python") as cs:
        home = work_dir(cluster, cs)
        (home / "d/e").mkdir(parents=True)
        (home / "d/e/f").write_text("1")
        (home / "d/l").symlink_to("e/f")
        (home / "d/le").symlink_to("e")
        (home / "top").symlink_to("d/e/f")
        done = await cs.download(["d", "top"], to="x")
        assert done.files == 4
        assert os.readlink("x/d/l") == "e/f"
        assert os.readlink("x/d/le") == "e"
        assert Path("x/top").read_text() == "1"
        assert not Path("x/top").is_symlink()  # named itself: what it points at is meant
        assert await cs.read_file("top") == b"1"
        (home / "d/out").symlink_to("/etc/passwd")
        with pytest.raises(FileTransferError, match="outside of what is downloaded"):
            await cs.download("d", to="y")
        assert not Path("y/d/out").is_symlink()
        (home / "d/out").unlink()
        os.mkfifo(home / "d/fifo")
        with pytest.raises(FileTransferError, match="a device, a pipe or a socket"):
            await cs.download("d", to="z")
        assert not (here / "z").exists()


async def test_progress(api: Any) -> None:
    write({f"d/{n}": bytes(1000) for n in range(45)} | {"d/large": bytes(3 * MIB)})
    seen: list[TransferProgress] = []
    async with api.create("python") as cs:
        for call in (
            lambda: cs.upload("d", progress=seen.append),
            lambda: cs.download("d", to="x", progress=seen.append),
        ):
            seen.clear()
            await call()
            assert seen[-1].done
            assert (seen[-1].files, seen[-1].bytes) == (46, 45_000 + 3 * MIB)
            assert (seen[-1].total_files, seen[-1].total_bytes) == (46, 45_000 + 3 * MIB)
            assert [p.bytes for p in seen] == sorted(p.bytes for p in seen)


@pytest.mark.parametrize("installed", ["rich", "tqdm", None])
async def test_bars(
    api: Any, way: str, installed: str | None, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    from backendai_sdk._async import _progress

    real = _progress.import_module

    def only(name: str) -> Any:
        if name.partition(".")[0] != installed:
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.setattr(_progress, "import_module", only)
    write({"f": b"1"})
    async with api.create("python") as cs:
        if installed:
            await cs.upload("f", progress=True)
            assert "1/1 files" in capfd.readouterr().err
        else:
            with pytest.raises(InvalidArgument, match=r"backendai-sdk\[progress\]"):
                await cs.upload("f", progress=True)


async def test_sessions_that_do_not_run(small_api: Any) -> None:
    write({"f": b"1"})
    async with small_api.create("python", resources={"cpu": 2}) as cs:
        waiting = await small_api.create("python", resources={"cpu": 2}, enqueue_only=True)
        await cs.destroy()
        calls = ["upload", "download", "read_file", "list_files", "remove"]
        await waiting.destroy()
        for session in (cs, waiting):
            await session.wait("dead", timeout=10)
            for name in calls:
                with pytest.raises(SessionNotReady, match="it has ended"):
                    await getattr(session, name)("f")


async def test_a_full_disk(api: Any, way: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api.create("python") as cs:
        await cs.write_file("d/f", b"new")
        await cs.write_file("d/large", bytes(2 * MIB))
        write({"x/f": b"good", "x/large": b"good"})
        real = os.write

        def full(file: int, data: Any) -> int:
            if ".backendai-" in os.readlink(f"/proc/self/fd/{file}"):
                raise OSError(28, "No space left on device")
            return real(file, data)

        monkeypatch.setattr(os, "write", full)
        for path in ("d/f", "d/large"):
            with pytest.raises(FileTransferError, match="No space left") as caught:
                await cs.download(path, to="x", overwrite=True)
            assert isinstance(caught.value.__cause__, OSError)
        monkeypatch.undo()
        assert content_of(here / "x") == {"f": b"good", "large": b"good"}
        assert not [row for row in await cs.list_files() if "backendai" in row.name]


async def test_a_large_file_over_several_windows(
    api: Any, cluster: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backendai_sdk._async import _fetch, _upload

    for module in (_fetch, _upload):
        monkeypatch.setattr(module, "WINDOW", 2)
    monkeypatch.setattr(_fetch, "PIECE", 100_000)
    content = os.urandom(5 * pieces.PIECE + 1)
    write({"large": content})
    async with api.create("python") as cs:
        await cs.upload("large")
        assert (work_dir(cluster, cs) / "large").read_bytes() == content
        (work_dir(cluster, cs) / "middle").write_bytes(content[:1_200_000])
        await cs.download("middle")
        assert (here / "middle").read_bytes() == content[:1_200_000]


async def test_a_damaged_piece(api: Any, cluster: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api.create("python") as cs:
        (work_dir(cluster, cs) / "large").write_bytes(os.urandom(2 * MIB))
        real = unpack.PieceSink.take

        def damage(self: unpack.PieceSink, tar: Any) -> Any:
            tar.seek(2000)
            tar.write(b"damage")
            tar.seek(0)
            return real(self, tar)

        monkeypatch.setattr(unpack.PieceSink, "take", damage)
        with pytest.raises(FileTransferError, match="damaged on its way"):
            await cs.download("large")
        assert os.listdir(here) == []
        assert [row.name for row in await cs.list_files()] == ["large"]


async def test_a_file_that_changes_while_it_goes_up(api: Any, here: Path) -> None:
    # More than is under way at once.
    write({"large": b""})
    os.truncate("large", 48 * MIB)

    def change(how_far: TransferProgress) -> None:
        os.utime("large", (1, 1))

    async with api.create("python") as cs:
        with pytest.raises(FileTransferError, match="'large' was changed while it was read"):
            await cs.upload("large", progress=change)
        assert await cs.list_files() == []


async def test_a_cancelled_transfer_leaves_nothing(cluster: Any, here: Path) -> None:
    from backendai_sdk import AsyncSession

    settings = {
        "endpoint": cluster.endpoint,
        "access_key": cluster.access_key,
        "secret_key": cluster.secret_key,
    }
    write({"large": os.urandom(20 * MIB)})
    async with AsyncSession(**settings) as api, api.create("python") as cs:
        begun = asyncio.Event()
        task = asyncio.ensure_future(cs.upload("large", progress=lambda _: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await cs.list_files() == []
        await cs.upload("large")
        begun.clear()
        task = asyncio.ensure_future(cs.download("large", to="x", progress=lambda _: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [row.name for row in await cs.list_files()] == ["large"]
        assert os.listdir(here / "x") == []


async def test_many_files_use_few_requests_and_few_open_files(api: Any, cluster: Any, here: Path) -> None:
    write({f"d/{n // 50}/{n}": str(n).encode() for n in range(1000)})
    most = 0

    def count(_: TransferProgress) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))

    before = len(os.listdir("/proc/self/fd"))
    async with api.create("python") as cs:
        assert (await cs.upload("d", progress=count)).files == 1000
        assert (await cs.download("d", to="x", progress=count)).files == 1000
        assert content_of(here / "x/d") == content_of(here / "d")
    # The cluster of the test is in this process, so its own files count too.
    assert most - before < 60
