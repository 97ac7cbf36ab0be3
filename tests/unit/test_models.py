"""The values that calls return: inert, comparable, safe to show, and honest about what is not known."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import ExecutionFailed, NotFound
from backendai_sdk.models.event import SessionEvent
from backendai_sdk.models.outcome import DestroyOutcome
from backendai_sdk.models.page import Page
from backendai_sdk.models.run import (
    ExecutionResult,
    Finished,
    Html,
    Media,
    RemoteError,
    Stderr,
    Stdout,
    StepFinished,
)
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.unset import UNSET, Unset


def test_unset_is_one_and_false():
    assert not UNSET
    assert UNSET is not None
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert copy.deepcopy({"x": UNSET})["x"] is UNSET
    assert repr(UNSET) == str(UNSET) == "UNSET"
    assert list(Unset) == [UNSET]


def test_a_row_has_what_was_asked_for():
    info = structure(
        SessionInfo,
        {
            "id": "u",
            "name": "n",
            "status": "RUNNING",
            "tag": None,
            "type": "INTERACTIVE",
            "cluster_mode": "SINGLE_NODE",
            "created_at": "2024-03-27T11:42:18.123456+00:00",
            "occupying_slots": '{"cpu": "1", "mem": "1073741824"}',
            "idle_checks": '{"network_timeout": {"remaining": null}}',
            "dependencies": [{"id": "d", "name": "dn", "new": 1}],
            "new_field": {"x": 1},
        },
    )
    assert info.tag is None
    assert info.image is UNSET
    assert (info.session_id, info.type, info.cluster_mode) == ("u", "interactive", "single-node")
    assert info.created_at.utcoffset().total_seconds() == 0
    assert info.occupying_slots.to_wire() == {"cpu": "1", "mem": "1073741824"}
    assert info.idle_checks == {"network_timeout": {"remaining": None}}
    assert info.dependencies[0].id == "d"
    assert info.extra == {"new_field": {"x": 1}}
    assert dict(info.items()).keys() == {
        *("id", "name", "status", "tag", "type", "cluster_mode", "created_at", "occupying_slots"),
        *("idle_checks", "dependencies"),
    }
    assert "new_field" in repr(info)
    assert "image" not in repr(info)
    assert pickle.loads(pickle.dumps(info)) == info


@given(st.text(), st.text())
def test_html_is_escaped(name, tag):
    shown = SessionInfo(name=name, tag=tag)._repr_html_()
    assert (
        shown.count("<")
        == shown.count(">")
        == len(SessionInfo(name="x", tag="y")._repr_html_().split("<")) - 1
    )


def test_html_of_a_hostile_name():
    shown = SessionInfo(name="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("items", "total", "offset", "last"),
    [((), 0, 0, True), ((1, 2), 5, 0, False), ((5,), 5, 4, True), ((), 5, 10, True), ((1,), 0, 0, True)],
)
def test_pages(items, total, offset, last):
    page = Page(items=items, total_count=total, offset=offset)
    assert list(page) == list(items)
    assert (len(page), page.is_last) == (len(items), last)
    assert page[:1] == items[:1]
    assert (1 in page) == (1 in items)


def test_a_page_is_a_sequence():
    page = Page(items=("a", "b"), total_count=2)
    assert (page[0], page[-1], page.index("b")) == ("a", "b", 1)
    with pytest.raises(IndexError):
        page[2]


def result(**more):
    return ExecutionResult(**({"status": "finished", "exit_code": 0, "session_id": "u"} | more))


def test_a_result():
    outputs = (
        Stdout("a"),
        Stderr("e"),
        Stdout("b"),
        Html("<p>"),
        Media("image/png", b"123"),
        StepFinished("clean", 0),
    )
    good = result(outputs=outputs)
    assert (good.stdout, good.stderr, good.ok, good.complete) == ("ab", "e", True, True)
    assert good.check() is good
    assert good._repr_mimebundle_().keys() == {"text/plain", "text/html"}
    assert result(outputs=outputs[:2])._repr_mimebundle_() == {"text/plain": "ae"}
    assert repr(outputs[4]) == "Media(mime='image/png', data=<3 bytes>)"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (result(exit_code=3), "it exited with 3"),
        (result(exit_code=None), "it exited with None"),
        (result(error=RemoteError("KeyError", "'x'", "...")), "KeyError: 'x'"),
    ],
)
def test_a_failed_result(bad, said):
    assert not bad.ok
    with pytest.raises(ExecutionFailed, match=said) as caught:
        bad.check()
    assert caught.value.result is bad
    assert caught.value.session_id == "u"


def test_outcomes():
    good = DestroyOutcome(session="a", status="terminated")
    assert good.ok
    assert good.check() is good
    bad = DestroyOutcome(session="a", status="failed", error=NotFound("no"))
    assert not bad.ok
    with pytest.raises(NotFound):
        bad.check()


def test_events():
    data = {"name": "session_terminated", "sessionId": "u", "exitCode": None, "clusterRole": "main"}
    event = structure(SessionEvent, data)
    assert (event.session_id, event.is_final, event.recovered) == ("u", True, False)
    assert event.extra == {"clusterRole": "main"}
    assert not attrs.evolve(event, name="kernel_terminated").is_final


@pytest.mark.parametrize("value", [Stdout("x"), Finished(0), result(), SessionInfo(id="u")])
def test_values_do_not_change(value):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.text = "other"
