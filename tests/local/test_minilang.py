"""The filter and order languages, held against the grammar that the server really has."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk.local.minilang import Member, MinilangError, compile_filter, sort_rows

FIELDS = {
    name: lambda row, name=name: row.get(name) for name in ("a", "b", "c", "text", "when", "items", "kind")
}
ROW = {
    "a": 1,
    "b": 2,
    "c": None,
    "text": "some_text 50%",
    "when": datetime(2024, 5, 1, tzinfo=UTC),
    "items": ["x", "y"],
    "kind": Member("RUNNING"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a == 1", True), ("a != 1", False), ("a > 0 & b <= 2", True), ("a < 1 | b >= 2", True), ("a==1&b==3", False),
        ("c == null", True), ("c != null", False), ("c is null", True), ("a isnot null", True), ("c == 1", False), ("!c == 1", False),
        ('text like "some%"', True), ('text like "SOME%"', False), ('text ilike "SOME%"', True), ('text contains "50%"', True),
        (r'text like "%50\\%"', True), ('text like "some_text 50_"', True), ('text == "a\\"b"', False),
        ('when >= "2024-05-01"', True), ('when < "2024-05-01T00:00:00+00:00"', False),
        ('items == "x"', True), ('items == "z"', False), ('items in ["z", "y"]', True), ("a in [1, 2]", True), ("a in []", False),
        ('kind == "running"', True), ('kind in ["PENDING", "running"]', True),
        ("(a == 1)", True), ("!(a == 1)", False), ("a == 1.0", True), ("a == -1", False), ("a == true", True),
    ],
)  # fmt: skip
def test_meaning(text, expected):
    assert compile_filter(text, FIELDS)(ROW) is expected


@pytest.mark.parametrize(
    "text",
    ["a", "a ==", "== 1", "a == 1 &", "a = 1", "a == 'x'", "a == word", "(a == 1", "a == 1)", "a == 1 b == 2", "nothing == 1",
     "a LIKE 1", "a.b == 1", "a == [1", "&", 'when > "noon"', "text > 1 & ~"],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(MinilangError, match="Query filter parsing error"):
        compile_filter(text, FIELDS)(ROW)


atoms = st.sampled_from([("a == 1", True), ("a == 2", False), ("b == 2", True), ("b == 1", False)])


@st.composite
def chains(draw):
    """A chain without parentheses and what it means when everything groups to the right."""
    text, value = draw(atoms)
    for _ in range(draw(st.integers(0, 5))):
        left, left_value = draw(atoms)
        operator = draw(st.sampled_from("&|"))
        negated = draw(st.booleans())
        text = f"{'!' if negated else ''}{left} {operator} {text}"
        value = (left_value and value) if operator == "&" else (left_value or value)
        value = (not value) if negated else value
    return text, value


@given(chains())
def test_groups_to_the_right(chain):
    text, value = chain
    assert compile_filter(text, FIELDS)(ROW) is value


@given(st.text(alphabet='ab=!&|()"[], 1nulltrue<>', max_size=30))
def test_never_another_error(text):
    with contextlib.suppress(MinilangError):
        compile_filter(text, FIELDS)(ROW)


def test_order():
    some = [{"a": 2, "b": 1}, {"a": 1, "b": 1}, {"a": None, "b": 2}]
    assert [r["a"] for r in sort_rows(some, "a", FIELDS)] == [1, 2, None]
    assert [r["a"] for r in sort_rows(some, "-a", FIELDS)] == [None, 2, 1]
    assert [r["a"] for r in sort_rows(some, "-b, +a", FIELDS)] == [None, 1, 2]
    for text in ("nothing", "", "a b", "a,,b", "*a"):
        with pytest.raises(MinilangError, match="Query order parsing error"):
            sort_rows(some, text, FIELDS)
