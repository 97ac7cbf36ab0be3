"""Requests as values: paths are encoded segment by segment, queries as signatures need them."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.request import FilePart, Request, Response, path, query_string

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_every_part_is_one_segment(a, b):
    made = path("/session/{}/x/{}", a, b)
    assert made.isascii()
    assert not set("?# ") & set(made)
    assert [unquote(s) for s in made.split("/")] == ["", "session", a, "x", b]


def test_a_body_is_encoded_once_and_a_changed_request_anew():
    request = Request(method="POST", path="/", json={"a": "ü"})
    assert request.encoded is request.encoded
    assert json.loads(request.encoded) == {"a": "ü"}
    assert attrs.evolve(request, json=[1]).encoded == b"[1]"
    assert attrs.evolve(request, json=None).encoded is None


def test_paths():
    assert path("/session/{}/logs", "a b") == "/session/a%20b/logs"
    assert path("/session/{}", "a/b?c#d%ü") == "/session/a%2Fb%3Fc%23d%25%C3%BC"


@given(st.dictionaries(TEXT, TEXT | st.integers() | st.none() | st.lists(TEXT, max_size=3)))
def test_queries_can_be_read_back(params):
    pairs = []
    for key, value in params.items():
        values = value if isinstance(value, list) else [] if value is None else [str(value)]
        pairs += [(key, v) for v in values]
    text = query_string(params)
    assert text.isascii()
    assert not set(" +#") & set(text)
    assert parse_qsl(text, keep_blank_values=True) == pairs


def test_queries():
    assert query_string({"forced": True, "recursive": False, "owner": None}) == "forced=true&recursive=false"
    assert query_string({"files": ["a b", "c"], "scope": "*"}) == "files=a%20b&files=c&scope=*"
    assert query_string({}) == ""


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "application/octet-stream"),
        ({"json": {}}, "application/json"),
        ({"json": []}, "application/json"),
        ({"files": (FilePart(filename="a", data=b""),)}, "multipart/form-data"),
    ],
)
def test_what_is_signed_as_content_type(more, kind):
    assert Request(method="POST", path="/", **more).content_type == kind


def test_bodies_are_in_no_repr():
    request = Request(method="POST", path="/server/login", json={"password": "hunter2"})
    part = FilePart(filename="a", data=b"hunter2")
    response = Response(status=200, headers={}, body=b"hunter2")
    assert "hunter2" not in f"{request!r}{part!r}{response!r}"
