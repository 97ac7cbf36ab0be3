"""The life of a session: events, logs, restart, destroy, handles of ended ones."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from backendai_sdk import (
    ClientClosed,
    InvalidArgument,
    NotSupported,
    SessionNotFound,
    UsageError,
)

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


@RELEASES
async def test_events_from_start_to_end(small_api: Any) -> None:
    holder = await small_api.create("python", resources="cpu=2 mem=1g")
    cs = await small_api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
    names = []
    async with cs.stream_events() as events:
        await holder.destroy()
        async for event in events:
            assert event.session_id == cs.id
            names.append(event.name)
            if event.name == "kernel_started":
                await cs.wait(timeout=20)
                await cs.destroy()
    assert "kernel_started" in names
    assert names[-1] == "session_terminated"
    assert names.count("session_terminated") == 1
    assert len([n for n in names if n == "kernel_terminated"]) <= 1


@RELEASES
async def test_events_of_a_cancelled_and_of_an_ended_session(small_api: Any) -> None:
    async with small_api.create("python", resources="cpu=2 mem=1g"):
        cs = await small_api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
        await cs.destroy()
        async with cs.stream_events() as events:
            seen = [event async for event in events]
        assert [e.name for e in seen] == ["session_cancelled"]
        assert seen[0].recovered


async def test_a_stream_that_is_not_entered(api: Any) -> None:
    async with api.create("python") as cs:
        stream = cs.stream_events()
        with pytest.raises(UsageError, match="enter the event stream first"):
            async for _ in stream:
                pass
        async with stream:
            pass
        with pytest.raises(UsageError, match="entered before"):
            async with stream:
                pass
        run = cs.stream_execute("1")
        with pytest.raises(UsageError, match="enter the run first"):
            async for _ in run:
                pass


@pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8"])
async def test_restart_forgets_the_interpreter(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.execute("x = 1")
        await cs.restart()
        assert cs.status == "RUNNING"
        result = await cs.execute("x")
        assert result.error is not None
        assert result.error.name == "NameError"


@pytest.mark.parametrize("release", ["26.9"])
async def test_restart_where_servers_cannot(api: Any) -> None:
    async with api.create("python") as cs:
        with pytest.raises(NotSupported, match="cannot restart"):
            await cs.restart()


@RELEASES
async def test_logs(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.execute("print('to the log')")
        assert "to the log" in await cs.logs()


@RELEASES
async def test_destroying_several_gives_one_outcome_each(api: Any) -> None:
    one = await api.create("python", name="several-1")
    two = await api.create("python")
    outcomes = await api.destroy("several-1", "no-such-session", two, str(uuid4()))
    assert [o.status for o in outcomes] == ["terminated", "failed", "terminated", "failed"]
    assert [o.ok for o in outcomes] == [True, False, True, False]
    assert outcomes[0].session == "several-1"
    assert outcomes[0].session_id == one.id
    assert isinstance(outcomes[1].error, SessionNotFound)
    with pytest.raises(SessionNotFound, match="no-such-session"):
        outcomes[1].check()
    assert outcomes[0].check() is outcomes[0]
    await one.wait("dead", timeout=20)
    assert (await api.destroy(one))[0].status == "gone"
    assert await api.destroy() == ()


@RELEASES
async def test_handles_of_ended_sessions(api: Any) -> None:
    cs = await api.create("python", name="ended-one")
    await cs.destroy(forced=True)
    await cs.wait("dead", timeout=20)
    assert (await api.get(cs.id)).status == "TERMINATED"
    with pytest.raises(SessionNotFound, match="ended-one"):
        await api.get("ended-one")
    with pytest.raises(SessionNotFound):
        await api.get(str(uuid4()))
    with pytest.raises(InvalidArgument, match="until"):
        await cs.wait("runing")
    assert cs.id in repr(cs)
    assert cs.id in cs._repr_html_()


async def test_wait_for_one_status(api: Any) -> None:
    async with api.create("python") as cs:
        assert (await cs.wait("running", timeout=5)).id == cs.id
        assert (await cs.wait("RUNNING", timeout=5)).status == "RUNNING"


async def test_recursive_destroy(api: Any) -> None:
    first = await api.create("python", name="root-of-two")
    await api.create("python", dependencies=[first.id], enqueue_only=True)
    outcome = await first.destroy(recursive=True, forced=True)
    assert outcome.ok
    rows = [r async for r in api.list(fields=["id", "status"])]
    assert all(r.status == "TERMINATING" for r in rows)


async def test_views_and_closing(api: Any, cluster: Any, way: str) -> None:
    view = api.with_options(timeout=7)
    assert view.config.timeouts.request == 7
    assert api.config.timeouts.request == 60
    assert (await view.ping()).manager.startswith("26.8")
    await view.close()
    assert (await api.ping()).api_version == "v9.20250722"
    assert cluster.endpoint in repr(api)
    await api.close()
    with pytest.raises(ClientClosed, match="closed"):
        await api.list()
    assert "closed" in repr(api)
    await api.close()


async def test_a_batch_session_that_is_over_before_it_was_seen_running(api: Any) -> None:
    """It has run, whenever one looks: that is what its creation waits for."""
    cs = await api.create("python", type="batch", startup_command="true", enqueue_only=True)
    await cs.wait("dead", timeout=20)
    info = await cs.wait("running", timeout=20)
    assert (info.status, info.result) == ("TERMINATED", "SUCCESS")
