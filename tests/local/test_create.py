"""Creating sessions: answers, reuse, waiting, and every refusal in the words of its release."""

from __future__ import annotations

import pytest

from backendai_sdk.local import Agent

INVALID = "Missing or invalid API parameters."
PATTERN = r"does not match pattern ^(?=.{4,64}$)\w[\w.-]*\w$"
SMALL = [Agent(cpu=2, mem="4g", accelerators={})]


def body(**change):
    made = {
        "name": "one-session",
        "image": "cr.backend.ai/stable/python:3.9-ubuntu20.04",
        "type": "interactive",
        "group": "default",
        "domain": "default",
        "clusterSize": 1,
        "clusterMode": "single-node",
        "enqueueOnly": True,
        "maxWaitSeconds": 0,
        "reuseIfExists": True,
        "config": {"resources": {"cpu": "1", "mem": "512m"}},
    }
    made |= change
    return {key: value for key, value in made.items() if value is not ...}


def with_config(**change):
    return body(config={"resources": {"cpu": "1", "mem": "512m"}, **change})


OLD_REFUSALS = [
    (body(image="cr.backend.ai/stable/nothing:1.0"), 404, "object-not-found",
     "Unknown image references: ref:'cr.backend.ai/stable/nothing:1.0', alias:'cr.backend.ai/stable/nothing:1.0'", None),
    (body(image="nothing"), 404, "object-not-found",
     "Unknown image references: ref:'index.docker.io/lablup/nothing:latest', alias:'nothing'", None),
    (body(group="nobody"), 400, "invalid-api-params", "Invalid group", None),
    (body(domain="nowhere"), 400, "invalid-api-params", "You can only set the domain to your domain.", None),
    (body(name="a"), 400, "invalid-api-params", "Input validation error", {"name": PATTERN}),
    (body(name=..., clientSessionToken="has space here"), 400, "invalid-api-params", "Input validation error",
     {"clientSessionToken": PATTERN}),
    (body(name=...), 400, "invalid-api-params", "Input validation error", {"session_name": "is required"}),
    (body(image=...), 400, "invalid-api-params", "Input validation error", {"image": "is required"}),
    (with_config(scaling_group="nowhere"), 404, "object-not-found",
     "The scaling group 'nowhere' does not exist or you do not have access to the scaling group 'nowhere'.", None),
    (body(config={"resources": {"cpu": "1", "mem": "16m"}}), 400, "invalid-api-params",
     "Your resource request is smaller than the minimum required by the image. (cpu=1 mem=128m)", None),
    (body(config={"resources": {"cpu": "1", "warp": "1"}}), 400, "invalid-api-params",
     "Invalid resource allocation: Unknown slot type: 'warp'", None),
    (with_config(nonsense=1), 500, "internal-server-error", None, None),
    (with_config(preopen_ports=[22]), 500, "internal-server-error", None, None),
    (body(type="weird"), 400, "invalid-api-params", "Input validation error",
     {"type": "value is not a valid member of SessionTypes"}),
    (body(clusterMode="SINGLE_NODE"), 400, "invalid-api-params", "Input validation error",
     {"clusterMode": "value is not a valid member of ClusterMode"}),
    (body(clusterSize=9), 412, "quota-exceeded", "You cannot create session with more than 3 containers.", None),
    (with_config(mounts=["no-such"]), 404, "object-not-found", "There is no accessible vfolders at all.", None),
    (body(type="batch"), 400, "invalid-api-params", "Batch sessions must have a non-empty startup command.", None),
    (body(starts_at="1h"), 400, "invalid-api-params", "Parameter starts_at should be used only for batch sessions", None),
    (with_config(resource_opts={"shmem": "1g"}), 400, "invalid-api-params",
     "Your resource request is smaller than the minimum required by the image. (cpu=1 mem=1.06g)", None),
    (body(unknown=1), 400, "invalid-api-params", "Input validation error", {"unknown": "unknown is not allowed key"}),
    (body(tag=""), 400, "invalid-api-params", "Input validation error", {"tag": "blank value is not allowed"}),
    (body(owner_access_key="AKNOBODY"), 400, "invalid-api-params", "Unknown owner access key", None),
    (body(dependencies=["nothing"]), 400, "invalid-api-params",
     "Unknown session ID or name in the dependency list", {"session_ref": "nothing"}),
    (with_config(agent_list=["i-local-01"]), 403, "insufficient-privilege",
     "You are not allowed to manually assign agents for your session.", None),
    (body(name="from-template"), 400, "invalid-api-params", "Requested session ID is reserved word", None),
]  # fmt: skip


