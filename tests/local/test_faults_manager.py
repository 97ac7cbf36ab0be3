"""Freezing, restarting and mistiming the manager."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from backendai_sdk.local import LocalCluster
from backendai_sdk.local.faults import Latency


async def still(task: asyncio.Task[Any], seconds: float = 0.3) -> bool:
    return not (await asyncio.wait([task], timeout=seconds))[0]


# --- freeze ---------------------------------------------------------------------------------------------


async def test_frozen_nothing_is_answered_and_nothing_moves(both, listen):
    cluster, api = await both()
    events = await listen(api)
    await api.create("old-1")
    await events.until("session_started")
    cluster.freeze()
    heard = len(events.raw)
    creating = asyncio.create_task(api.create("new-1"))
    assert await still(creating)
    assert [s.name for s in cluster.sessions()] == ["old-1"]
    async with aiohttp.ClientSession() as other:  # a new connection is accepted, and that is all
        asking = asyncio.create_task(other.get(cluster.endpoint + "/"))
        assert await still(asking)
        cluster.thaw()
        assert (await creating).status == 201
        assert (await asking).status == 200
    assert len(events.raw) >= heard
    async with asyncio.timeout(10):
        while "new-1" not in {data["sessionName"] for _, data in events.items}:
            await asyncio.sleep(0.01)


async def test_what_runs_in_a_session_runs_on(both, tmp_path):
    cluster, api = await both()
    await api.create("run-1")
    done = tmp_path / "done"
    code = f"import time; time.sleep(0.3); open({str(done)!r}, 'w').close(); print('done')"
    running = asyncio.create_task(api.run("run-1", code))
    async with asyncio.timeout(10):
        while not cluster.sessions()[0].num_queries:
            await asyncio.sleep(0.01)
    cluster.freeze()
    async with asyncio.timeout(10):
        while not done.exists():
            await asyncio.sleep(0.01)
    assert await still(running)
    cluster.thaw()
    assert await running == "done\n"


async def test_no_session_moves(both):
    cluster, api = await both(step_delay=0.2)
    await api.create("move-1", enqueueOnly=True)
    cluster.freeze()
    await asyncio.sleep(0.4)
    status = cluster.sessions()[0].status
    assert status in {"PENDING", "SCHEDULED"}
    await asyncio.sleep(0.4)
    assert cluster.sessions()[0].status == status
    cluster.thaw()
    await api.until(cluster.sessions()[0].id, "RUNNING")


@pytest.mark.parametrize("restarted", [False, True])
async def test_it_ends_frozen(start, connect, restarted):
    cluster = await start()
    api = await connect(cluster)
    await api.create("cold-1")
    cluster.freeze()
    asking = asyncio.create_task(api("POST", "/auth", body={"echo": "x"}))
    assert await still(asking, 0.1)
    begin = time.monotonic()
    if restarted:
        await cluster.arestart()
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert (await api("GET", "/")).status == 200  # a new process is not frozen
    else:
        await cluster.astop()
        with pytest.raises(aiohttp.ClientError):
            await asking
    assert time.monotonic() - begin < 5


async def test_maintenance(both):
    cluster, api = await both()
    assert cluster.manager_status == "running"
    cluster.manager_status = "frozen"
    refused = await api.create("no-1")
    assert (refused.status, refused.slug) == (503, "server-frozen")
    assert (await api("GET", "/manager/status")).json["status"] == "frozen"
    cluster.manager_status = "running"
    assert (await api.create("yes-1")).status == 201
    with pytest.raises(ValueError, match="'running', 'frozen'"):
        cluster.manager_status = "asleep"


# --- restart --------------------------------------------------------------------------------------------


async def test_restart(both, listen):
    cluster, api = await both()
    endpoint, keys = cluster.endpoint, cluster.user
    await api.create("kept-1")
    await api.run("kept-1", "x = 6")
    asked = cluster.sessions()[0].num_queries
    events = await listen(api)
    hanging = asyncio.create_task(api.execute("kept-1", "import time; time.sleep(1); x += 1", "r-1"))
    async with asyncio.timeout(10):
        while cluster.sessions()[0].num_queries == asked:
            await asyncio.sleep(0.01)
    await cluster.arestart()
    assert (cluster.endpoint, cluster.user) == (endpoint, keys)
    async with asyncio.timeout(10):
        await asyncio.wait([events._task])
    assert isinstance(events._task.exception(), aiohttp.ClientError)
    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert [(s.name, s.status) for s in cluster.live_sessions()] == [("kept-1", "RUNNING")]
    async with asyncio.timeout(20):
        while (await api.execute("kept-1", "", "r-1", "continue")).json["result"]["status"] != "finished":
            pass
    assert await api.run("kept-1", "print(x)") == "7\n"  # the interpreter is the same
    assert (await api.create("new-1")).status == 201


async def test_downtime(both):
    cluster, api = await both()
    restarting = asyncio.create_task(cluster.arestart(downtime=1.0))
    refused = 0
    async with asyncio.timeout(10):
        while not restarting.done():
            async with aiohttp.ClientSession() as client:
                try:
                    async with client.get(cluster.endpoint + "/"):
                        pass
                except aiohttp.ClientConnectorError:
                    refused += 1
                except aiohttp.ClientError:
                    pass  # it was there a moment ago
            await asyncio.sleep(0.01)
    await restarting
    assert refused > 5
    assert (await api("GET", "/")).status == 200


async def test_restart_keeps_limits_and_faults(both):
    cluster, api = await both()
    fault = cluster.faults.add(Latency(0))
    before = int((await api("GET", "/auth/role")).headers["X-RateLimit-Remaining"])
    await cluster.arestart()
    after = int((await api("GET", "/auth/role")).headers["X-RateLimit-Remaining"])
    assert after == before - 1
    assert len(fault.hits) == 2


async def test_a_batch_session_ends_while_nobody_listens(both):
    cluster, api = await both()
    await api.create("batch-1", type="batch", startupCommand="sleep 0.3", enqueueOnly=True)
    session_id = cluster.sessions()[0].id
    await api.until(session_id, "RUNNING")
    await cluster.arestart(downtime=0.5)
    assert (await api.until(session_id, "TERMINATED"))["result"] == "SUCCESS"


def test_blocking_and_refused():
    cluster = LocalCluster()
    for call in (cluster.freeze, cluster.thaw, cluster.restart, cluster.disconnect):
        with pytest.raises(RuntimeError, match="not run|not been started"):
            call()
    with cluster:
        cluster.freeze()
        cluster.freeze()
        cluster.thaw()
        cluster.thaw()
        cluster.restart()
        with pytest.raises(ValueError, match="downtime=-1"):
            cluster.restart(downtime=-1)
        with pytest.raises(TypeError, match="downtime='1'"):
            cluster.restart(downtime="1")
        with pytest.raises(ValueError, match="a method and a path"):
            cluster.disconnect("events")


# --- the clock ------------------------------------------------------------------------------------------


async def test_a_clock_that_is_off_shows_and_is_held_against_requests(both):
    cluster, api = await both()
    cluster.clock.offset = timedelta(hours=1)
    refused = await api("GET", "/auth/role")
    assert (refused.status, refused.slug) == (400, "invalid-auth-params")
    shown = aiohttp.helpers.parse_http_date(refused.headers["Date"])
    assert shown is not None
    assert abs((shown - cluster.clock.shown()).total_seconds()) < 60
    assert (await api("GET", "/auth/role", now=cluster.clock.now())).status == 200
    with pytest.raises(TypeError, match="timedelta"):
        cluster.clock.offset = 3600  # type: ignore[assignment]


async def test_idle_timeout(both):
    cluster, api = await both(idle_timeout=3600)
    made = await api.create("idle-1")
    cluster.clock.advance(3599)
    assert (await api("GET", "/session/idle-1")).status == 200  # requests are dated as ever
    assert cluster.live_sessions()
    cluster.clock.advance(10)
    row = await api.until(made.json["sessionId"], "TERMINATED")
    assert row["status_info"] == "idle-timeout"
    seen = cluster.sessions()[0].status_history
    assert (seen["TERMINATED"] - seen["RUNNING"]).total_seconds() >= 3600


async def test_starts_at(both):
    cluster, api = await both()
    await api.create("later-1", type="batch", startupCommand="true", starts_at="10h", enqueueOnly=True)
    session_id = cluster.sessions()[0].id
    await asyncio.sleep(0.1)
    assert cluster.sessions()[0].status == "PENDING"
    cluster.clock.advance(10 * 3600 + 1)
    await api.until(session_id, "TERMINATED")
    assert cluster.sessions()[0].result == "SUCCESS"


async def test_batch_timeout(both):
    cluster, api = await both()
    await api.create("long-1", type="batch", startupCommand="sleep 1000", batchTimeout="1h", enqueueOnly=True)
    session_id = cluster.sessions()[0].id
    await api.until(session_id, "RUNNING")
    await asyncio.sleep(0.1)
    assert cluster.sessions()[0].status == "RUNNING"
    cluster.clock.advance(3601)
    await api.until(session_id, "TERMINATED")
    assert cluster.sessions()[0].result == "FAILURE"


async def test_rate_limit_window(both):
    cluster, api = await both()
    cluster.rate_limit = 2
    statuses = [(await api("GET", "/auth/role")).status for _ in range(3)]
    cluster.clock.advance(899)
    statuses.append((await api("GET", "/auth/role")).status)
    cluster.clock.advance(901)
    statuses.append((await api("GET", "/auth/role")).status)
    assert statuses == [200, 200, 429, 429, 200]


async def test_steps_of_a_slow_cluster(both):
    cluster, api = await both(step_delay=600)
    await api.create("slow-1", enqueueOnly=True)
    async with asyncio.timeout(20):
        while cluster.sessions()[0].status != "RUNNING":
            cluster.clock.advance(600)
            await asyncio.sleep(0.01)
    assert (await api("GET", "/session/slow-1")).status == 200


def test_advancing_a_cluster_that_does_not_run():
    cluster = LocalCluster()
    before = cluster.clock.now()
    cluster.clock.advance(60)
    assert cluster.clock.now() - before >= timedelta(seconds=60)
    assert cluster.clock.shown() - before < timedelta(seconds=60)
    with cluster:
        cluster.clock.advance(60)
    cluster.clock.advance(60)
    assert cluster.clock.now() - before >= timedelta(seconds=180)


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (float("inf"), ValueError), ("1", TypeError), (True, TypeError)]
)
def test_time_does_not_run_back(seconds, error):
    with pytest.raises(error, match="seconds="):
        LocalCluster().clock.advance(seconds)
