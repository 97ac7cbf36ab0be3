"""Waiting for many: one event stream and pages of one list query, whatever the stream does."""

from __future__ import annotations

import asyncio
import random

import pytest
from wire_herd import Herd, event
from wire_manager import HANG, RESET, Reply, problem

from backendai_sdk import (
    AuthenticationError,
    ClientClosed,
    DeadlineExceeded,
    ServiceUnavailable,
    SessionFailed,
    SessionNotFound,
    SessionTimeout,
    Timeouts,
    deadline,
)
from backendai_sdk._async import _informer as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk.models.session import SessionInfo


@pytest.fixture
def many(serve, client):
    """Sessions on a scripted server, their handles, and the server's script."""

    async def make(count: int, **given):
        script = Herd(count)
        api = await client(await serve(script), **given)
        rows = [SessionInfo(id=i, name="work", status="PENDING") for i in script.status]
        return script, [AsyncComputeSession(api._client, row) for row in rows]

    return make


async def waiting(script, sessions, **given):
    """Everybody's wait, begun."""
    waits = [asyncio.ensure_future(cs.wait(**given)) for cs in sessions]
    while not script.streams or sum(map(len, script.lists)) < len(sessions):
        await asyncio.sleep(0.01)
    return waits


async def test_a_thousand_waits_cost_one_stream_and_a_few_pages(many):
    script, sessions = await many(1000)
    waits = await waiting(script, sessions)
    await asyncio.sleep(0.3)
    # Once when they began, once more because the stream was opened meanwhile.
    assert len(script.lists) <= 22
    assert max(map(len, script.lists)) == 100
    for cs in sessions:
        script.move(cs.id, "RUNNING")
        script.events.put_nowait(event("session_started", cs.id))
    infos = await asyncio.gather(*waits)
    assert [i.id for i in infos] == [cs.id for cs in sessions]
    assert {i.status for i in infos} == {"RUNNING"}
    assert script.streams == 1
    assert len(script.lists) <= 60


async def test_a_thousand_waits_whose_events_are_lost_repeated_and_shuffled(many):
    script, sessions = await many(300)
    waits = await waiting(script, sessions)
    rng = random.Random(7)
    told = []
    for cs in sessions:
        for status in ("SCHEDULED", "PREPARING", "RUNNING"):
            script.move(cs.id, status)
            told += [event(f"session_{status.lower()}", cs.id)] * rng.choice((0, 0, 1, 3))
    rng.shuffle(told)
    for n, piece in enumerate(told):
        script.events.put_nowait(piece)
        if n % 200 == 0:
            script.events.put_nowait(None)  # the server ends the stream
    infos = await asyncio.gather(*waits)
    assert {i.status for i in infos} == {"RUNNING"}
    assert len(script.lists) <= 60


async def test_waits_without_any_event_stream(many):
    script, sessions = await many(5)
    script.stream = lambda: Reply(503, {})
    waits = await waiting(script, sessions)
    for cs in sessions:
        script.move(cs.id, "RUNNING")
    assert {i.status for i in await asyncio.gather(*waits)} == {"RUNNING"}
    assert len(script.lists) <= 6


async def test_each_wait_ends_in_its_own_way(many):
    script, sessions = await many(4)
    del script.status[sessions[3].id]
    script.move(sessions[1].id, "CANCELLED")
    waits = [asyncio.ensure_future(cs.wait(timeout=0.4)) for cs in sessions]
    await asyncio.sleep(0.1)
    script.move(sessions[0].id, "RUNNING")
    script.events.put_nowait(event("session_started", sessions[0].id))
    done = await asyncio.gather(*waits, return_exceptions=True)
    assert done[0].status == "RUNNING"
    assert [type(d) for d in done[1:]] == [SessionFailed, SessionTimeout, SessionNotFound]


async def test_a_wait_bears_a_server_that_is_away_for_a_while(many):
    script, (cs,) = await many(1)
    (wait,) = await waiting(script, [cs])
    script.broken = [RESET] * 4 + [Reply(502, {})] * 4  # more than one call's attempts
    script.move(cs.id, "RUNNING")
    script.events.put_nowait(event("session_started", cs.id))
    assert (await wait).status == "RUNNING"
    assert script.broken == []


async def test_a_server_that_stays_away_ends_the_wait(many):
    script, (cs,) = await many(1, timeouts=Timeouts(silence=0.5))
    (wait,) = await waiting(script, [cs])
    script.broken = [problem(503, "service-unavailable")] * 1000
    with pytest.raises(ServiceUnavailable):
        await wait


async def test_a_first_look_that_fails_is_told_to_all(many):
    script, sessions = await many(3)
    script.broken = [problem(401, "auth-failed")]
    done = await asyncio.gather(*(cs.wait() for cs in sessions), return_exceptions=True)
    assert [type(d) for d in done] == [AuthenticationError] * 3
    assert len({id(d) for d in done}) == 3


async def test_a_server_that_does_not_list_by_several_ids(many):
    script, sessions = await many(3)
    script.broken = [Reply(200, {"data": None, "errors": [{"message": "Query filter parsing error: in"}]})]
    waits = await waiting(script, sessions)
    for cs in sessions:
        script.move(cs.id, "RUNNING")
        script.say("session_started", cs.id)
    assert {i.status for i in await asyncio.gather(*waits)} == {"RUNNING"}
    assert [len(ids) for ids in script.lists][:1] == [3]
    assert {len(ids) for ids in script.lists[1:]} == {1}


async def test_deadlines_are_each_ones_own(many):
    script, (one, two) = await many(2)

    async def hurried():
        with deadline(0.2):
            await one.wait()

    first = asyncio.ensure_future(hurried())
    second = asyncio.ensure_future(two.wait())
    with pytest.raises(DeadlineExceeded):
        await first
    script.move(two.id, "RUNNING")
    script.events.put_nowait(event("session_started", two.id))
    assert (await second).status == "RUNNING"
    assert script.streams == 1


async def test_closing_the_client_ends_the_waits(many):
    script, sessions = await many(3)
    waits = await waiting(script, sessions)
    await sessions[0]._client.close()
    done = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(d) for d in done] == [ClientClosed] * 3


async def test_a_state_that_hangs_keeps_nobody_else_from_waiting(many):
    script, (one, two) = await many(2, timeouts=Timeouts(request=5))
    script.broken = [HANG]
    stuck = asyncio.ensure_future(one.wait())
    while not script.lists:
        await asyncio.sleep(0.01)
    script.move(two.id, "RUNNING")
    assert (await asyncio.wait_for(two.wait(), 2)).status == "RUNNING"
    stuck.cancel()
    await asyncio.wait([stuck])


async def test_a_mistake_in_the_informer_hangs_nobody(many, monkeypatch):
    _script, sessions = await many(2)

    async def wrong(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "read_states", wrong)
    done = await asyncio.gather(*(cs.wait() for cs in sessions), return_exceptions=True)
    assert [type(d) for d in done] == [ZeroDivisionError] * 2
