"""Where the cursor is, and completions in the forms of several releases."""

from __future__ import annotations

import pytest

from backendai_sdk._wire.completion import completion_body, read_completions
from backendai_sdk.errors import InvalidArgument, WireError
from backendai_sdk.models.completion import Completions


def test_the_cursor_is_at_the_end():
    body = completion_body("a = 1\npri", row=None, col=None)
    assert body == {"code": "a = 1\npri", "options": {"row": 1, "col": 3, "line": "pri", "post": ""}}


def test_the_cursor_is_somewhere():
    assert completion_body("ab\ncd", row=0, col=1)["options"] == {
        "row": 0,
        "col": 1,
        "line": "a",
        "post": "b",
    }
    assert completion_body("", row=0, col=0)["options"] == {"row": 0, "col": 0, "line": "", "post": ""}


@pytest.mark.parametrize(("row", "col"), [(2, 0), (-1, 0), (0, 3), (0, -1), (True, 0), ("0", 0), (0, 1.0)])
def test_a_cursor_outside_of_the_code(row, col):
    with pytest.raises(InvalidArgument, match="is not in the code"):
        completion_body("ab\ncd", row=row, col=col)


def test_code_is_text():
    with pytest.raises(InvalidArgument, match="code"):
        completion_body(b"x", row=None, col=None)


@pytest.mark.parametrize(
    "result",
    [
        {"status": "finished", "completions": ["print", "priority"]},  # 23.09
        {"status": "finished", "error": None, "suggestions": ["print", "priority"]},  # 26.x
        ["print", "priority"],
        {"matches": ["print", "priority"]},
        {"completions": {"matches": ["print", "priority"], "cursor_start": None}},
        {"completions": [{"text": "print"}, {"label": "priority"}, {"kind": 1}, 7]},
    ],
)
def test_forms(result):
    assert read_completions({"result": result}).matches == ("print", "priority")


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"status": "finished"},
        {"status": "finished", "error": None, "suggestions": []},
        {"completions": None},
    ],
)
def test_nothing_to_say(result):
    assert read_completions({"result": result}) == Completions()


def test_jupyter_tells_what_is_replaced():
    result = {"completions": {"matches": ["print"], "cursor_start": 4, "cursor_end": 7, "status": "ok"}}
    found = read_completions({"result": result})
    assert (found.start, found.end) == (4, 7)


def test_they_are_a_collection():
    found = Completions(matches=("a", "b"))
    assert list(found) == ["a", "b"]
    assert len(found) == 2
    assert "a" in found
    assert not Completions()


@pytest.mark.parametrize("answer", [None, [], {}, {"result": 7}, {"result": {"completions": "print"}}])
def test_no_answer(answer):
    with pytest.raises(WireError):
        read_completions(answer)
