"""Error answers become typed errors that keep everything the server said."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk import errors as e
from backendai_sdk._wire.problems import error_of, json_of
from backendai_sdk._wire.request import Response

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
PROBLEM = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON | st.just("https://api.backend.ai/probs/object-not-found"),
        "title": JSON,
        "msg": JSON,
        "data": JSON,
        "details": JSON,
        "error_code": JSON,
        "agent-details": JSON,
    },
)


def answer(status, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/problem+json"} | headers
    return Response(status=status, headers=headers, body=raw, endpoint="http://h:1")


def error(status, slug="", title="", **more):
    body = {"type": f"https://api.backend.ai/probs/{slug}", "title": title, **more}
    return error_of(answer(status, body), method="GET", path="/x")


@pytest.mark.parametrize(
    ("status", "slug", "title", "more", "kind", "advice"),
    [
        (400, "invalid-api-params", "Missing or invalid API parameters.", {}, e.BadRequest, ""),
        (400, "invalid-auth-params", "", {"msg": "Date/time sync error"}, e.ClockSkewError, "clock"),
        (400, "invalid-auth-params", "", {"msg": "Malformed authorization header"}, e.BadRequest, ""),
        (401, "auth-failed", "Credential/signature mismatch.", {}, e.AuthenticationError, "access_key"),
        (401, "password-expired", "Password has expired.", {}, e.AuthenticationError, ""),
        (403, "generic-forbidden", "Forbidden operation.", {}, e.PermissionDenied, ""),
        (404, "object-not-found", "No such session.", {}, e.SessionNotFound, r"list\(\)"),
        (404, "object-not-found", "No such environment image.", {}, e.ImageNotFound, "alias"),
        (404, "object-not-found", "No such virtual folder.", {}, e.NotFound, ""),
        (404, "url-not-found", "Unknown URL path.", {"data": "/x"}, e.NotFound, ""),
        (404, "too-many-sessions-matched", "", {"data": {"matches": []}}, e.AmbiguousSession, "id"),
        (400, "session-already-exists", "", {}, e.SessionExists, r"ensure\(\)"),
        (412, "quota-exceeded", "", {}, e.QuotaExceeded, ""),
        (400, "quota-exceeded", "", {}, e.QuotaExceeded, ""),
        (429, "rate-limit-exceeded", "", {}, e.RateLimited, "slow down"),
        (400, "graphql-error", "", {"data": ["x"]}, e.GraphQLError, ""),
        (500, "internal-server-error", "Internal server error.", {}, e.ServerError, ""),
        (500, "kernel-execution-failed", "", {"agent-details": {"title": "boom"}}, e.AgentError, "boom"),
        (503, "server-frozen", "", {}, e.ServiceUnavailable, ""),
        (502, "bad-gateway", "", {}, e.ServiceUnavailable, ""),
        (504, "something-new", "", {}, e.ServiceUnavailable, ""),
        (418, "teapot", "", {}, e.APIError, ""),
        (501, "not-implemented", "", {}, e.ServerError, ""),
    ],
)
def test_which_error(status, slug, title, more, kind, advice):
    found = error(status, slug, title, **more)
    assert type(found) is kind
    assert (found.status, found.type, found.title) == (status, slug, title)
    assert str(found).startswith(f"GET /x: {status} ")
    if advice:
        with pytest.raises(kind, match=advice):
            raise found


def test_everything_is_kept():
    body = {
        "type": "https://api.backend.ai/probs/kernel-execution-failed",
        "title": "T.",
        "msg": "m",
        "data": {"a": [1]},
        "error_code": "session_read_not-found",
        "agent-details": {"title": "x", "exception": "y"},
        "of-the-future": 5,
    }
    found = error_of(answer(500, body), method="POST", path="/session/x")
    assert found.body == body
    assert (found.msg, found.data, found.error_code) == ("m", {"a": [1]}, "session_read_not-found")
    assert found.agent_details == {"title": "x", "exception": "y"}
    assert (found.method, found.path, found.attempts) == ("POST", "/session/x", ())
    copy = pickle.loads(pickle.dumps(found))
    assert type(copy) is e.AgentError
    assert vars(copy) == vars(found)


def test_the_id_of_the_session_that_has_the_name():
    assert error(400, "session-already-exists", data={"existingSessionId": "u"}).session_id == "u"
    assert error(400, "session-already-exists", data="odd").session_id is None
    assert error(409).session_id is None


def test_a_version_that_the_server_does_not_take():
    found = error(400, "generic-bad-request", "Bad request.", msg="Unsupported API version.")
    assert isinstance(found, e.UnsupportedServer)
    assert "upgrade backendai_sdk" in str(found)


def test_a_redirect_is_not_followed():
    found = error_of(answer(302, b"", location="https://sso/"), method="GET", path="/")
    assert isinstance(found, e.ProtocolError)
    assert found.status == 302
    assert "redirects to https://sso/" in str(found)
    assert "Set `endpoint`" in str(found)


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>hi", b"  <html>", b"x"])
def test_pages_of_something_else(body):
    for status in (200, 401, 404):
        response = answer(status, body, **{"content-type": "text/html; charset=utf-8"})
        found = error_of(response, method="GET", path="/")
        assert type(found) is e.ProtocolError
        assert (found.status, found.body) == (status, body.decode())
        assert "http://h:1 answered HTML" in str(found)
        assert "`endpoint`" in str(found)
    bad_gateway = error_of(answer(502, body), method="GET", path="/")
    assert type(bad_gateway) is e.ServiceUnavailable
    assert (bad_gateway.status, bad_gateway.title) == (502, body.decode())


@given(st.integers(300, 599), st.binary(max_size=40) | JSON | PROBLEM)
def test_anything_gives_a_typed_error(status, body):
    found = error_of(answer(status, body), method="PUT", path="/p")
    assert isinstance(found, e.APIError | e.ProtocolError | e.UnsupportedServer)
    assert str(found).startswith("PUT /p: ")
    if not isinstance(found, e.UnsupportedServer):
        assert (found.status, found.method, found.path) == (status, "PUT", "/p")
    if isinstance(found, e.APIError) and isinstance(body, dict):
        # NaN is not itself, so the texts are compared.
        assert json.dumps(found.body) == json.dumps(json.loads(json.dumps(body)))
        pickle.loads(pickle.dumps(found))


DEEP = b"[" * 100_000
NESTED = b'{"data": ' + b"[" * 900 + b"]" * 900 + b"}"


@pytest.mark.parametrize("body", [DEEP, NESTED, b"9" * 5000, b"\xff\xfe", b'{"msg": "\\ud800"}', b""])
@pytest.mark.parametrize("status", [404, 500])
def test_bodies_made_to_break_a_reader(status, body):
    found = error_of(answer(status, body), method="GET", path="/")
    assert isinstance(found, e.APIError | e.ProtocolError)
    assert found.status == status


@given(st.binary(max_size=40) | JSON)
def test_a_success_is_json_or_a_protocol_error(body):
    response = answer(200, body)
    try:
        decoded = json_of(response, method="GET", path="/")
    except e.ProtocolError as exc:
        assert exc.status == 200  # noqa: PT017
        return
    assert decoded is None or json.dumps(decoded) == json.dumps(json.loads(response.body))


def test_successes_that_are_not_json():
    assert json_of(answer(204, b""), method="GET", path="/") is None
    for body in (DEEP, b'{"id": "cut', b"9" * 5000):
        with pytest.raises(e.ProtocolError, match="not JSON, or was cut on the way"):
            json_of(answer(200, body), method="GET", path="/")
