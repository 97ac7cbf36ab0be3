"""The event stream: format, order and names, filters, slow readers, each release's faults."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from backendai_sdk.local.events import EventHub
from backendai_sdk.local.releases import RELEASES

NEW_UP = [
    "session_pending", "session_scheduled", "session_preparing", "session_prepared", "kernel_preparing", "kernel_creating",
    "kernel_started", "session_creating", "session_started",
]  # fmt: skip
NAMES = {
    "23.09": ["kernel_preparing", "kernel_creating", "kernel_started", "session_terminating", "kernel_terminating",
              "kernel_terminated", "kernel_terminated", "session_terminated", "kernel_terminated"],
    "24.03": ["session_enqueued", "session_scheduled", "kernel_preparing", "kernel_creating", "kernel_started", "session_started",
              "session_terminating", "kernel_terminating", "kernel_terminated", "kernel_terminated", "session_terminated",
              "kernel_terminated"],
    "25.19": ["session_enqueued", "session_pending", "session_scheduled", "session_scheduled", "session_preparing",
              "session_prepared", "kernel_preparing", "kernel_creating", "kernel_started", "session_creating", "session_started",
              "session_started", "session_terminating", "session_terminating", "kernel_terminated", "kernel_terminated",
              "session_terminated", "session_terminated"],
    "26.8": [*NEW_UP, "session_terminating", "kernel_terminated", "kernel_terminated", "session_terminated"],
    "26.9": [*NEW_UP, "session_terminating", "kernel_terminated", "kernel_terminated", "session_terminated"],
}  # fmt: skip
CANCELLED = {
    "23.09": ["kernel_cancelled"],
    "24.03": ["session_enqueued", "kernel_cancelled", "session_cancelled"],
    "26.9": ["session_pending", "session_cancelled"],
}


async def settle():
    await asyncio.sleep(0.15)


@pytest.mark.parametrize("release", list(NAMES))
async def test_names_and_order(both, listen, release):
    _, api = await both(release)
    events = await listen(api)
    made = await api.create("seen-1")
    await api("DELETE", "/session/seen-1")
    await api.until(made.json["sessionId"], "TERMINATED")
    await settle()
    assert events.names == NAMES[release]
    _, data = events.items[events.names.index("kernel_started")]
    keys = [
        "reason",
        "sessionName",
        "ownerAccessKey",
        "sessionId",
        "exitCode",
        "kernelId",
        "clusterRole",
        "clusterIdx",
    ]
    assert list(data) == keys
    assert (data["sessionName"], data["sessionId"], data["clusterRole"], data["clusterIdx"]) == (
        "seen-1",
        made.json["sessionId"],
        "main",
        1,
    )
    last = dict(events.items)["kernel_terminated"]
    assert (last["reason"], last["exitCode"]) == (
        "user-requested",
        -1 if release in {"23.09", "24.03"} else None,
    )
    session = dict(events.items)["session_terminated"]
    assert ("kernelId" in session) is (release in {"23.09", "24.03"})
    assert events.raw.startswith(b"event: ")
    assert b'data: {"reason":' in events.raw.replace(b": ", b":").replace(b"data:", b"data: ")
    assert (b'"reason": ' in events.raw) is (release in {"23.09", "24.03", "25.19"})


@pytest.mark.parametrize("release", list(CANCELLED))
async def test_cancelled(both, listen, release):
    from backendai_sdk.local import Agent

    _, api = await both(release, agents=[Agent(cpu=1, mem="1g")])
    events = await listen(api)
    await api.create("never-1", enqueueOnly=True, config={"resources": {"cpu": 9, "mem": "512m"}})
    await api("DELETE", "/session/never-1")
    await settle()
    assert events.names == CANCELLED[release]
    assert events.items[-1][1]["reason"] == "user-requested"


async def test_batch_results(both, listen):
    for release, code in (("23.09", 3), ("26.8", None)):
        _, api = await both(release)
        events = await listen(api)
        await api.create("batch-1", type="batch", startupCommand="exit 3", enqueueOnly=True)
        await events.until("session_terminated")
        data = dict(events.items)["session_failure"]
        assert (data["reason"], data["exitCode"]) == ("task-failed", code)
        assert dict(events.items)["session_terminating"]["reason"] == "task-finished"


async def test_headers_and_ping(both, listen):
    _, api = await both(ping_interval=0.1)
    events = await listen(api)
    assert events.status == 200
    headers = events._response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"], headers["Transfer-Encoding"]) == (
        "no-cache",
        "no",
        "chunked",
    )
    await asyncio.sleep(0.35)
    assert events.raw.count(b": ping\r\n\r\n") >= 2


async def test_filters_of_the_oldest(both, listen):
    _, api = await both("23.09")
    one = (await api.create("one-1")).json["sessionId"]
    await api.create("two-1")
    by_name = await listen(api, name="two-1")
    by_id = await listen(api, sessionId=one, name="two-1")
    sessions = await listen(api, scope="session")
    silent = await listen(api, name="no-such-session")
    await api("DELETE", "/session/one-1")
    await api("DELETE", "/session/two-1")
    await by_name.until("session_terminated")
    await by_id.until("session_terminated")
    await settle()
    assert {data["sessionName"] for _, data in by_name.items} == {"two-1"}
    assert {data["sessionName"] for _, data in by_id.items} == {"one-1"}
    assert {name.partition("_")[0] for name in sessions.names} == {"session"}
    assert (silent.status, silent.items) == (200, [])


async def test_filters_of_the_newest(both, listen):
    _, api = await both("26.9")
    one = (await api.create("one-1")).json["sessionId"]
    await api.create("two-1")
    by_name = await listen(api, sessionName="two-1")
    by_uuid = await listen(api, sessionName=one)
    ignored = await listen(api, sessionId=one)
    old_names = await listen(api, name="one-1", group="nobody")
    kernels = await listen(api, scope="kernel,session")
    await api("DELETE", "/session/two-1")
    await api("DELETE", "/session/one-1")
    for events in (ignored, old_names, kernels, by_uuid):
        await events.until("session_terminated")
    await settle()
    assert {data["sessionName"] for _, data in by_name.items} == {"two-1"}
    assert {data["sessionName"] for _, data in by_uuid.items} == {"one-1"}
    for events in (ignored, old_names, kernels):
        assert {data["sessionName"] for _, data in events.items} == {"one-1", "two-1"}


async def test_refused_streams(both):
    cluster, old = await both("23.09")
    for query, status in (
        ({"owner_access_key": "x"}, 400), ({"scope": "agent"}, 400), ({"scope": "session,kernel"}, 400), ({"sessionId": "*"}, 400),
        ({"ownerAccessKey": cluster.admin.access_key}, 403), ({"group": "nobody"}, 404),
    ):  # fmt: skip
        assert (await old("GET", "/events/session", query=query)).status == status, query
    _, new = await both("26.9")
    for query, status in (
        ({"sessionId": "*"}, 400),
        ({"sessionName": "nobody"}, 404),
        ({"groupName": "nobody"}, 404),
    ):
        assert (await new("GET", "/events/session", query=query)).status == status, query


async def test_who_sees_what(start, connect, listen):
    cluster = await start()
    user, admin, other = (
        await connect(cluster),
        await connect(cluster, cluster.admin),
        await connect(cluster, cluster.add_user()),
    )
    mine, all_of_them, theirs = await listen(user), await listen(admin), await listen(other)
    await user.create("mine-1")
    await mine.until("session_started")
    await all_of_them.until("session_started")
    assert theirs.items == []


async def test_rename(both, listen):
    for release, kept in (("23.09", "before-1"), ("26.8", "after-1")):
        _, api = await both(release)
        await api.create("before-1")
        await api("POST", "/session/before-1/rename", body={"name": "after-1"})
        events = await listen(api)
        await api("DELETE", "/session/after-1")
        await events.until("session_terminated")
        assert {data["sessionName"] for _, data in events.items} == {kept}


async def test_streams_end_with_the_server(both, listen):
    cluster, api = await both()
    events = await listen(api)
    await cluster.astop()
    await asyncio.wait_for(asyncio.shield(events._task), 5)


async def test_slow_reader_is_cut_off():
    from types import SimpleNamespace

    from backendai_sdk.local.events import Event

    hub = EventHub(RELEASES["26.8"], queue_limit=3)
    session = SimpleNamespace(event_name="x", access_key="k", id=uuid.uuid4())
    with hub.listen(lambda _: True) as slow:
        for _ in range(10):
            hub.publish(Event("session_started", session))
        assert slow.closed
        assert (await slow.get(1)).count(b"event:") == 3
        assert await slow.get(1) is None
