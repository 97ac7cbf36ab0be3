"""A session's life: events, logs, names, restarts, ends; batch sessions and what they wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backendai_sdk import UNSET, AsyncComputeSession, AsyncSession, NotFound, NotSupported, SessionNotFound

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = "cpu=1 mem=512m"


async def test_events_from_the_queue_to_the_end(api: AsyncSession, unique: str) -> None:
    """A stream tells of start and end, and is over with the session."""
    cs = await api.create("python", name=f"{unique}-events", resources=SMALL, enqueue_only=True)
    async with cs:
        seen = []
        async with cs.stream_events() as events:
            await cs.wait()
            await cs.destroy()
            async with asyncio.timeout(90):
                async for event in events:
                    assert event.session_id == cs.id
                    seen.append(event.name)
    assert seen[-1] == "session_terminated"
    assert seen.count("session_terminated") == 1
    assert "kernel_started" in seen
    assert len(seen) == len(set(seen)), seen


async def test_the_reason_of_an_end(api: AsyncSession, unique: str) -> None:
    async with api.create("python", name=f"{unique}-reason", resources=SMALL) as cs:
        async with cs.stream_events() as events:
            await cs.destroy()
            async with asyncio.timeout(90):
                last = [event async for event in events][-1]
        assert last.name == "session_terminated"
        assert (await cs.wait("dead", timeout=90)).status == "TERMINATED"
        assert (await cs.refresh()).status_info == "user-requested"


async def test_events_of_a_cancelled_session(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    """Releases that send no event of it have it told from the state."""
    waiting = await api.create("python", name=f"{unique}-cancelled", dependencies=[cs.id], enqueue_only=True)
    async with waiting.stream_events() as events:
        await waiting.destroy()
        async with asyncio.timeout(60):
            seen = [event.name async for event in events]
    assert seen[-1] == "session_cancelled"


async def test_several_sessions_are_waited_for_and_watched_together(api: AsyncSession, unique: str) -> None:
    """Their states are read in one query by their ids; what no event tells of is told from these."""
    async with asyncio.timeout(180):
        made = [
            await api.create("python", name=f"{unique}-many-{n}", resources=SMALL, enqueue_only=True)
            for n in range(2)
        ]
        told: dict[str, list[str]] = {cs.id: [] for cs in made}
        async with api.watch(*made) as events:
            infos = await asyncio.gather(*(cs.wait() for cs in made))
            await api.destroy(*made)
            async for event in events:
                told[event.session_id].append(event.name)
    assert [info.id for info in infos] == [cs.id for cs in made]
    assert api._client.lists_by_ids
    for names in told.values():
        assert names[-1] == "session_terminated"
        assert len(names) == len(set(names)), names


@pytest.mark.needs_code
async def test_logs(cs: AsyncComputeSession) -> None:
    assert isinstance(await cs.logs(), str)


@pytest.mark.needs_code
async def test_rename(api: AsyncSession, unique: str) -> None:
    async with api.create("python", name=f"{unique}-old", resources=SMALL) as cs:
        await cs.rename(f"{unique}-new")
        assert cs.name == f"{unique}-new"
        assert (await cs.refresh()).name == f"{unique}-new"
        assert (await api.get(f"{unique}-new")).id == cs.id
        with pytest.raises(SessionNotFound):
            await api.get(f"{unique}-old")
        # Its events still reach whoever listens (23.09 sends them under the old name).
        async with cs.stream_events() as events:
            await cs.destroy()
            async with asyncio.timeout(90):
                assert [event.name async for event in events][-1] == "session_terminated"


@pytest.mark.needs_code
@pytest.mark.differs("26.9", "restart is gone (501): NotSupported (SEEN)")
async def test_restart(server: Any, api: AsyncSession, unique: str) -> None:
    async with api.create("python", name=f"{unique}-again", resources=SMALL) as cs:
        await cs.execute("number = 1")
        if server.release == "26.9":
            with pytest.raises(NotSupported):
                await cs.restart()
            return
        await cs.restart()
        assert cs.status == "RUNNING"
        result = await cs.execute("print(number)")
        assert result.error is not None
        assert result.error.name == "NameError"


async def test_match(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    made = [
        await api.create("python", name=f"{unique}-m{i}", dependencies=[cs.id], enqueue_only=True)
        for i in range(3)
    ]
    try:
        assert {row.id for row in await api.match(f"{unique}-m")} == {cs.id for cs in made}
        assert [row.id for row in await api.match(f"{unique}-m1")] == [made[1].id]
        assert [row.name for row in await api.match(made[2].id)] == [made[2].name]
        assert await api.match(f"{unique}-x") == ()
    finally:
        await api.destroy(*made)


async def test_several_at_once(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    """Waiting, unknown and ended ones in one call: one outcome each, in order."""
    waiting = await api.create("python", name=f"{unique}-a", dependencies=[cs.id], enqueue_only=True)
    ended = await api.create("python", name=f"{unique}-b", dependencies=[cs.id], enqueue_only=True)
    await ended.destroy()
    await ended.wait("dead", timeout=60)
    running = await api.create("python", name=f"{unique}-c", resources=SMALL)
    outcomes = await api.destroy(waiting.name, f"{unique}-nobody", ended, running.id)
    assert [outcome.status for outcome in outcomes] == ["cancelled", "failed", "gone", "terminated"]
    assert isinstance(outcomes[1].error, SessionNotFound)
    assert [outcome.session for outcome in outcomes] == [
        waiting.name,
        f"{unique}-nobody",
        ended.id,
        running.id,
    ]
    assert (await waiting.wait("dead", timeout=60)).status == "CANCELLED"
    assert (await running.wait("dead", timeout=90)).status == "TERMINATED"


async def test_forced(api: AsyncSession, unique: str) -> None:
    cs = await api.create("python", name=f"{unique}-forced", resources=SMALL)
    assert (await cs.destroy(forced=True)).status == "terminated"
    assert (await cs.wait("dead", timeout=90)).status == "TERMINATED"
    assert (await api.get(cs.id)).status == "TERMINATED"
    with pytest.raises(SessionNotFound):
        await api.get(cs.name)


@pytest.mark.differs(
    "23.09", "`dependencies` cannot be told once there are some: UNSET, and in `errors` (seen)"
)
@pytest.mark.differs(
    "26.9", "`dependencies` cannot be told once there are some: UNSET, and in `errors` (seen)"
)
async def test_with_those_that_depend_on_it(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    first = await api.create("python", name=f"{unique}-first", dependencies=[cs.id], enqueue_only=True)
    second = await api.create("python", name=f"{unique}-second", dependencies=[first.id], enqueue_only=True)
    row = await second.refresh()
    assert (row.name, row.status) == (f"{unique}-second", "PENDING")
    assert row.dependencies is UNSET
    assert list(row.errors) == ["dependencies"]
    await first.destroy(recursive=True)
    assert (await first.wait("dead", timeout=60)).status == "CANCELLED"
    assert (await second.wait("dead", timeout=60)).status == "CANCELLED"
    assert (await cs.refresh()).status == "RUNNING"


@pytest.mark.needs_code
@pytest.mark.parametrize(
    ("command", "result"), [("echo done; exit 0", "SUCCESS"), ("echo bad; exit 3", "FAILURE")]
)
async def test_batch_session(api: AsyncSession, unique: str, command: str, result: str) -> None:
    cs = await api.create(
        "python",
        name=f"{unique}-batch",
        type="batch",
        startup_command=command,
        resources=SMALL,
        enqueue_only=True,
    )
    async with cs:
        info = await cs.wait("result", timeout=150)
        assert info.result == result
        assert (await cs.wait("dead", timeout=90)).status == "TERMINATED"
        row = await cs.refresh()
        assert (row.type, row.result) == ("batch", result)
        if cs.exit_code is not None:  # not every release tells it
            assert cs.exit_code == (0 if result == "SUCCESS" else 3)


async def test_the_log_of_a_task_needs_a_folder(cs: AsyncComputeSession) -> None:
    """Servers keep them in the user's folder `.logs`, which there is none of here."""
    with pytest.raises(NotFound, match="vfolder"):
        await cs.task_log()


@pytest.mark.needs_code
async def test_dependencies(api: AsyncSession, unique: str) -> None:
    """A session waits until those it depends on have succeeded."""
    first = await api.create(
        "python",
        name=f"{unique}-first",
        type="batch",
        startup_command="sleep 1",
        resources=SMALL,
        enqueue_only=True,
    )
    async with first:
        second = await api.create(
            "python", name=f"{unique}-second", resources=SMALL, dependencies=[first.id], enqueue_only=True
        )
        async with second:
            await first.wait("result", timeout=150)
            assert (await second.wait(timeout=150)).status == "RUNNING"


async def test_an_idle_session_is_ended(server: Any, unique: str) -> None:
    async with server.api("idle") as idle:
        cs = await idle.create("python", name=f"{unique}-idle", resources=SMALL)
        async with cs:
            info = await cs.wait("dead", timeout=200)
            assert info.status == "TERMINATED"
            assert "idle" in (info.status_info or "")
