"""The list query and its answer: user values are variables only, and any answer is rows or a typed error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.fields import FIELDS
from backendai_sdk._wire.gql import (
    data_of,
    equals,
    list_body,
    one_of,
    page_size_argument,
    read_page,
    starts_with,
)
from backendai_sdk.errors import BackendAIError, GraphQLError, InvalidArgument, PermissionDenied, WireError
from backendai_sdk.models.unset import UNSET

TEXT = st.none() | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(st.sampled_from(list(FIELDS)), min_size=1, unique=True),
    st.integers(),
    st.integers(),
    st.fixed_dictionaries(dict.fromkeys(("status", "filter", "order", "access_key", "group_id"), TEXT)),
)
def test_user_values_are_variables_and_never_query_text(fields, limit, offset, values):
    body = list_body(fields, limit=limit, offset=offset, **values)
    assert body["variables"] == {"limit": limit, "offset": offset, **values}
    empty = list_body(fields, limit=10)
    assert body["query"] == empty["query"]
    assert json.loads(json.dumps(body)) == body


def test_the_query_itself():
    query = list_body(("id", "dependencies"), limit=10)["query"]
    assert "items { id dependencies { id name } } total_count" in query
    assert query.count("{") == query.count("}") == 4
    for name, kind in {"limit": "Int!", "offset": "Int!", "status": "String", "group_id": "String"}.items():
        assert f"${name}: {kind}" in query
        assert f"{name}: ${name}" in query


def unquote(text):
    """The servers' grammar: a string ends at the first double quote that has no backslash before it."""
    assert text[0] == text[-1] == '"'
    inner, found, i = text[1:-1], "", 0
    while i < len(inner):
        if inner[i] == "\\":
            i += 1
        else:
            assert inner[i] != '"', "the string ends too early"
        found += inner[i]
        i += 1
    return found


@given(st.text())
def test_a_value_cannot_leave_its_quotes(value):
    assert unquote(equals("name", value).removeprefix("name == ")) == value
    assert unquote(starts_with("name", value).removeprefix("name like ")) == value + "%"
    assert unquote(one_of("id", [value])[len("id in [") : -1]) == value


def test_several_values():
    assert one_of("id", ["a", 'b"']) == r'id in ["a", "b\""]'


@pytest.mark.parametrize("size", [0, -1, 101, True, 1.0, "10", None])
def test_page_sizes_that_are_refused(size):
    with pytest.raises(InvalidArgument, match="page_size: .* is not a whole number from 1 to 100"):
        page_size_argument(size)


def test_page_sizes_that_are_taken():
    assert [page_size_argument(n) for n in (1, 10, 100)] == [1, 10, 100]


def rows(*items, total=None):
    return {"data": {"compute_session_list": {"items": list(items), "total_count": total or len(items)}}}


def test_a_page_is_read():
    page = read_page(
        rows({"id": "1", "status": "HIBERNATED", "mem_bandwidth": 5}, {"id": "2"}, total=7), offset=5
    )
    assert [row.id for row in page] == ["1", "2"]
    assert (page.total_count, page.offset, page.is_last) == (7, 5, True)
    assert page[0].status == "HIBERNATED"
    assert not page[0].status.is_known
    assert page[0].extra == {"mem_bandwidth": 5}
    assert page[1].status is UNSET


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Forbidden operation.", PermissionDenied),
        ("superadmin privilege required", PermissionDenied),
        ("Unknown/unsupported field name", GraphQLError),
    ],
)
def test_errors_inside_an_answer(message, kind):
    answer = {"data": {"compute_session_list": None}, "errors": [{"message": message}, {"message": "more"}]}
    with pytest.raises(kind, match=message) as caught:
        read_page(answer)
    error = caught.value
    assert (error.status, error.msg, error.data, error.body) == (200, message, answer["errors"], answer)
    assert (error.method, error.path) == ("POST", "/admin/gql")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"data": None},
        {"data": {}},
        {"data": {"compute_session_list": None}},
        {"data": {"compute_session_list": {"items": None, "total_count": 0}}},
        {"data": {"compute_session_list": {"items": [], "total_count": None}}},
        rows("text"),
        rows({"id": "1", "cluster_size": "many"}),
    ],
)
def test_answers_without_the_shape(answer):
    with pytest.raises(WireError):
        read_page(answer)


def test_the_error_names_the_row():
    with pytest.raises(WireError, match=r"compute_session_list\.items\[1\]\.cluster_size"):
        read_page(rows({"id": "1"}, {"id": "2", "cluster_size": "many"}))


@given(
    JSON | st.builds(lambda *r: rows(*r), JSON, JSON) | st.fixed_dictionaries({"errors": JSON, "data": JSON})
)
def test_any_json_gives_rows_or_a_typed_error(answer):
    try:
        page = read_page(answer)
    except BackendAIError:
        return
    assert page.total_count is not None


def test_an_empty_error_list_is_no_error():
    assert data_of({"errors": [], "data": {"x": 1}}) == {"x": 1}
    assert data_of({"errors": None, "data": {"x": 1}}) == {"x": 1}


def field_error(*path: object) -> dict[str, object]:
    return {"message": "email", "locations": [], "path": list(path)}


def test_a_field_that_the_server_fails_to_tell() -> None:
    """Real servers of both releases fail to tell the dependencies of a session that has some."""
    items = [{"name": "a", "dependencies": []}, {"name": "b", "dependencies": None}]
    answer = {
        "data": {"compute_session_list": {"items": items, "total_count": 2}},
        "errors": [field_error("compute_session_list", "items", 1, "dependencies")],
    }
    first, second = read_page(answer).items
    assert (first.dependencies, first.errors) == ((), {})
    assert (second.name, second.dependencies, second.errors) == ("b", UNSET, {"dependencies": "email"})
    assert "email" in repr(second)
    assert ("errors", second.errors) not in second.items()


@pytest.mark.parametrize(
    "path",
    [(), ("compute_session_list",), ("compute_session_list", "items", 0), ("groups", "items", 0, "name")],
)
def test_an_error_that_is_not_one_fields(path: tuple[object, ...]) -> None:
    answer = {
        "data": {"compute_session_list": {"items": [{"name": "a"}], "total_count": 1}},
        "errors": [field_error("compute_session_list", "items", 0, "tag"), field_error(*path)],
    }
    with pytest.raises(GraphQLError):
        read_page(answer)
