"""Why a session waits: every reason, on every release, async and blocking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backendai_sdk import Phase, ReasonKind, Verdict
from backendai_sdk.local import Agent, Image, LocalCluster

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
SMALL = "cpu=1 mem=256m"
AGENT = Agent("i-one", cpu=2, mem="4g", accelerators={})


async def explained(cs: Any, kind: ReasonKind) -> Any:
    """The explanation, once it has a reason of that kind: the scheduler looks at a session after it is made."""
    async with asyncio.timeout(15):
        while True:
            found = await cs.explain()
            if kind in {reason.kind for reason in found.reasons}:
                return found
            await asyncio.sleep(0.05)


def reason_of(found: Any, kind: ReasonKind) -> Any:
    return next(reason for reason in found.reasons if reason.kind == kind)


@RELEASES
async def test_a_limit_on_sessions(begin: Any, release: str) -> None:
    api = await begin(max_concurrent_sessions=1, agents=[AGENT])
    first = await api.create("python", resources=SMALL)
    second = await api.create("python", resources=SMALL, enqueue_only=True)
    found = await explained(second, ReasonKind.CONCURRENCY)
    reason = reason_of(found, ReasonKind.CONCURRENCY)
    assert (found.state, found.verdict, found.status) == (Phase.QUEUED, Verdict.BUSY, "PENDING")
    assert [other.id for other in reason.sessions] == [first.id]
    assert found.is_waiting
    if release == "26.9":
        assert reason.source == "derived"
        assert reason.message == "the key may run 1 sessions at once, and runs 1"
        assert (found.retries, found.passed, found.extra) == (None, (), {})
    else:
        assert (reason.source, reason.name) == ("server", "concurrency")
        assert reason.message == "You cannot run more than 1 concurrent sessions"
        assert found.retries >= 1
        assert "dependencies" in found.passed
        assert found.last_try.tzinfo is not None
    assert str(found).startswith(f"{second.name} is PENDING")
    assert "It starts by itself." in str(found)
    await first.destroy()
    await second.wait()
    found = await second.explain()
    assert (found.state, found.verdict, found.reasons) == (Phase.RUNNING, None, ())
    assert "it runs" in str(found)


@RELEASES
@pytest.mark.parametrize(("resources", "verdict"), [("cpu=1 mem=1g", "busy"), ("cpu=3 mem=256m", "never")])
async def test_a_quota(begin: Any, release: str, resources: str, verdict: str) -> None:
    api = await begin(max_resources={"cpu": 2, "mem": "1g"})
    await api.create("python", resources="cpu=1 mem=256m")
    cs = await api.create("python", resources=resources, enqueue_only=True)
    found = await explained(cs, ReasonKind.QUOTA)
    reason = reason_of(found, ReasonKind.QUOTA)
    assert found.verdict == reason.verdict == verdict
    assert str(reason.needed) == resources
    if release == "26.9":
        assert reason.source == "derived"
        assert f"it asks for {resources}" in reason.message
    else:
        assert reason.message == "Your keypair resource quota is exceeded. (cpu=2 mem=1g)"
        assert str(reason.limit) == "cpu=2 mem=1g"
    assert ("It will never start" in str(found)) == (verdict == "never")


@RELEASES
async def test_dependencies(begin: Any, release: str) -> None:
    api = await begin()
    first = await api.create(
        "python", type="batch", startup_command="sleep 600", resources=SMALL, enqueue_only=True
    )
    second = await api.create("python", dependencies=[first.id], resources=SMALL, enqueue_only=True)
    found = await explained(second, ReasonKind.DEPENDENCIES)
    reason = reason_of(found, ReasonKind.DEPENDENCIES)
    assert found.verdict == Verdict.BUSY
    assert first.name in reason.message
    assert [(other.id, other.name) for other in reason.sessions] == [(first.id, first.name)]
    assert reason.source == ("derived" if release == "26.9" else "server")
    await first.destroy(forced=True)
    await first.wait("dead")
    found = await second.explain()
    assert found.verdict == Verdict.NEVER
    assert f"{first.name} has ended without it" in str(found)


@RELEASES
async def test_an_interactive_session_never_gives_a_result(begin: Any) -> None:
    api = await begin()
    first = await api.create("python", resources=SMALL)
    second = await api.create("python", dependencies=[first.id], resources=SMALL, enqueue_only=True)
    found = await explained(second, ReasonKind.DEPENDENCIES)
    assert found.verdict == Verdict.NEVER
    assert f"{first.name} is interactive and has no result" in str(found)


@RELEASES
async def test_a_start_time(begin: Any, release: str) -> None:
    api = await begin()
    later = datetime.now(UTC) + timedelta(hours=2)
    cs = await api.create(
        "python", type="batch", startup_command="true", starts_at=later, resources=SMALL, enqueue_only=True
    )
    found = await explained(cs, ReasonKind.START_TIME)
    reason = reason_of(found, ReasonKind.START_TIME)
    assert found.verdict == Verdict.BUSY
    assert abs(reason.until - later) < timedelta(seconds=1)
    assert reason.message == "Before start time" if release != "26.9" else str(later.year) in reason.message


@RELEASES
async def test_no_room_now(begin: Any, release: str) -> None:
    """What the same key holds on an agent shows that the agent is large enough."""
    api = await begin(agents=[AGENT])
    first = await api.create("python", resources="cpu=2 mem=256m")
    second = await api.create("python", resources=SMALL, enqueue_only=True)
    found = await explained(second, ReasonKind.RESOURCES)
    reason = reason_of(found, ReasonKind.RESOURCES)
    assert (found.verdict, str(reason.needed)) == (Verdict.BUSY, SMALL)
    assert reason.limit["cpu"] == 0
    if release != "26.9":
        assert found.status_info == "no-available-instances"
        assert "contiguous resource region" in reason.message
    await first.destroy()
    await second.wait()


@RELEASES
@pytest.mark.parametrize("admin", [False, True])
async def test_more_than_any_agent_has(begin: Any, admin: bool) -> None:
    api = await begin(admin=admin, agents=[AGENT, Agent("i-two", cpu=2, mem="4g", accelerators={})])
    cs = await api.create("python", resources="cpu=5 mem=256m", enqueue_only=True)
    found = await explained(cs, ReasonKind.RESOURCES)
    # Who may not see the agents cannot know that none is larger.
    assert found.verdict == (Verdict.NEVER if admin else Verdict.UNKNOWN)
    assert str(reason_of(found, ReasonKind.RESOURCES).limit) == "cpu=4 mem=8g"


@RELEASES
async def test_no_single_agent_has_as_much(begin: Any) -> None:
    agents = [AGENT, Agent("i-two", cpu=2, mem="4g", accelerators={})]
    api = await begin(admin=True, agents=agents)
    cs = await api.create("python", resources="cpu=3 mem=256m", enqueue_only=True)
    assert (await explained(cs, ReasonKind.RESOURCES)).verdict == Verdict.NEVER
    more = await api.create(
        "python", resources="cpu=1 mem=256m", cluster_size=3, cluster_mode="multi-node", enqueue_only=True
    )
    await more.wait()  # its parts fit
    assert (await more.explain()).verdict is None


@RELEASES
async def test_an_image_that_is_fetched(begin: Any, release: str) -> None:
    api = await begin(images=[Image(aliases=("python",), needs_pull=True)], step_delay=0.3)
    cs = await api.create("python", resources=SMALL, enqueue_only=True)
    found = await explained(cs, ReasonKind.IMAGE_PULL)
    assert (found.state, found.verdict) == (Phase.PULLING, Verdict.BUSY)
    assert "stable/python" in str(found)
    assert "is being started" in str(found)


@RELEASES
async def test_what_has_ended(begin: Any) -> None:
    api = await begin(max_concurrent_sessions=1)
    first = await api.create("python", resources=SMALL)
    second = await api.create("python", resources=SMALL, enqueue_only=True)
    await second.destroy()
    await second.wait("dead")
    found = await second.explain()
    assert (found.state, found.status, found.verdict) == (Phase.ENDED, "CANCELLED", None)
    assert not found.is_waiting
    assert "it has ended" in str(found)
    assert "CANCELLED" in found._repr_html_()
    await first.destroy()


@RELEASES
async def test_an_administrators_own_limits_say_nothing_about_others(begin: Any, release: str) -> None:
    async with LocalCluster(release, max_concurrent_sessions=1, agents=[AGENT]) as cluster:
        user, admin = await begin(cluster=cluster), await begin(cluster=cluster, admin=True)
        first = await user.create("python", resources=SMALL)
        second = await user.create("python", resources=SMALL, enqueue_only=True)
        await explained(second, ReasonKind.CONCURRENCY)
        found = await (await admin.get(second.id)).explain()
        if release == "26.9":
            assert (found.verdict, found.reasons) == (Verdict.UNKNOWN, ())
            assert "the server does not say why" in str(found)
        else:
            reason = reason_of(found, ReasonKind.CONCURRENCY)
            assert (found.verdict, [other.id for other in reason.sessions]) == (Verdict.BUSY, [first.id])
