"""Making sessions: what they are given, conflicts, queues, and giving up."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from backendai_sdk import (
    APIError,
    AsyncComputeSession,
    AsyncSession,
    Explanation,
    ImageNotFound,
    InvalidArgument,
    NotSupported,
    Phase,
    ReasonKind,
    SessionExists,
    SessionNotFound,
    SessionTimeout,
    Verdict,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = "cpu=1 mem=512m"
IMAGES = ("cr.backend.ai/stable/python:3.9-ubuntu20.04", "cr.backend.ai/stable/python:3.11-debian12")
TOO_MUCH = "cpu=6 mem=1000g"


@pytest.mark.needs_code
async def test_options(api: AsyncSession, unique: str) -> None:
    """Resources, options, environment, tag, name, start script: all reach the session."""
    progress: list[tuple[str, str]] = []
    async with api.create(
        "python",
        name=f"{unique}-options",
        resources={"cpu": 1, "mem": "640m"},
        resource_opts={"shmem": "96m"},
        env={"COLOUR": "blue green", "EMPTY_NOT": "x=y"},
        tag=unique,
        bootstrap_script="echo was here > bootstrap.txt\n",
        on_progress=lambda phase, status, message: progress.append((phase, status)),
    ) as cs:
        assert cs.status == "RUNNING"
        row = await cs.refresh()
        assert (row.name, row.tag) == (f"{unique}-options", unique)
        assert row.occupying_slots["cpu"] == Decimal(1)
        assert row.occupying_slots["mem"] == 640 * 1024 * 1024
        result = await cs.execute(
            "import os\nprint(os.environ['COLOUR'], os.environ['EMPTY_NOT'], open('bootstrap.txt').read().strip())"
        )
        assert result.stdout == "blue green x=y was here\n"
    assert progress[-1] == ("running", "RUNNING")
    assert {phase for phase, _ in progress} <= {"queued", "scheduled", "pulling", "preparing", "running"}
    assert (await cs.wait("dead", timeout=90)).status.is_dead


async def test_a_name_is_taken(api: AsyncSession, cs: AsyncComputeSession) -> None:
    with pytest.raises(SessionExists) as caught:
        await api.create("python", name=cs.name, resources=SMALL)
    assert caught.value.status == 400
    assert caught.value.session_id == cs.id
    assert (await cs.refresh()).status == "RUNNING"


async def test_ensure(api: AsyncSession, cs: AsyncComputeSession) -> None:
    same = await api.ensure(cs.name, "python", resources=SMALL)
    assert same.id == cs.id
    image = (await cs.refresh()).image
    other = next(it for it in IMAGES if it != image)
    with pytest.raises(SessionExists):
        await api.ensure(cs.name, other)
    assert (await cs.refresh()).status == "RUNNING"


async def test_get_by_name_and_id(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    assert (await api.get(cs.name)).id == cs.id
    assert (await api.get(cs.id)).name == cs.name
    with pytest.raises(SessionNotFound):
        await api.get(f"{unique}-nobody")
    with pytest.raises(SessionNotFound):
        await api.get("00000000-0000-4000-8000-000000000000")


async def test_unknown_image(api: AsyncSession, unique: str) -> None:
    with pytest.raises(ImageNotFound, match="no-such-image"):
        await api.create("no-such-image:1.0", name=f"{unique}-image", resources=SMALL)
    assert await api.match(unique) == ()


async def test_bad_arguments_never_leave(api: AsyncSession) -> None:
    for wrong in (
        {"resources": "cpu=many"},
        {"resources": "ram=2g"},
        {"name": "no"},
        {"name": "spaces are bad"},
        {"cluster_size": 0},
        {"type": "sometimes"},
    ):
        with pytest.raises(InvalidArgument):
            await api.create("python", **wrong)
    with pytest.raises(InvalidArgument):
        await api.create("")


async def test_words_that_only_the_server_can_judge(api: AsyncSession, unique: str) -> None:
    for i, wrong in enumerate(
        (
            {"scaling_group": "no-such-group"},
            {"project": "no-such-project"},
            {"resources": {"cpu": 1, "mem": "512m", "quantum.device": 1}},
            {"resources": {"cpu": 1, "mem": "1m"}},
        )
    ):
        options = {"resources": SMALL, **wrong}
        with pytest.raises(APIError) as caught:
            await api.create("python", name=f"{unique}-{i}", enqueue_only=True, **options)
        assert caught.value.status in {400, 404}, wrong
    assert await api.match(unique) == ()


async def test_too_much_waits_and_is_cancelled(api: AsyncSession, unique: str) -> None:
    cs = await api.create("python", name=f"{unique}-much", resources=TOO_MUCH, enqueue_only=True)
    assert cs.status == "PENDING"
    with pytest.raises(SessionTimeout):
        await cs.wait(timeout=1)
    assert (await cs.refresh()).status == "PENDING"  # it keeps its place
    outcome = await cs.destroy()
    assert outcome.status == "cancelled"
    assert (await cs.wait("dead", timeout=60)).status == "CANCELLED"
    assert (await cs.destroy()).status == "gone"


async def test_max_wait_gives_up(api: AsyncSession, unique: str) -> None:
    with pytest.raises(SessionTimeout, match="PENDING") as caught:
        await api.create("python", name=f"{unique}-wait", resources=TOO_MUCH, max_wait=1)
    assert caught.value.session_name == f"{unique}-wait"
    async with asyncio.timeout(60):
        while await api.match(unique):
            await asyncio.sleep(0.3)
    rows = [row async for row in api.list(status="dead", filter=f'name == "{unique}-wait"', fields="status")]
    assert [row.status for row in rows] == ["CANCELLED"]


async def test_enqueue_then_wait(api: AsyncSession, unique: str) -> None:
    cs = await api.create("python", name=f"{unique}-queue", resources=SMALL, enqueue_only=True)
    async with cs:
        assert not cs.status.is_dead
        assert (await cs.wait()).status == "RUNNING"


async def test_cancelled_while_it_starts(api: AsyncSession, unique: str) -> None:
    """Nobody holds the session of a creation that was cancelled: none is left."""
    told: list[str] = []

    async def create() -> AsyncComputeSession:
        task = asyncio.current_task()
        assert task is not None

        def on_progress(phase: str, status: str, message: str) -> None:
            told.append(status)
            task.cancel()

        return await api.create("python", name=f"{unique}-cancel", resources=SMALL, on_progress=on_progress)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(create())
    assert told
    async with asyncio.timeout(120):
        while any(row.status != "TERMINATING" for row in await api.match(unique)):
            await asyncio.sleep(0.5)


@pytest.mark.differs("26.9", "the server does not say why a session waits (seen)")
async def test_a_limit_on_sessions(server, unique: str) -> None:  # type: ignore[no-untyped-def]
    """One session at a time: the second waits, and the error quotes why."""
    async with server.api("tight") as tight:
        first = await tight.create("python", name=f"{unique}-one", resources=SMALL, enqueue_only=True)
        async with first:
            await first.wait()
            with pytest.raises(SessionTimeout, match="PENDING|DEPRIORITIZING") as caught:
                await tight.create("python", name=f"{unique}-two", resources=SMALL, max_wait=6)
            if server.release != "26.9":
                assert "concurrent" in str(caught.value) or "quota" in str(caught.value)


# --- why a session waits ---------------------------------------------------------------------------------


async def explained(cs: AsyncComputeSession, *kinds: ReasonKind) -> Explanation:
    """The explanation, once a reason of one of these kinds is known: schedulers take their time."""
    async with asyncio.timeout(60):
        while True:
            found = await cs.explain()
            if any(reason.kind in kinds for reason in found.reasons):
                return found
            await asyncio.sleep(0.3)


@pytest.mark.differs("26.9", "the server does not say why (seen): it follows from the key's limits")
async def test_explain_a_limit(server, unique: str) -> None:  # type: ignore[no-untyped-def]
    """One session at a time: the second says so, and that it will get its turn; then it runs, and says that."""
    async with server.api("tight") as tight:
        first = await tight.create("python", name=f"{unique}-one", resources=SMALL, enqueue_only=True)
        async with first:
            await first.wait()
            assert (await first.explain()).state == Phase.RUNNING
            second = await tight.create("python", name=f"{unique}-two", resources=SMALL, enqueue_only=True)
            async with second:
                found = await explained(second, ReasonKind.CONCURRENCY, ReasonKind.QUOTA)
                assert (found.state, found.verdict) == (Phase.QUEUED, Verdict.BUSY)
                assert second.name in str(found)
                if server.release == "23.09":
                    # The scheduler tells once it has tried; until then the limits do.
                    async with asyncio.timeout(60):
                        while {reason.source for reason in found.reasons} != {"server"}:
                            await asyncio.sleep(0.3)
                            found = await second.explain()
                    assert "concurrent" in str(found)


@pytest.mark.differs("26.9", "the server does not say why (seen): it follows from what its group has left")
async def test_explain_too_much(server, api: AsyncSession, admin: AsyncSession, unique: str) -> None:  # type: ignore[no-untyped-def]
    """No agent has as much. Only who may see the agents can know that."""
    cs = await api.create("python", name=f"{unique}-much", resources=TOO_MUCH, enqueue_only=True)
    try:
        found = await explained(cs, ReasonKind.RESOURCES)
        assert found.verdict == Verdict.UNKNOWN
        found = await explained(await admin.get(cs.id), ReasonKind.RESOURCES)
        assert found.verdict == Verdict.NEVER
    finally:
        await cs.destroy()
    await cs.wait("dead", timeout=60)
    found = await cs.explain()
    assert (found.state, found.verdict) == (Phase.ENDED, None)


@pytest.mark.differs("26.9", "the server does not say why (seen): it follows from the dependency graph")
async def test_explain_dependencies(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    """An interactive session never gives the result that another one waits for."""
    waiting = await api.create("python", name=f"{unique}-waits", dependencies=[cs.id], enqueue_only=True)
    try:
        found = await explained(waiting, ReasonKind.DEPENDENCIES)
        assert found.verdict == Verdict.NEVER
        assert [other.id for reason in found.reasons for other in reason.sessions] == [cs.id]
    finally:
        await waiting.destroy()


@pytest.mark.needs_code
async def test_a_cluster_session(api: AsyncSession, unique: str) -> None:
    async with api.create("python", name=f"{unique}-two", resources=SMALL, cluster_size=2) as cs:
        row = await cs.refresh()
        assert (row.cluster_size, row.cluster_mode) == (2, "single-node")
        result = await cs.execute("import os\nprint(os.environ['BACKENDAI_CLUSTER_SIZE'])")
        assert result.stdout == "2\n"


async def test_newer_options_on_an_older_server(server, api: AsyncSession, unique: str) -> None:  # type: ignore[no-untyped-def]
    create = api.create("python", name=f"{unique}-prio", resources=SMALL, priority=50, enqueue_only=True)
    if server.release == "23.09":
        with pytest.raises(NotSupported, match="priority"):
            await create
        return
    async with create as cs:
        assert not cs.status.is_dead
