"""Completion, the log as it grows, histories and dependencies, async and blocking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backendai_sdk import InvalidArgument, NotFound, SessionNotReady, SessionStatus, deadline

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


@RELEASES
async def test_completions(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        await cs.execute("my_long_name = 1; my_list = []")
        assert (await cs.complete("print(my_long")).matches == ("my_long_name",)
        found = await cs.complete("x = 1\nmy_list.app\ny = 2", row=1, col=11)
        assert [match.rstrip("(") for match in found] == ["my_list.append"]
        assert len(await cs.complete("no_such_name")) == 0
        with pytest.raises(InvalidArgument, match="row"):
            await cs.complete("x", row=1)


async def test_a_session_that_has_ended_completes_nothing(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.destroy()
        await cs.wait("dead", timeout=20)
        with pytest.raises(SessionNotReady, match="has ended"):
            await cs.complete("x")


@RELEASES
async def test_the_log_is_followed_to_the_end(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        await cs.execute("print('before')")
        seen = ""
        stage = 0
        async with asyncio.timeout(25):
            async for text in cs.stream_logs(interval=0.05):
                seen += text
                if stage == 0 and "before\n" in seen:
                    stage = 1
                    await cs.execute("print('meanwhile')")
                elif stage == 1 and "meanwhile\n" in seen:
                    stage = 2
                    await cs.execute("print('last words')")
                    await cs.destroy()
        assert seen == await cs.logs()
        assert seen.count("before") == seen.count("meanwhile") == seen.count("last words") == 1


async def test_a_log_that_outgrows_its_buffer(api: Any) -> None:
    """More is written than the server keeps; each numbered line comes once, and in order."""
    async with api.create("python") as cs:
        code = "for i in range({0}, {0} + 2000): print(f'{{i:0200}}')"
        await cs.execute(code.format(0))
        seen, written = "", 2000
        async with asyncio.timeout(25):
            async for text in cs.stream_logs(interval=0.01):
                seen += text
                if len(seen) == written * 201:
                    if written == 8000:
                        break
                    await cs.execute(code.format(written))
                    written += 2000
        assert [int(line) for line in seen.split()] == list(range(8000))
        assert len(await cs.logs()) < len(seen)


async def test_a_batch_session_that_ends_by_itself(api: Any) -> None:
    cs = await api.create("python", type="batch", startup_command="echo one; echo two")
    async with asyncio.timeout(20):
        assert "".join([text async for text in cs.stream_logs(interval=0.05)]).endswith("one\ntwo\n")


@RELEASES
async def test_the_log_of_a_task_needs_a_folder(api: Any, release: str) -> None:
    """Which the local cluster has not; tests/wire has one."""
    cs = await api.create("python", type="batch", startup_command="echo one")
    await cs.wait("dead", timeout=20)
    with pytest.raises(NotFound, match=r"\.logs"):
        await cs.task_log()


async def test_intervals_that_are_none(api: Any) -> None:
    async with api.create("python") as cs:
        for interval in (0, -1, "1", float("nan"), float("inf"), True):
            with pytest.raises(InvalidArgument, match="interval"):
                cs.stream_logs(interval=interval)


async def test_a_deadline_ends_the_following(way: str, api: Any) -> None:
    async with api.create("python") as cs:
        await cs.execute("print('x')")
        with pytest.raises(TimeoutError), deadline(1):
            async for _ in cs.stream_logs(interval=0.05):
                pass


@RELEASES
async def test_the_history_of_a_session(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        history = await cs.status_history()
        assert next(iter(history)) == SessionStatus.PENDING
        assert list(history)[-1] == SessionStatus.RUNNING
        assert list(history.values()) == sorted(history.values())
        await cs.destroy()
        await cs.wait("dead", timeout=20)
        assert list(await cs.status_history())[-1] == SessionStatus.TERMINATED


@RELEASES
async def test_what_a_session_waits_for(small_api: Any, release: str) -> None:
    first = await small_api.create("python", resources={"cpu": 1, "mem": "1g"})
    second = await small_api.create(
        "python", resources={"cpu": 1, "mem": "1g"}, dependencies=[first.id], enqueue_only=True
    )
    graph = await second.dependency_graph()
    assert (graph.session_id, graph.session_name, graph.status) == (second.id, second.name, "PENDING")
    (other,) = graph.depends_on
    assert (other.session_id, other.status, other.depends_on) == (first.id, SessionStatus.RUNNING, ())
    await small_api.destroy(second, first)
