"""The transcript of what was told: whatever a stream drops, repeats or reorders, it comes to the server's state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk import SessionInfo
from backendai_sdk._wire.transcript import State, Transcript, event_name
from backendai_sdk.enums import SessionResult
from backendai_sdk.enums import SessionStatus as S
from backendai_sdk.models.event import SessionEvent

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NEXT: dict[S, tuple[S, ...]] = {
    S.PENDING: (S.SCHEDULED, S.CANCELLED, S.DEPRIORITIZING),
    S.DEPRIORITIZING: (S.PENDING,),
    S.SCHEDULED: (S.PREPARING, S.PULLING, S.CANCELLED),
    S.PREPARING: (S.PULLING, S.PREPARED, S.RUNNING, S.ERROR),
    S.PULLING: (S.PREPARING, S.PREPARED, S.RUNNING),
    S.PREPARED: (S.CREATING,),
    S.CREATING: (S.RUNNING,),
    S.RUNNING: (S.RESTARTING, S.RUNNING_DEGRADED, S.TERMINATING, S.RESCHEDULING, S.ERROR),
    S.RUNNING_DEGRADED: (S.RUNNING, S.TERMINATING),
    S.RESTARTING: (S.RUNNING, S.TERMINATING),
    S.RESCHEDULING: (S.PENDING,),
    S.ERROR: (S.TERMINATING, S.TERMINATED),
    S.TERMINATING: (S.TERMINATED, S.ERROR),
}
# Without rounds: every status once in a life.
ONCE = {
    s: tuple(
        n for n in after if n not in {S.DEPRIORITIZING, S.RESTARTING, S.RUNNING_DEGRADED, S.RESCHEDULING}
    )
    for s, after in NEXT.items()
} | {S.PULLING: (S.PREPARED, S.RUNNING), S.ERROR: (S.TERMINATED,), S.TERMINATING: (S.TERMINATED,)}


def event(name: str, session: str = "s", **more: object) -> SessionEvent:
    return SessionEvent(name=name, session_id=session, **more)  # type: ignore[arg-type]


class Server:
    """One session: what became of it, in the order of time."""

    def __init__(self, *, tells_history: bool = True) -> None:
        self.log: list[S] = [S.PENDING]
        self._tells = tells_history

    def step(self, to: S) -> None:
        self.log.append(to)

    def event(self, number: int) -> SessionEvent:
        return event(event_name(self.log[number]), reason=f"#{number}")

    def state(self, length: int | None = None) -> State:
        log = self.log[:length]
        times = {status: BEGIN + timedelta(seconds=n) for n, status in enumerate(log)}
        return State(id="s", name="work", status=log[-1], history=times if self._tells else {})


def is_subsequence(part: list[S], whole: list[S]) -> bool:
    rest = iter(whole)
    return all(status in rest for status in part)


def converse(data: st.DataObject, ways: dict[S, tuple[S, ...]], *, tells_history: bool):
    """A life with events lost, repeated and late, and readings that may be old when they come."""
    server, transcript = Server(tells_history=tells_history), Transcript()
    told: list[SessionEvent] = []
    under_way: list[SessionEvent] = []
    if data.draw(st.booleans(), label="there before"):
        for _ in range(data.draw(st.integers(0, 5), label="age")):
            if after := ways.get(server.log[-1]):
                server.step(data.draw(st.sampled_from(after)))
        told += transcript.read(server.state(), transcript.begin(), find=True)
    reading: tuple[int, int] | None = None
    for what in data.draw(st.lists(st.sampled_from("sssddraab"), max_size=60), label="what happens"):
        match what:
            case "s" if after := ways.get(server.log[-1]):
                server.step(data.draw(st.sampled_from(after)))
                under_way.extend([server.event(len(server.log) - 1)] * data.draw(st.integers(0, 2)))
            case "d" if under_way:
                told += transcript.hear(under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
            case "a":
                reading = (transcript.begin(), len(server.log))
            case "b" if reading is not None:
                # The server answered somewhere between the question and now.
                asked, least = reading
                told += transcript.read(server.state(data.draw(st.integers(least, len(server.log)))), asked)
                reading = None
    while under_way:
        told += transcript.hear(under_way.pop())
    for _ in range(3):
        told += transcript.read(server.state(), transcript.begin())
    return server, transcript, told


@given(st.data())
def test_every_way_comes_to_the_servers_state(data):
    server, transcript, told = converse(data, NEXT, tells_history=True)
    end = server.log[-1]
    assert transcript.ended("s") if end.is_dead else transcript.status("s") == end
    if told:
        assert told[-1].status == end
    assert transcript.doubtful == set()
    # Telling the end again is refused whatever comes.
    if end.is_dead:
        assert transcript.hear(server.event(len(server.log) - 1)) == []
        assert transcript.read(server.state(), transcript.begin()) == []


@given(st.data())
def test_every_transition_is_told_at_most_once_and_in_order(data):
    server, _, told = converse(data, ONCE, tells_history=True)
    statuses = [e.status for e in told]
    assert len(statuses) == len(set(statuses))
    assert is_subsequence(statuses, server.log)


@given(st.data())
def test_without_times_it_comes_to_the_same_state(data):
    server, transcript, told = converse(data, ONCE, tells_history=False)
    assert transcript.ended("s") if server.log[-1].is_dead else transcript.status("s") == server.log[-1]
    if told:
        assert told[-1].status == server.log[-1]


@given(st.data())
def test_a_gap_is_closed_completely(data):
    """Nothing is heard at all between two readings: the second one tells everything, in order."""
    server, transcript = Server(), Transcript()
    transcript.read(server.state(), transcript.begin(), find=True)
    for _ in range(data.draw(st.integers(0, 12))):
        if after := ONCE.get(server.log[-1]):
            server.step(data.draw(st.sampled_from(after)))
    told = transcript.read(server.state(), transcript.begin())
    assert [e.status for e in told] == server.log[1:]
    assert all(e.recovered for e in told)


def state(status: S, *history: S, **more: object) -> State:
    times = {s: BEGIN + timedelta(seconds=n) for n, s in enumerate(history)}
    return State(id="s", name="work", status=status, history=times, **more)  # type: ignore[arg-type]


def names(events: list[SessionEvent]) -> list[str]:
    return [e.name + ("*" if e.recovered else "") for e in events]


def found(status: S, *history: S, **more: object) -> Transcript:
    transcript = Transcript()
    assert transcript.read(state(status, *history, **more), transcript.begin(), find=True) == []
    return transcript


def test_what_was_there_before_is_told_if_its_event_comes_late():
    transcript = found(S.RUNNING, S.PENDING, S.SCHEDULED, S.RUNNING)
    assert names(transcript.hear(event("session_started"))) == ["session_started"]
    assert transcript.hear(event("session_started")) == []
    assert transcript.hear(event("session_scheduled")) == []
    assert transcript.doubtful == {"s"}
    assert transcript.read(state(S.RUNNING, S.PENDING, S.SCHEDULED, S.RUNNING), transcript.begin()) == []
    assert not transcript.doubtful


def test_two_names_of_one_transition():
    transcript = Transcript()
    assert names(transcript.hear(event("session_enqueued"))) == ["session_enqueued"]
    assert transcript.hear(event("session_pending")) == []


def test_a_restart_is_told_by_its_own_events_once_the_state_says_so():
    transcript = found(S.RUNNING, S.PENDING, S.RUNNING)
    assert transcript.hear(event("session_restarting", reason="why")) == []
    assert transcript.hear(event("session_started", reason="again")) == []
    restarted = State(
        id="s",
        name="work",
        status=S.RUNNING,
        history={S.PENDING: BEGIN, S.RESTARTING: BEGIN + timedelta(5), S.RUNNING: BEGIN + timedelta(6)},
    )
    told = transcript.read(restarted, transcript.begin())
    assert [(e.name, e.reason, e.recovered) for e in told] == [
        ("session_restarting", "why", False),
        ("session_started", "again", False),
    ]


def test_an_old_reading_takes_nothing_back():
    transcript = found(S.PENDING, S.PENDING)
    asked = transcript.begin()
    assert names(transcript.hear(event("session_started"))) == ["session_started"]
    assert transcript.read(state(S.PENDING, S.PENDING), asked) == []
    assert transcript.doubtful == {"s"}
    assert transcript.status("s") == S.RUNNING


def test_an_event_that_the_server_never_confirms_is_given_up():
    transcript = found(S.PENDING, S.PENDING)
    transcript.hear(event("session_started"))
    told = [transcript.read(state(S.PENDING, S.PENDING), transcript.begin()) for _ in range(3)]
    assert [names(t) for t in told] == [[], [], ["session_pending*"]]


def test_a_result_is_told_before_the_end():
    transcript = found(S.RUNNING, S.PENDING, S.RUNNING)
    over = state(
        S.TERMINATED, S.PENDING, S.RUNNING, S.TERMINATING, S.TERMINATED, result=SessionResult("FAILURE")
    )
    told = transcript.read(over, transcript.begin())
    assert names(told) == ["session_failure*", "session_terminating*", "session_terminated*"]
    assert transcript.hear(event("session_failure", exit_code=1)) == []


def test_a_result_is_told_once():
    transcript = found(S.RUNNING, S.PENDING, S.RUNNING)
    assert names(transcript.hear(event("session_success", exit_code=0))) == ["session_success"]
    assert transcript.hear(event("session_success", exit_code=0)) == []
    done = state(S.RUNNING, S.PENDING, S.RUNNING, result=SessionResult("SUCCESS"))
    assert transcript.read(done, transcript.begin()) == []


def test_the_end_of_a_container_is_told_once_in_each_of_its_lives():
    transcript = Transcript()
    heard = [
        "kernel_started",
        "kernel_terminating",
        "kernel_terminated",
        "kernel_terminated",
        "kernel_started",
        "kernel_started",
        "kernel_terminated",
        "kernel_cancelled",
    ]
    told = [n for n in heard if transcript.hear(event(n, kernel_id="k"))]
    assert told == [
        "kernel_started",
        "kernel_terminating",
        "kernel_terminated",
        "kernel_started",
        "kernel_terminated",
    ]
    assert names(transcript.hear(event("kernel_terminated", kernel_id="other"))) == ["kernel_terminated"]
    assert len(transcript.hear(event("kernel_pulling", kernel_id="p", reason="1 of 2"))) == 1
    assert len(transcript.hear(event("kernel_pulling", kernel_id="p", reason="2 of 2"))) == 1


def test_an_ended_session_stays_ended():
    transcript = found(S.RUNNING, S.RUNNING)
    assert names(transcript.hear(event("session_terminated"))) == ["session_terminated"]
    for name in ("session_terminated", "kernel_terminated", "session_started"):
        assert transcript.hear(event(name)) == []
    assert (transcript.live, transcript.ended("s"), transcript.status("s")) == ((), True, None)


def test_names_of_the_future_are_passed_on():
    transcript = found(S.RUNNING, S.RUNNING)
    assert names(transcript.hear(event("session_hibernating"))) == ["session_hibernating"]
    assert transcript.status("s") == S.RUNNING
    told = transcript.read(state(S("HIBERNATED"), S.RUNNING, S("HIBERNATED")), transcript.begin())
    assert names(told) == ["session_hibernated*"]


@pytest.mark.parametrize(
    "given",
    [
        '{"PENDING": "2026-01-01T00:00:00+00:00"}',
        {"PENDING": "2026-01-01T00:00:00+00:00"},
        None,
        "{",
        "[]",
        7,
    ],
)
def test_a_state_out_of_a_row(given):
    row = SessionInfo(
        id="s", name="work", status=S.PENDING, status_info=None, extra={"status_history": given}
    )
    read = State.of(row)
    assert (read.id, read.status, read.reason, read.result) == ("s", S.PENDING, None, None)
    assert dict(read.history) in ({}, {S.PENDING: BEGIN})


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("session_started", S.RUNNING),
        ("session_enqueued", S.PENDING),
        ("session_terminated", S.TERMINATED),
        ("session_success", None),
        ("session_hibernating", None),
        ("kernel_started", None),
    ],
)
def test_the_status_that_an_event_tells_of(name, status):
    assert event(name).status == status
