"""What becomes of a session: its statuses, the queue, batches, idleness, its end."""

from __future__ import annotations

import asyncio
import json

import pytest

from backendai_sdk.local import Agent, Image

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]
ONE = [Agent(cpu=1, mem="8g", accelerators={"cuda.shares": 2})]


def history(cluster, name):
    return next(list(s.status_history) for s in cluster.sessions() if s.name == name)


@pytest.mark.parametrize("release", RELEASES)
async def test_statuses(both, release):
    cluster, api = await both(release, images=[Image(aliases=("python:3.11",), needs_pull=True)])
    made = await api.create("path-1")
    await api("DELETE", "/session/path-1")
    await api.until(made.json["sessionId"], "TERMINATED")
    old = ["PENDING", "SCHEDULED", "PREPARING", "PULLING", "RUNNING", "TERMINATING", "TERMINATED"]
    new = [
        "PENDING",
        "SCHEDULED",
        "PREPARING",
        "PULLING",
        "PREPARED",
        "CREATING",
        "RUNNING",
        "TERMINATING",
        "TERMINATED",
    ]
    assert history(cluster, "path-1") == (old if release in {"23.09", "24.03"} else new)
    assert cluster.live_sessions() == []
    assert not cluster.sessions()[0].work_dir.exists()


@pytest.mark.parametrize("release", RELEASES)
async def test_destroy(both, release):
    old = release in {"23.09", "24.03"}
    cluster, api = await both(release, agents=ONE)
    await api.create("runs-1")
    await api.create("waits-1", enqueueOnly=True)
    assert (await api("DELETE", "/session/waits-1")).json == {
        "stats": {"status": "terminated" if old else "cancelled"}
    }
    assert history(cluster, "waits-1")[-1] == "CANCELLED"
    session_id = cluster.sessions()[0].id
    gone = await api("DELETE", "/session/runs-1", query={"forced": "true"})
    assert gone.json == {"stats": {"status": "terminated"}}
    row = await api.until(session_id, "TERMINATED")
    assert row["status_info"] == "force-terminated"
    again = await api("DELETE", f"/session/{session_id}")
    if release in {"25.19", "26.8"}:
        assert (again.status, again.json) == (200, {"stats": {}})
    else:
        assert again.status == 404
        assert again.slug == ("entity-not-found" if release == "26.9" else "object-not-found")
    assert (await api("GET", "/session/runs-1")).status == 404
    assert (await api("GET", "/session/runs-1/logs")).status == 200  # the stored log


async def test_destroy_refusals_of_old(both):
    _, api = await both("23.09", step_delay=0.4, images=[Image(aliases=("python:3.11",), needs_pull=True)])
    made = await api.create("slow-1", enqueueOnly=True)
    session_id = made.json["sessionId"]
    await api.until(session_id, "SCHEDULED")
    refused = await api("DELETE", "/session/slow-1")
    assert (refused.status, refused.slug) == (403, "generic-forbidden")
    await api.until(session_id, "PULLING")
    for query in ({}, {"forced": "true"}):
        refused = await api("DELETE", "/session/slow-1", query=query)
        assert refused.json["msg"] == "Cannot destroy sessions in pulling status"
    await api.until(session_id, "RUNNING")


async def test_destroy_while_starting(both):
    _, api = await both("26.8", step_delay=0.3)
    made = await api.create("slow-1", enqueueOnly=True)
    await api.until(made.json["sessionId"], "PREPARING")
    assert (await api("DELETE", "/session/slow-1")).json == {"stats": {"status": "terminated"}}
    await api.until(made.json["sessionId"], "TERMINATED")