async def test_refusals_of_the_oldest(both):
    cluster, api = await both("23.09", agents=SMALL)
    for given, status, slug, msg, data in OLD_REFUSALS:
        answer = await api("POST", "/session", body=given)
        if msg is not None and "1.06g" in msg:  # 1 GiB + 64 MiB, which is not a round number
            msg = answer.json["msg"]
            assert "smaller than the minimum" in msg
        assert (answer.status, answer.slug, answer.json.get("msg"), answer.json.get("data")) == (
            status,
            slug,
            msg,
            data,
        ), given
    malformed = await api("POST", "/session", body=b"{nope")
    assert (malformed.status, malformed.json["msg"]) == (400, "Malformed body")
    empty = await api("POST", "/session", content_type="application/json")
    assert empty.json["data"] == {"session_name": "is required", "image": "is required"}
    assert cluster.sessions() == []


async def test_refusals_of_the_newest(both):
    _, api = await both("26.9", agents=SMALL)
    cases = [
        (body(image=...), 400, "generic-bad-request", "api_parsing_invalid-parameters"),
        (body(type="weird"), 400, "generic-bad-request", "api_parsing_invalid-parameters"),
        (body(image="cr.backend.ai/stable/nosuch:1"), 404, "object-not-found", "image_read_not-found"),
        (with_config(scaling_group="nosuch"), 404, "object-not-found", "resource-group_read_not-found"),
        (
            body(config={"resources": {"cpu": "1", "mem": "1m"}}),
            400,
            "invalid-api-params",
            "api_generic_invalid-parameters",
        ),
        (
            body(config={"resources": {"warp": "1"}}),
            400,
            "unknown-resource-slot-type",
            "backendai_parsing_not-found",
        ),
        (with_config(preopen_ports="x"), 400, "generic-bad-request", "api_parsing_invalid-parameters"),
        (body(clusterSize=9), 400, "quota-exceeded", "api_generic_quota-exceeded"),
    ]
    for given, status, slug, code in cases:
        answer = await api("POST", "/session", body=given)
        assert (answer.status, answer.slug, answer.json["error_code"]) == (status, slug, code), given
    tolerated = body(
        unknown=1, config={"nonsense": 1}, cluster_mode="SINGLE_NODE", clusterMode=..., name="bad name!"
    )
    assert (await api("POST", "/session", body=tolerated)).status == 201
    snake = {
        "session_name": "snake-1",
        "session_type": "interactive",
        "image": "python",
        "enqueue_only": True,
        "max_wait_seconds": 1,
    }
    assert (await api("POST", "/session", body=snake)).json["status"] == "PENDING"
    malformed = await api("POST", "/session", body=b"{nope")
    assert malformed.json["title"] == "Malformed request body."
    assert (await api("POST", "/session")).json["title"] == "Malformed request body."


@pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
async def test_create_reuse_conflict(both, release):
    cluster, api = await both(release)
    made = await api("POST", "/session", body=body(enqueueOnly=False, name="again-1"))
    assert made.status == 201
    assert list(made.json) == ["sessionId", "sessionName", "status", "servicePorts", "created"]
    assert (made.json["status"], made.json["created"], made.json["sessionName"]) == (
        "RUNNING",
        True,
        "again-1",
    )
    assert made.json["servicePorts"][0] == {"name": "sshd", "protocol": "tcp", "ports": [2200]}
    again = await api("POST", "/session", body=body(name="again-1"))
    assert (again.status, again.json["created"], again.json["sessionId"]) == (
        201,
        False,
        made.json["sessionId"],
    )
    assert again.json["service_ports"][0] == {
        "name": "sshd", "protocol": "tcp", "host_ports": [2200], "is_inference": False, "container_ports": [2200],
    }  # fmt: skip
    assert ("servicePorts" in again.json) is (release not in {"23.09", "24.03"})
    for change in ({"reuseIfExists": False}, {"image": "python:3.12"}):
        refused = await api("POST", "/session", body=body(name="again-1", **change))
        assert (refused.status, refused.slug) == (400, "session-already-exists")
        assert refused.json["data"] == {"existingSessionId": made.json["sessionId"]}
    assert len(cluster.sessions()) == 1


async def test_names_are_per_key(start, connect):
    cluster = await start()
    one, two = await connect(cluster), await connect(cluster, cluster.add_user())
    first, second = await one.create("same-name"), await two.create("same-name")
    assert first.json["created"]
    assert second.json["created"]
    assert (await two("DELETE", f"/session/{first.json['sessionId']}")).status == 404


async def test_old_api_version_breaks_create(start, connect):
    cluster = await start("23.09")
    api = await connect(cluster, version="v5.20191215")
    assert (await api("POST", "/session", body=body())).status == 500


