"""What ``fields=`` means: presets, names, aliases, and the help for a misspelt one."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.fields import FIELDS, PRESETS, select, selection
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.session import SessionInfo

WORDS = [*FIELDS, *PRESETS, "session_id", "project", "group"]


def test_every_field_is_one_of_the_model():
    assert set(FIELDS) == {a.name for a in attrs.fields(SessionInfo)} - {"extra", "errors"}
    for names in PRESETS.values():
        assert set(names) <= set(FIELDS)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("name", ("name",)),
        ("id, name status", ("id", "name", "status")),
        (["status", "id"], ("status", "id")),
        ("session_id project", ("id", "group_name")),
        (["name", "id", "name", "session_id"], ("name", "id")),
        ("detail", (*PRESETS["default"], "tag", "created_at", "occupying_slots")),
        (iter(["tag", "name"]), ("tag", "name")),
        ("all", tuple(FIELDS)),
    ],
)
def test_what_is_selected(given, names):
    assert select(given) == names


@given(st.lists(st.sampled_from(WORDS), min_size=1))
def test_each_field_once_and_known(names):
    found = select(names)
    assert len(set(found)) == len(found) > 0
    assert set(found) <= set(FIELDS)
    assert found == select(",".join(names)) == select(" ".join(names))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("nmae", "name"),
        ("statuss", "status"),
        ("sesion_id", "session_id"),
        ("occupied_slots", "occupying_slots"),
    ],
)
def test_the_nearest_spelling_is_offered(name, near):
    with pytest.raises(InvalidArgument, match=f"'{name}' is not a field.*did you mean '{near}'") as caught:
        select(["id", name])
    assert caught.value.argument == "fields"
    assert isinstance(caught.value, ValueError)


def test_without_a_near_spelling_all_are_listed():
    with pytest.raises(InvalidArgument, match=r"not a field of a session\. Allowed: id, .*all"):
        select("%%%%")
    for nothing in ("", " , ", []):
        with pytest.raises(InvalidArgument, match="nothing was given"):
            select(nothing)


@given(st.text() | st.lists(st.text(), min_size=1))
def test_no_user_text_gets_into_the_query(given):
    try:
        text = selection(select(given))
    except InvalidArgument:
        return
    assert re.fullmatch(r"[a-z_{} ]+", text)
    assert text.count("{") == text.count("}")


def test_dependencies_have_a_selection_of_their_own():
    assert selection(("id", "dependencies", "status_data")) == "id dependencies { id name } status_data"