async def test_namesakes(both):
    _, api = await both("26.8")
    for _ in range(2):
        made = await api.create("same-name")
        await api("DELETE", f"/session/{made.json['sessionId']}")
        await api.until(made.json["sessionId"], "TERMINATED")
    answer = await api("DELETE", "/session/same-name")
    assert (answer.status, answer.slug) == (404, "too-many-sessions-matched")
    assert set(answer.json["data"]["matches"][0]) == {"id", "name", "status", "created_at"}
    matches = (await api("GET", "/session/_/match", query={"id": "same-name"})).json["matches"]
    assert [m["status"] for m in matches] == ["TERMINATED", "TERMINATED"]
    assert (await api("GET", "/session/_/match", query={"id": "same"})).json == {"matches": []}


async def test_recursive(both):
    for release in ("23.09", "26.8"):
        cluster, api = await both(release)
        root = await api.create("root-1")
        await api.create("leaf-1", enqueueOnly=True, dependencies=[root.json["sessionId"]])
        await api.create("leaf-2", enqueueOnly=True, dependencies=["leaf-1"])
        answer = await api("DELETE", "/session/root-1", query={"recursive": "true"})
        if release == "23.09":
            assert answer.json == [{"status": "terminated"}] * 3
        else:
            assert answer.json == {"stats": {"status": "terminated"}}
        assert history(cluster, "leaf-2")[-1] == "CANCELLED"


async def test_first_come_first_served(both):
    cluster, api = await both(agents=ONE)
    await api.create("first-1")
    for name in ("second-1", "third-1"):
        await api.create(name, enqueueOnly=True)
    await asyncio.sleep(0.05)
    waiting = cluster.sessions()[1]
    assert (waiting.status, waiting.status_info, waiting.agents) == ("PENDING", "no-available-instances", ())
    for name, following in (("first-1", "second-1"), ("second-1", "third-1")):
        await api("DELETE", f"/session/{name}")
        assert (await api.create(following)).json["created"] is False
        following_id = next(s.id for s in cluster.sessions() if s.name == following)
        await api.until(following_id, "RUNNING")
    assert [s.name for s in cluster.live_sessions() if s.status == "RUNNING"] == ["third-1"]


async def test_accelerators_and_agents(both):
    agents = [
        Agent(id="a1", cpu=2, mem="2g", accelerators={"cuda.shares": "0.5"}),
        Agent(id="a2", cpu=2, mem="2g", accelerators={}),
    ]
    cluster, api = await both(agents=agents)
    gpu = {"resources": {"cpu": 1, "mem": "512m", "cuda.shares": "0.3"}}
    await api.create("gpu-1", config=gpu)
    await api.create("gpu-2", enqueueOnly=True, config=gpu)
    await api.create("cpu-1", config={"resources": {"cpu": 2, "mem": "512m"}})
    by_name = {s.name: s for s in cluster.sessions()}
    assert by_name["gpu-1"].agents == ("a1",)
    assert by_name["cpu-1"].agents == ("a2",)  # it overtakes the one that cannot fit
    assert by_name["gpu-2"].status == "PENDING"
    spread = await api.create(
        "multi-1",
        enqueueOnly=True,
        clusterSize=2,
        clusterMode="multi-node",
        config={"resources": {"cpu": 1, "mem": "512m"}},
    )
    await api("DELETE", "/session/cpu-1")
    await api.until(spread.json["sessionId"], "RUNNING")
    assert {s.name: s.agents for s in cluster.sessions()}["multi-1"] == ("a1", "a2")


async def test_concurrency_limit(both):
    cluster, api = await both("23.09", max_concurrent_sessions=1)
    await api.create("one-1")
    made = await api.create("two-1", enqueueOnly=True)
    await asyncio.sleep(0.05)
    row = await api.row(made.json["sessionId"])
    assert row["status_info"] == "predicate-checks-failed"
    data = json.loads(row["status_data"])["scheduler"]
    assert data["failed_predicates"] == [
        {"name": "concurrency", "msg": "You cannot run more than 1 concurrent sessions"}
    ]
    assert {"name": "dependencies"} in data["passed_predicates"]
    await api("DELETE", "/session/one-1")
    await api.until(made.json["sessionId"], "RUNNING")
    assert len(cluster.live_sessions()) == 1


