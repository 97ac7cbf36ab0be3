"""Status histories and dependency graphs, as captured."""

from __future__ import annotations

import json

import pytest

from backendai_sdk._wire.history import history_body, read_graph, read_history, read_listed_history
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import SessionNotFound, WireError

SEEN = {  # 26.9.6, its keys in its order
    "PENDING": "2026-11-22T06:47:57.274548+00:00",
    "RUNNING": "2026-11-22T06:48:03.702072+00:00",
    "CREATING": "2026-11-22T06:48:03.602876+00:00",
    "SCHEDULED": "2026-11-22T06:47:58.994346+00:00",
}


def listed(history):
    return {"data": {"compute_session": {"status_history": history}}, "errors": None}


def test_a_history_is_in_the_order_of_time():
    history = read_history(SEEN)
    assert list(history) == ["PENDING", "SCHEDULED", "CREATING", "RUNNING"]
    assert history[SessionStatus.RUNNING].isoformat() == "2026-11-22T06:48:03.702072+00:00"


def test_a_listed_history():
    assert read_listed_history(listed(json.dumps(SEEN)), session_id="s") == read_history(SEEN)
    assert read_listed_history(listed(SEEN), session_id="s") == read_history(SEEN)
    assert read_listed_history(listed(None), session_id="s") == {}
    with pytest.raises(SessionNotFound, match="s-9"):
        read_listed_history({"data": {"compute_session": None}}, session_id="s-9")
    for odd in ("{", '{"PENDING": "yesterday"}', "[]", 7):
        with pytest.raises(WireError):
            read_listed_history(listed(odd), session_id="s")
    with pytest.raises(WireError):
        read_listed_history({"data": {"compute_session": {}}}, session_id="s")


def test_the_query_carries_the_id_as_a_variable():
    assert history_body("s-1")["variables"] == {"id": "s-1"}


def test_a_graph_as_seen_on_23_09():
    graph = read_graph(
        {
            "session_id": "b",
            "session_name": "second",
            "status": "KernelStatus.PENDING",
            "status_changed": "None",
            "depends_on": [
                {
                    "session_id": "a",
                    "session_name": "first",
                    "status": "KernelStatus.RUNNING",
                    "status_changed": "2026-11-22 07:16:22.520540+00:00",
                    "depends_on": [],
                },
            ],
        }
    )
    assert (graph.session_name, graph.status, graph.status_changed) == ("second", SessionStatus.PENDING, None)
    (first,) = graph.depends_on
    assert (first.session_id, first.status, first.depends_on) == ("a", SessionStatus.RUNNING, ())
    assert first.status_changed is not None
    assert first.status_changed.tzinfo is not None


@pytest.mark.parametrize(
    "odd", [None, [], {"session_id": "x"}, {"session_id": "x", "session_name": "y", "depends_on": [1]}]
)
def test_no_graph(odd):
    with pytest.raises(WireError):
        read_graph(odd)


def test_a_graph_that_never_ends():
    node: dict[str, object] = {"session_id": "x", "session_name": "y", "status": "RUNNING"}
    for _ in range(5000):
        node = {"session_id": "x", "session_name": "y", "status": "RUNNING", "depends_on": [node]}
    with pytest.raises(WireError, match="nested too deeply"):
        read_graph(node)
