"""Faults of events: what all streams hear, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from backendai_sdk.local.faults import DropEvent, DuplicateEvent, ReorderEvent


async def life(api, events, name="seen-1"):
    """A session comes and goes; the names of all that was heard."""
    made = await api.create(name)
    await api("DELETE", f"/session/{name}")
    await api.until(made.json["sessionId"], "TERMINATED")
    await api.create("end-1")
    await events.until("session_started")
    async with asyncio.timeout(20):
        while "end-1" not in [
            data["sessionName"] for kind, data in events.items if kind == "session_started"
        ]:
            await asyncio.sleep(0.01)
    return [kind for kind, data in events.items if data["sessionName"] == name]


@pytest.fixture
async def plain(both, listen):
    _, api = await both()
    return await life(api, await listen(api))


async def test_drop(both, listen, plain):
    cluster, api = await both()
    cluster.faults.add(DropEvent(), "kernel_*")
    heard = await life(api, await listen(api))
    assert heard == [name for name in plain if not name.startswith("kernel_")]
    assert {hit.target for hit in cluster.faults.hits} == {n for n in plain if n.startswith("kernel_")}


async def test_duplicate(both, listen, plain):
    cluster, api = await both()
    fault = cluster.faults.add(DuplicateEvent(3), "session_terminated", times=1)
    heard = await life(api, await listen(api))
    at = plain.index("session_terminated")
    assert heard == [*plain[:at], *["session_terminated"] * 3, *plain[at + 1 :]]
    assert [hit.target for hit in fault.hits] == ["session_terminated"]


async def test_reorder(both, listen, plain):
    cluster, api = await both()
    cluster.faults.add(ReorderEvent(2, within=60), "session_pending", times=1)
    heard = await life(api, await listen(api))
    assert plain[0] == "session_pending"
    assert heard == [*plain[1:3], plain[0], *plain[3:]]


async def test_the_last_event_comes_all_the_same(both, listen, plain):
    cluster, api = await both()
    cluster.faults.add(ReorderEvent(5, within=0.2), "session_terminated", times=1)
    events = await listen(api)
    await life(api, events)
    await events.until("session_terminated")
    assert sorted(n for n, data in events.items if data["sessionName"] == "seen-1") == sorted(plain)


async def test_all_streams_hear_the_same(both, listen):
    cluster, api = await both()
    cluster.faults.add(DropEvent(), "kernel_*", probability=0.5)
    first, second = await listen(api), await listen(api)
    await life(api, first)
    async with asyncio.timeout(10):
        while first.names != second.names:
            await asyncio.sleep(0.01)
    assert first.names


async def test_an_event_held_back_does_not_hold_up_the_end(start, connect, listen):
    cluster = await start()
    api = await connect(cluster)
    cluster.faults.add(ReorderEvent(1000, within=600), "session_pending")
    await api.create("held-1")
    async with asyncio.timeout(10):
        await cluster.astop()