async def batch(api, name, command, **more):
    return (await api.create(name, type="batch", startupCommand=command, enqueueOnly=True, **more)).json[
        "sessionId"
    ]


@pytest.mark.parametrize(
    ("command", "result"), [("echo from-batch; exit 0", "SUCCESS"), ("exit 3", "FAILURE")]
)
async def test_batch(both, command, result):
    _, api = await both("23.09")
    session_id = await batch(api, "batch-1", command)
    row = await api.until(session_id, "TERMINATED")
    assert (row["result"], row["status_info"]) == (result, "task-finished")
    text = (await api("GET", f"/session/{session_id}/logs")).json["result"]["logs"]
    assert ("from-batch" in text) is (result == "SUCCESS")


async def test_batch_timeout_and_restartless_end(both):
    _, api = await both("26.8")
    session_id = await batch(api, "batch-1", "sleep 20", batch_timeout="0.2s")
    assert (await api.until(session_id, "TERMINATED"))["result"] == "FAILURE"


async def test_dependencies(both):
    cluster, api = await both("23.09")
    first = await batch(api, "first-1", "sleep 0.3")
    second = await batch(api, "second-1", "true", dependencies=[first])
    failing = await batch(api, "fails-1", "false")
    never = await batch(api, "never-1", "true", dependencies=["fails-1"])
    await api.until(second, "TERMINATED")
    await api.until(failing, "TERMINATED")
    row = await api.row(never)
    assert (row["status"], row["status_info"]) == ("PENDING", "predicate-checks-failed")
    failed = json.loads(row["status_data"])["scheduler"]["failed_predicates"]
    assert failed == [
        {
            "name": "dependencies",
            "msg": f"Waiting dependency sessions to finish as success. (fails-1 ({failing}))",
        }
    ]
    graph = (await api("GET", "/session/never-1/dependency-graph")).json
    assert (graph["status"], graph["status_changed"]) == ("KernelStatus.PENDING", "None")
    assert graph["depends_on"][0]["session_id"] == failing
    assert (await api("GET", "/session/nobody/dependency-graph")).status == 500
    order = {s.name: s.status_history for s in cluster.sessions()}
    assert order["second-1"]["SCHEDULED"] >= order["first-1"]["TERMINATING"]


async def test_starts_at(both):
    cluster, api = await both("23.09")
    session_id = await batch(api, "later-1", "true", starts_at="1s")
    await asyncio.sleep(0.05)
    assert (await api.row(session_id))["status_info"] == "predicate-checks-failed"
    await api.until(session_id, "TERMINATED")
    seen = cluster.sessions()[0].status_history
    assert (seen["SCHEDULED"] - seen["PENDING"]).total_seconds() >= 1


async def test_idle(both):
    cluster, api = await both(idle_timeout=0.4)
    made = await api.create("idle-1")
    busy = asyncio.create_task(api.run("idle-1", "import time; time.sleep(1); print('done')"))
    assert await busy == "done\n"
    row = await api.until(made.json["sessionId"], "TERMINATED")
    assert row["status_info"] == "idle-timeout"
    assert cluster.live_sessions() == []


async def test_restart(both):
    _, api = await both("23.09")
    made = await api.create("again-1")
    await api.run("again-1", "x = 1")
    assert (await api("PATCH", "/session/again-1", body={})).status == 204
    assert "NameError" in await api.run("again-1", "print(x)")
    assert (await api.row(made.json["sessionId"]))["status"] == "RUNNING"
    _, newest = await both("26.9")
    refused = await newest("PATCH", "/session/nobody", body={})
    assert (refused.status, refused.slug, refused.json["error_code"]) == (
        501,
        "not-implemented",
        "api_generic_not-implemented",
    )