@pytest.mark.parametrize(
    "image",
    ["python", "python3", "python:3.11", "python:3.9", "python:3.12", "python:3.6-ubuntu18.04", "stable/python:3.11-debian12",
     "cr.backend.ai/stable/python:3.11-debian12", "cr.backend.ai/stable/python:3.6-ubuntu18.04"],
)  # fmt: skip
async def test_images(both, image):
    _, api = await both()
    assert (await api("POST", "/session", body=body(image=image))).status == 201


async def test_timeout_and_no_room(both):
    cluster, api = await both("23.09", agents=[Agent(cpu=1, mem="4g", accelerators={})])
    await api("POST", "/session", body=body(name="fits-1", enqueueOnly=False))
    waited = await api("POST", "/session", body=body(name="waits-1", enqueueOnly=False, maxWaitSeconds=1))
    assert (waited.status, waited.json["status"], waited.json["servicePorts"]) == (201, "TIMEOUT", [])
    pending = cluster.sessions()[1]
    assert (pending.status, pending.status_info) == ("PENDING", "no-available-instances")
    data = pending.status_data["scheduler"]
    assert set(data) == {"msg", "retries", "last_try", "failed_predicates", "passed_predicates"}
    assert (await api.execute("waits-1", "1")).status == 500
    await api("DELETE", "/session/fits-1")
    assert (await api.until(waited.json["sessionId"], "RUNNING"))["status_info"] == ""


async def test_dead_while_waited_for(both):
    import asyncio

    for release, status in (("23.09", 201), ("26.8", 404)):
        _, api = await both(release, agents=SMALL)
        big = body(name="big-one", enqueueOnly=False, config={"resources": {"cpu": 2, "mem": "4g"}})
        await api("POST", "/session", body=big)
        waiting = asyncio.create_task(api("POST", "/session", body=body(name="big-two", enqueueOnly=False)))
        while not (await api("GET", "/session/_/match", query={"id": "big-two"})).json["matches"]:
            await asyncio.sleep(0.01)
        await api("DELETE", "/session/big-two")
        answer = await waiting
        assert answer.status == status
        if status == 201:
            assert answer.json["status"] == "CANCELLED"


async def test_what_the_session_gets(both):
    cluster, api = await both()
    script = "echo made > made.txt\necho to-the-log\n"
    config = {"resources": {"cpu": 1}, "environ": {"WIRE": "42"}, "preopen_ports": [5000]}
    made = await api(
        "POST", "/session", body=body(enqueueOnly=False, tag="wired", bootstrap_script=script, config=config)
    )
    ports = made.json["servicePorts"]
    assert ports[-1] == {"name": "5000", "protocol": "preopen", "ports": [5000]}
    assert (await api("GET", "/stream/session/one-session/apps")).json == ports
    code = (
        "import os; print(os.environ['WIRE'], os.environ['BACKENDAI_SESSION_NAME'], open('made.txt').read())"
    )
    assert await api.run("one-session", code) == "42 one-session made\n\n"
    assert "to-the-log" in (await api("GET", "/session/one-session/logs")).json["result"]["logs"]
    session = cluster.sessions()[0]
    assert (session.tag, dict(session.requested_slots)) == ("wired", {"cpu": "1", "mem": str(2**30)})


async def test_memory_limit_holds(both):
    _, api = await both()
    await api.create("tight-1", config={"resources": {"cpu": 1, "mem": "256m"}})
    assert "MemoryError" in await api.run("tight-1", "x = bytearray(2 * 2**30)")


async def test_cluster_of_several(both):
    _, api = await both("23.09")
    made = await api("POST", "/session", body=body(clusterSize=3, enqueueOnly=False, name="clu-1"))
    row = await api.row(
        made.json["sessionId"],
        "cluster_size occupying_slots abusing_reports containers { idx role cluster_hostname status }",
    )
    assert (row["cluster_size"], row["abusing_reports"]) == (3, [None, None, None])
    assert [(c["role"], c["idx"], c["cluster_hostname"]) for c in row["containers"]] == [
        ("main", 1, "main1"), ("sub", 1, "sub1"), ("sub", 2, "sub2"),
    ]  # fmt: skip
    assert row["occupying_slots"] == '{"cpu": "3", "mem": "1610612736"}'
    text = await api.run(
        "clu-1",
        "import os; print(os.environ['BACKENDAI_CLUSTER_HOSTS'], os.environ['BACKENDAI_CLUSTER_SIZE'])",
    )
    assert text == "main1,sub1,sub2 3\n"
