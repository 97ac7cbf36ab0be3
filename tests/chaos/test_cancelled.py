"""Cancelled at every suspension, once and twice: no session that nobody holds, no task, no socket, no file is left."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chaos_cancelling import WAYS, Attempt, How, everywhere, nothing_left

from backendai_sdk import AsyncComputeSession, AsyncSession, LocalCluster, Timeouts

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc"),
    pytest.mark.parametrize("how", WAYS),
]
SMALL: Any = {"resources": "cpu=1 mem=128m"}
journals = pytest.mark.parametrize("journal", [False, True], ids=["plain", "journal"])


@pytest.fixture
def journal() -> bool:
    """Whether there is one; tests parametrise it."""
    return False


@pytest.fixture
def path(tmp_path: Path, journal: bool) -> Path | None:
    return tmp_path / "journal" if journal else None


@pytest.fixture
def make(cluster: LocalCluster, path: Path | None) -> Any:
    def made() -> AsyncSession:
        return AsyncSession(
            cluster.endpoint,
            access_key=cluster.access_key,
            secret_key=cluster.secret_key,
            timeouts=Timeouts(start=20, run=20, cleanup=10),
            journal=path,
        )

    return made


@pytest.fixture
async def api(make: Any) -> AsyncIterator[AsyncSession]:
    """A client session that has agreed on a version; nothing of it is left at the end."""
    async with nothing_left(), make() as session:
        await session.ping()
        yield session


@pytest.fixture
async def cs(api: AsyncSession, cluster: LocalCluster) -> AsyncIterator[AsyncComputeSession]:
    """A session whose interpreter runs."""
    async with api.create("python", **SMALL) as session:
        await session.execute("x = 41")
        yield session
        assert live(cluster) == [session.id]


def live(cluster: LocalCluster) -> list[str]:
    return [s.id for s in cluster.live_sessions() if s.status != "TERMINATING"]


async def nobody_holds(api: AsyncSession, cluster: LocalCluster, made: Attempt) -> None:
    """After a cancellation nothing lives; what was made undisturbed is destroyed here."""
    if made.reached:
        assert live(cluster) == [], f"suspension {made.number}"
    else:
        await api.destroy(*live(cluster))


# --- making sessions ------------------------------------------------------------------------------------


@journals
@pytest.mark.parametrize("enqueue_only", [False, True], ids=["running", "enqueued"])
async def test_create(
    api: AsyncSession, cluster: LocalCluster, how: How, path: Path | None, enqueue_only: bool
) -> None:
    async def create() -> None:
        await api.create("python", enqueue_only=enqueue_only, **SMALL)

    async def after(made: Attempt) -> None:
        await nobody_holds(api, cluster, made)

    assert await everywhere(create, how, after) > 0
    if path is not None:
        # What may have been under way stays written for a while; there is nothing to destroy.
        assert {o.status for o in (await api.reap()).outcomes} <= {"unsettled"}


@journals
async def test_a_block(api: AsyncSession, cluster: LocalCluster, how: How, path: Path | None) -> None:
    async def block() -> None:
        async with api.create("python", **SMALL) as session:
            await session.refresh()

    async def after(made: Attempt) -> None:
        assert live(cluster) == [], f"suspension {made.number}"

    assert await everywhere(block, how, after) > 3
    if path is not None:
        assert {o.status for o in (await api.reap()).outcomes} <= {"unsettled"}


@journals
async def test_a_program(make: Any, cluster: LocalCluster, how: How, path: Path | None) -> None:
    """From the first connection to the last: opening and closing the client session included."""

    async def program() -> None:
        async with make() as session:
            async with session.create("python", enqueue_only=True, **SMALL):
                pass

    async def after(made: Attempt) -> None:
        assert live(cluster) == [], f"suspension {made.number}"

    async with nothing_left():
        assert await everywhere(program, how, after) > 3


async def test_run(api: AsyncSession, cluster: LocalCluster, how: How, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1")

    async def run() -> None:
        result = await api.run("python", exec="cat one.txt", files=[tmp_path / "one.txt"], **SMALL)
        assert result.stdout == "1"

    async def after(made: Attempt) -> None:
        assert live(cluster) == [], f"suspension {made.number}"

    assert await everywhere(run, how, after) > 5


# --- in a session ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["rest", "websocket"])
async def test_execute(cs: AsyncComputeSession, how: How, transport: Any) -> None:
    async def execute() -> None:
        result = await cs.execute("print(x + 1)", transport=transport)
        assert result.stdout == "42\n"

    async def after(made: Attempt) -> None:
        # The session is not held up by what was cancelled, and nothing of it comes in the next run.
        result = await cs.execute("print(x)", timeout=15)
        assert result.stdout == "41\n", f"suspension {made.number}"

    assert await everywhere(execute, how, after) > 0


async def test_upload(cs: AsyncComputeSession, how: How, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "small.txt").write_text("small")
    (tmp_path / "folder" / "other.bin").write_bytes(bytes(range(256)) * 1000)

    async def upload() -> None:
        await cs.upload(tmp_path / "folder")

    async def after(made: Attempt) -> None:
        if not made.reached:
            assert await cs.read_file("folder/other.bin") == bytes(range(256)) * 1000
        # Files that are not large travel without code in the session: it can be used at once.
        assert (await cs.execute("print(x)", timeout=15)).stdout == "41\n"

    assert await everywhere(upload, how, after) > 1


async def test_download(cs: AsyncComputeSession, how: How, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    await cs.write_file("folder/other.bin", data)
    await cs.write_file("folder/small.txt", b"small")

    async def download() -> None:
        await cs.download("folder", to=tmp_path, overwrite=True)

    async def after(made: Attempt) -> None:
        whole = {"other.bin": data, "small.txt": b"small"}
        found = {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert found.items() <= whole.items(), f"suspension {made.number}: {list(found)}"
        assert made.reached or found == whole

    assert await everywhere(download, how, after) > 1


LARGE = bytes(range(256)) * 6000  # 1.5 MiB: travels in pieces, which code in the session puts together


async def tidy(cs: AsyncComputeSession, made: Attempt, *names: str) -> None:
    """The session can be used, and has those files: no pieces, and nothing of a job in it."""
    assert (await cs.execute("print(x)", timeout=15)).stdout == "41\n", f"suspension {made.number}"
    found = {entry.name for entry in await cs.list_files(recursive=True)}
    assert found <= set(names), f"suspension {made.number}"
    assert made.reached or found == set(names)


async def test_large_upload(cs: AsyncComputeSession, how: How, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(LARGE)

    async def upload() -> None:
        await cs.upload(tmp_path / "large.bin", overwrite=True)

    async def after(made: Attempt) -> None:
        await tidy(cs, made, "large.bin")
        told = await cs.execute(
            "import os.path; print(os.path.exists('large.bin') and os.path.getsize('large.bin'))"
        )
        assert told.stdout.strip() in {"False", str(len(LARGE))}, "all of it, or nothing"

    assert await everywhere(upload, how, after) > 3


async def test_large_download(cs: AsyncComputeSession, how: How, tmp_path: Path) -> None:
    await cs.write_file("large.bin", LARGE)

    async def download() -> None:
        await cs.download("large.bin", to=tmp_path, overwrite=True)

    async def after(made: Attempt) -> None:
        await tidy(cs, made, "large.bin")
        found = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert found in ({}, {"large.bin": LARGE}), f"suspension {made.number}: {list(found)}"
        assert found or made.reached

    assert await everywhere(download, how, after) > 3


async def test_remove(cs: AsyncComputeSession, how: How) -> None:
    await cs.write_file("here.txt", "here")

    async def remove() -> None:
        await cs.remove("here.txt")

    async def after(made: Attempt) -> None:
        await tidy(cs, made, *(["here.txt"] if made.reached else []))
        await cs.write_file("here.txt", "here")

    assert await everywhere(remove, how, after) > 1


async def test_stream_events(cs: AsyncComputeSession, how: How) -> None:
    async def listen() -> None:
        async with cs.stream_events() as events:
            await cs.refresh()
            assert events is not None

    async def after(made: Attempt) -> None:
        pass

    async with nothing_left():
        assert await everywhere(listen, how, after) > 1


async def test_wait(cs: AsyncComputeSession, how: How) -> None:
    async def wait() -> None:
        await cs.wait("running", timeout=10)

    async def after(made: Attempt) -> None:
        pass

    assert await everywhere(wait, how, after) >= 1


# --- ending sessions ------------------------------------------------------------------------------------


@journals
async def test_destroy(api: AsyncSession, cluster: LocalCluster, how: How, path: Path | None) -> None:
    """It may or may not have been destroyed; whoever holds it can destroy it again."""
    held: list[AsyncComputeSession] = []

    async def destroy() -> None:
        if not held or held[0].id not in live(cluster):
            held[:] = [await asyncio.create_task(_create(api))]
        await held[0].destroy()

    async def after(made: Attempt) -> None:
        for session in held:
            assert (await session.destroy()).ok
        assert live(cluster) == [], f"suspension {made.number}"
        held[:] = [await api.create("python", enqueue_only=True, **SMALL)]

    held.append(await _create(api))
    assert await everywhere(destroy, how, after) > 0
    await held[0].destroy()


async def _create(api: AsyncSession) -> AsyncComputeSession:
    return await api.create("python", enqueue_only=True, **SMALL)


@pytest.mark.parametrize("journal", [True], ids=["journal"])
async def test_reap_and_detach(api: AsyncSession, cluster: LocalCluster, how: How, path: Path) -> None:
    """Whatever a cancelled reaper has not done, the next one does."""
    journal = api._client.journal

    async def reap() -> None:
        assert (await api.reap()).ok

    async def after(made: Attempt) -> None:
        assert (await api.reap()).ok
        assert live(cluster) == [], f"suspension {made.number}"
        lost = await _create(api)
        journal.abandon(session_id=lost.id)
        await journal.flush()

    await after(Attempt(0))
    assert await everywhere(reap, how, after) > 1
    assert (await api.reap()).ok
    held = await _create(api)

    async def detached(made: Attempt) -> None:
        assert (await journal.read()) == [] or made.reached

    assert await everywhere(held.detach, how, detached) > 0
    await held.destroy()