async def test_rename(both):
    for release in ("23.09", "26.8"):
        _, api = await both(release)
        made = await api.create("before-1")
        await api.create("taken-1")
        assert (await api("POST", "/session/before-1/rename", body={"name": "after-1"})).status == 204
        assert (await api("GET", "/session/before-1/direct-access-info")).status == 404
        assert (await api("GET", "/session/after-1/direct-access-info")).json == {}
        assert (await api("GET", f"/session/{made.json['sessionId']}/abusing-report")).json == {}
        taken = await api("POST", "/session/after-1/rename", body={"name": "taken-1"})
        assert (taken.status, taken.slug) == (
            400,
            "invalid-api-params" if release == "23.09" else "session-already-exists",
        )
    _, old = await both("23.09")
    await old.create("query-1")
    assert (await old("POST", "/session/query-1/rename", query={"name": "query-2"})).status == 204
    bad = await old("POST", "/session/query-2/rename", query={"name": "..bad.."})
    assert bad.json["data"] == {"name": r"does not match pattern ^(?=.{4,64}$)\w[\w.-]*\w$"}


async def test_priority(both):
    cluster, api = await both("26.8", agents=ONE)
    await api.create("holds-1")
    await api.create("low-1", enqueueOnly=True, priority=1)
    await api.create("high-1", enqueueOnly=True, priority=90)
    await api("DELETE", "/session/holds-1")
    await api.until(cluster.sessions()[2].id, "RUNNING")
    assert cluster.sessions()[1].status == "PENDING"


async def test_status_history(both):
    for release, wrapped in (("25.19", True), ("26.9", False)):
        _, api = await both(release)
        await api.create("past-1")
        seen = (await api("GET", "/session/past-1/status-history")).json
        assert set(seen["result"] if wrapped else seen) == {
            "PENDING",
            "SCHEDULED",
            "PREPARING",
            "PREPARED",
            "CREATING",
            "RUNNING",
        }
        session_id = (await api("GET", "/session/_/match", query={"id": "past-1"})).json["matches"][0]["id"]
        answer = await api("POST", "/session/_/transit-status", body={"session_ids": [session_id]})
        assert answer.json == {"session_status_map": {session_id: "RUNNING"}}
    _, old = await both("23.09")
    await old.create("past-1")
    assert (await old("GET", "/session/past-1/status-history")).slug == "url-not-found"
    assert (await old("POST", "/session/_/transit-status", body={"session_ids": []})).slug == "url-not-found"


async def test_owner_access_key(start, connect):
    cluster = await start()
    user, admin, other = (
        await connect(cluster),
        await connect(cluster, cluster.admin),
        await connect(cluster, cluster.add_user()),
    )
    owned = {"owner_access_key": cluster.access_key}
    assert (await admin.create("owned-1", **owned)).status == 201
    assert (await user("GET", "/session/owned-1/direct-access-info")).status == 200
    assert (await admin("GET", "/session/owned-1/direct-access-info")).status == 404
    assert (await other("DELETE", "/session/owned-1", query=owned)).status == 403
    assert (await other("DELETE", "/session/owned-1", query={"owner_access_key": "AKNONE"})).status == 400
    assert (await admin("GET", "/session/owned-1/logs", query=owned)).status == 200
    assert (await admin("DELETE", "/session/owned-1", query=owned)).status == 200


async def test_small_pages(both):
    _, api = await both("23.09")
    await api.create("small-1")
    assert (await api("GET", "/session/small-1/commit")).json["status"] == "ready"
    missing = await api("POST", "/session/small-1/start-service", body={"app": "nothing"})
    assert (missing.status, missing.json["title"], missing.json["msg"]) == (
        404,
        "No such app service.",
        "small-1:nothing",
    )
    assert (await api("GET", "/session/_/logs", query={"session_name": "small-1"})).json["data"] == {
        "session_name": "cannot convert value to UUID",
    }
    logs = await api("GET", "/session/_/logs", query={"taskId": "00000000-0000-0000-0000-000000000000"})
    assert (logs.status, logs.json["data"]) == (404, {"vfolder_name": ".logs"})
    unchecked = await api("PATCH", "/session/nobody", body={"mode": "query"})
    assert unchecked.json["data"] == {"mode": "mode is not allowed key"}
