"""Event streams of one session and of many: gaps are closed, in order, and nothing is told twice."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from wire_herd import HEAD, Herd, event, uuid
from wire_manager import HANG, RESET, Reply, problem

from backendai_sdk import (
    DeadlineExceeded,
    InvalidArgument,
    SessionNotFound,
    StreamInterrupted,
    Timeouts,
    UsageError,
    deadline,
)
from backendai_sdk._async import _event_feed as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk.models.session import SessionInfo

A, B, C = uuid(0), uuid(1), uuid(2)


@pytest.fixture
def herd(serve, client):
    """Sessions on a scripted server, and a client session."""

    async def make(count: int, **given):
        script = Herd(count)
        return script, await client(await serve(script), **given)

    return make


@pytest.fixture
def _polls_are_far(monkeypatch):
    """Only gaps and doubts make anybody read the state."""
    monkeypatch.setattr(module, "_FIRST_POLL", 1000.0)


@pytest.fixture
def _polls_are_near(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_POLL", 0.05)
    monkeypatch.setattr(module, "_EVENT_DELAY", 0.05)


def name(e) -> str:
    return e.name + ("*" if e.recovered else "")


async def take(events, count: int) -> list[str]:
    return [name(await asyncio.wait_for(anext(events), 10)) for _ in range(count)]


async def rest(events) -> list[str]:
    return [name(e) async for e in events]


@pytest.mark.usefixtures("_polls_are_far")
async def test_what_a_cut_stream_missed_comes_in_order_before_what_the_new_one_brings(herd):
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.move(A, "SCHEDULED")
        script.say("session_scheduled", A)
        assert await take(events, 1) == ["session_scheduled"]
        script.cut()
        script.move(A, "PREPARING", "RUNNING")
        script.move(A, "TERMINATING")
        script.say("session_terminating", A, reason="user-requested")  # the first of the new stream
        script.say("session_terminating", A, reason="user-requested")
        assert await take(events, 3) == ["session_preparing*", "session_started*", "session_terminating*"]
        script.move(A, "TERMINATED")
        script.say("session_terminated", A)
        assert await rest(events) == ["session_terminated"]
    assert script.streams == 2
    assert len(script.lists) == 2


@pytest.mark.usefixtures("_polls_are_far")
async def test_what_is_recovered_says_whose_it_is_and_why(herd):
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.cut()
        script.move(A, "RUNNING")
        told = await anext(events)
    assert (told.session_id, told.session_name, told.reason) == (A, "work", "why-running")
    assert (told.status, told.recovered) == ("RUNNING", True)


@pytest.mark.usefixtures("_polls_are_far")
async def test_repeated_and_late_events_are_told_once(herd):
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.move(A, "SCHEDULED", "PREPARING", "RUNNING", "TERMINATING")
        for said in ("scheduled", "started", "scheduled", "started", "started", "preparing", "terminating"):
            script.say(f"session_{said}", A)
        script.move(A, "TERMINATED")
        for said in ("terminated", "started", "terminated"):
            script.say(f"session_{said}", A)
        assert await rest(events) == [
            "session_scheduled",
            "session_started",
            "session_terminating",
            "session_terminated",
        ]


@pytest.mark.usefixtures("_polls_are_near")
async def test_a_restart_that_only_the_state_tells_of(herd):
    script, api = await herd(1)
    script.move(A, "RUNNING")
    async with api.watch(A) as events:
        script.move(A, "RESTARTING", "RUNNING")
        assert await take(events, 2) == ["session_restarting*", "session_started*"]


@pytest.mark.usefixtures("_polls_are_near")
async def test_transitions_that_servers_leave_out_are_read_from_the_state(herd):
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.move(A, "SCHEDULED", "RUNNING")
        script.result[A] = "SUCCESS"
        assert sorted(await take(events, 3)) == ["session_scheduled*", "session_started*", "session_success*"]
        script.move(A, "TERMINATING", "TERMINATED")
        assert await rest(events) == ["session_terminating*", "session_terminated*"]


async def test_the_end_of_a_container_has_the_state_read_soon(herd, monkeypatch):
    monkeypatch.setattr(module, "_EVENT_DELAY", 0.05)
    monkeypatch.setattr(module, "_FIRST_POLL", 1000.0)
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.move(A, "CANCELLED")
        script.say("kernel_cancelled", A, kernelId=B)  # 23.09 says no more than this
        assert await rest(events) == ["kernel_cancelled", "session_cancelled*"]


async def test_an_event_that_follows_its_state_is_not_forestalled(herd, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_POLL", 0.05)
    monkeypatch.setattr(module, "_EVENT_DELAY", 5.0)
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.move(A, "RUNNING")
        while len(script.lists) < 3:
            await asyncio.sleep(0.01)
        script.say("session_started", A, reason="its own")
        told = await anext(events)
    assert (told.reason, told.recovered) == ("its own", False)


@pytest.mark.usefixtures("_polls_are_far")
async def test_several_sessions_end_one_by_one(herd):
    script, api = await herd(3)
    async with api.watch(A, B) as events:
        for i in (C, A, B):
            script.move(i, "TERMINATED")
            script.say("session_terminated", i)
        assert [e.session_id async for e in events] == [A, B]
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert script.lists in ([[A, B]], [[B, A]])


@pytest.mark.usefixtures("_polls_are_far")
async def test_handles_names_and_ids(herd):
    script, api = await herd(2)
    handle = AsyncComputeSession(api._client, SessionInfo(id=B, name="work", status="PENDING"))
    async with api.watch("work", A, handle) as events:
        for i in (A, B):
            script.say("session_cancelled", i)
        assert [e.session_id async for e in events] == [A, B]


@pytest.mark.usefixtures("_polls_are_far")
async def test_all_sessions_those_of_later_included(herd):
    script, api = await herd(1)
    async with api.watch() as events:
        script.move(B, "PENDING")
        script.say("session_enqueued", B)
        script.say("session_pending", B)
        assert await take(events, 1) == ["session_enqueued"]
        script.cut()
        script.move(A, "CANCELLED")
        script.move(B, "SCHEDULED", "RUNNING")
        script.move(C, "PENDING", "SCHEDULED")
        told = [await anext(events) for _ in range(5)]
        by_session = {i: [name(e) for e in told if e.session_id == i] for i in (A, B, C)}
        assert by_session == {
            A: ["session_cancelled*"],
            B: ["session_scheduled*", "session_started*"],
            C: ["session_pending*", "session_scheduled*"],
        }
    assert script.lists[:4] == [["*"], ["dead"], ["*"], [A]]


@pytest.mark.usefixtures("_polls_are_far")
async def test_sessions_that_began_and_ended_while_no_stream_was_open(herd):
    script, api = await herd(1)
    script.move(uuid(7), "PENDING", "CANCELLED")  # before anybody listened
    script.move(B, "CANCELLED")  # long before
    script.history[B]["PENDING"] = script.history[B]["CANCELLED"] = script.begin - timedelta(days=1)
    async with api.watch() as events:
        script.cut()
        script.move(C, "PENDING", "SCHEDULED", "RUNNING", "TERMINATING", "TERMINATED")
        told = [await anext(events) for _ in range(5)]
        assert {e.session_id for e in told} == {C}
        assert [e.status for e in told] == list(script.history[C])
        script.cut()
        script.move(A, "CANCELLED")
        assert (await anext(events)).session_id == A


@pytest.mark.usefixtures("_polls_are_near")
async def test_all_sessions_without_events(herd):
    script, api = await herd(2)
    async with api.watch() as events:
        script.move(C, "PENDING", "RUNNING")
        script.move(A, "CANCELLED")
        assert sorted(await take(events, 3)) == ["session_cancelled*", "session_pending*", "session_started*"]


@pytest.mark.usefixtures("_polls_are_far")
async def test_only_some_statuses(herd):
    script, api = await herd(2)
    async with api.watch(A, B, status="dead") as events:
        for i in (A, B):
            script.move(i, "RUNNING", "TERMINATED")
            for said in ("kernel_started", "session_started", "kernel_terminated", "session_terminated"):
                script.say(said, i)
        assert await rest(events) == ["session_terminated"] * 2
    async with api.watch(A, status=["RUNNING"]) as events:
        assert await rest(events) == []


async def test_a_thousand_sessions_are_watched_with_one_stream_and_pages(herd):
    script, api = await herd(1000)
    ids = list(script.status)
    async with api.watch(*ids) as events:
        for i in ids:
            script.move(i, "RUNNING")
            if i[-1] != "7":
                script.say("session_started", i)
        script.cut()
        told = {(await anext(events)).session_id for _ in range(1000)}
    assert told == set(ids)
    assert script.streams == 2
    assert len(script.lists) <= 35


async def test_what_is_refused(herd):
    _script, api = await herd(1)
    with pytest.raises(InvalidArgument, match="sessions: 7 is neither"):
        api.watch(7)
    with pytest.raises(InvalidArgument, match="did you mean 'RUNNING'"):
        api.watch(A, status="runnin")
    with pytest.raises(SessionNotFound, match=uuid(9)):
        await api.watch(A, uuid(9)).__aenter__()
    events = api.watch(A)
    with pytest.raises(UsageError, match="enter the event stream first"):
        await anext(events)


async def test_a_deadline_holds_for_whoever_waits(herd):
    script, api = await herd(1)
    async with api.watch(A) as events:
        with pytest.raises(DeadlineExceeded):
            with deadline(0.1):
                await anext(events)
        script.say("session_cancelled", A)
        assert await rest(events) == ["session_cancelled"]


# --- streams that break -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("_polls_are_far")
async def test_a_half_open_stream_is_found_by_its_silence(herd):
    script, api = await herd(1, timeouts=Timeouts(silence=0.3))
    async with api.watch(A) as events:
        script.move(A, "RUNNING")  # nothing is said any more: the connection is half open
        assert await take(events, 1) == ["session_started*"]
        assert script.streams == 2


async def test_silence_without_end_says_which_limit_ran_out(herd, monkeypatch):
    monkeypatch.setattr(module, "_MAX_REOPENINGS", 1)
    script, api = await herd(1, timeouts=Timeouts(silence=0.2))
    async with api.watch(A) as events:
        script.stream = lambda: HANG
        with pytest.raises(StreamInterrupted, match=r"0\.2 s \(timeouts\.silence\)") as caught:
            await rest(events)
    assert caught.value.path == "/events/session"


async def test_a_stream_that_is_cut_again_and_again_after_a_while_is_no_failure(herd, monkeypatch):
    monkeypatch.setattr(module, "_MAX_REOPENINGS", 1)
    monkeypatch.setattr(module, "_STEADY", 0.05)
    script, api = await herd(1)
    async with api.watch(A) as events:
        for _ in range(4):
            streams = script.streams
            await asyncio.sleep(0.06)
            script.cut()
            while script.streams == streams:
                await asyncio.sleep(0.01)
        script.say("session_cancelled", A)
        assert await rest(events) == ["session_cancelled"]


@pytest.mark.parametrize(
    "fault", [RESET, Reply(502, {}), problem(503, "server-frozen")], ids=["reset", "502", "503"]
)
@pytest.mark.usefixtures("_polls_are_near")
async def test_a_state_that_cannot_be_read_just_now(herd, fault):
    script, api = await herd(1)
    async with api.watch(A) as events:
        script.broken = [fault] * 8
        script.cut()
        script.move(A, "RUNNING")
        assert await take(events, 1) == ["session_started*"]


async def test_nothing_is_missed_if_the_first_look_fails(herd):
    script, api = await herd(1)
    script.broken = [problem(503, "server-frozen")] * 4
    async with api.watch(A) as events:
        script.say("session_cancelled", A)
        assert await rest(events) == ["session_cancelled"]


@pytest.mark.usefixtures("_polls_are_far")
async def test_a_slow_reader_loses_nothing(herd, monkeypatch):
    monkeypatch.setattr(module, "_WAITING", 4)
    script, api = await herd(300)
    ids = list(script.status)
    async with api.watch(*ids) as events:
        for i in ids:
            script.say("session_cancelled", i)
        await asyncio.sleep(0.05)
        assert [e.session_id async for e in events] == ids


CUT_STREAM = b"".join(
    event(f"session_{said}", A) for said in ("scheduled", "preparing", "started", "terminating", "terminated")
)


@pytest.mark.parametrize("at", [*range(0, len(CUT_STREAM), 61)])
async def test_cut_at_any_byte(herd, at, monkeypatch):
    """The first stream ends after so many bytes; what it brought and what is recovered is the whole, once."""
    script, api = await herd(1)
    whole = ["SCHEDULED", "PREPARING", "RUNNING", "TERMINATING", "TERMINATED"]

    async def first():
        yield HEAD
        await go.wait()
        yield CUT_STREAM[:at]

    go = asyncio.Event()
    streams = [first()]
    script.stream = lambda: streams.pop() if streams else HANG_OPEN()
    async with api.watch(A) as events:
        script.move(A, *whole)
        go.set()
        told = [e async for e in events]
    assert [e.status for e in told] == whole
    heard = CUT_STREAM[:at].count(b"\r\n\r\n")
    assert [e.recovered for e in told] == [False] * heard + [True] * (5 - heard)


async def HANG_OPEN():
    yield HEAD
    await asyncio.Event().wait()


def test_the_events_of_the_herd_are_real():
    assert json.loads(event("session_started", A).split(b"data: ")[1])["sessionId"] == A
