"""From the bytes of an event stream to events: what is kept, what is skipped, where the stream ends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.events import EventDecoder
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import WireError
from backendai_sdk.models.event import SessionEvent

TOLD = {"sessionId": "s1", "sessionName": "work", "reason": "", "ownerAccessKey": "AK", "exitCode": None}


def block(name: str, told: object, end: str = "\r\n") -> bytes:
    data = told if isinstance(told, str) else json.dumps(told)
    return f"event: {name}{end}data: {data}{end}{end}".encode()


def test_events_are_typed():
    (event,) = EventDecoder().feed(block("kernel_started", TOLD | {"kernelId": "k1", "clusterIdx": 1}))
    assert event == SessionEvent(
        name="kernel_started",
        session_id="s1",
        session_name="work",
        reason="",
        access_key="AK",
        kernel_id="k1",
    )
    assert event.extra == {"clusterIdx": 1}


def test_only_those_of_the_session():
    stream = block("session_started", TOLD | {"sessionId": "s2"}) + block("session_started", TOLD)
    assert [e.session_id for e in EventDecoder().feed(stream)] == ["s2", "s1"]
    assert [e.session_id for e in EventDecoder(session_id="s1").feed(stream)] == ["s1"]


@pytest.mark.parametrize(
    "told", ["", "{", "{} {}", "[1]", "7", "null", '"text"', "{}", '{"sessionId": []}', "[" * 100_000]
)
def test_what_cannot_be_read_is_skipped(told):
    stream = block("session_started", told) + block("session_terminated", TOLD)
    assert [e.name for e in EventDecoder().feed(stream)] == ["session_terminated"]


def test_white_space_around_the_json():
    assert len(EventDecoder().feed(block("session_started", f"\t {json.dumps(TOLD)}  "))) == 1


def test_nothing_comes_after_the_server_has_closed():
    decoder = EventDecoder()
    events = decoder.feed(block("session_started", TOLD) + block("server_close", "") + block("x", TOLD))
    assert [e.name for e in events] == ["session_started"]
    assert decoder.closed
    assert decoder.feed(block("session_started", TOLD)) == []


values = st.none() | st.text(max_size=5) | st.integers() | st.booleans() | st.lists(st.integers(), max_size=2)
objects = st.dictionaries(st.sampled_from([*TOLD, "kernelId", "name", "recovered", "more"]), values)


@given(
    st.lists(st.tuples(st.sampled_from(["session_started", "kernel_x", "a"]), objects | values), max_size=4)
)
def test_the_same_as_step_by_step(events):
    stream = b"".join(block(name, told) for name, told in events)
    slow = []
    for event in SSEDecoder().feed(stream):
        try:
            slow.append(structure(SessionEvent, json.loads(event.data) | {"name": event.name}))
        except (WireError, ValueError, TypeError):
            continue
    fast = EventDecoder().feed(stream)
    assert fast == slow
    assert [event.extra for event in fast] == [event.extra for event in slow]
