"""Exact requests and odd answers over a mocked aiohttp: what the transport gives it, and what it makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from aioresponses import CallbackResult, aioresponses
from wire_manager import ACCESS, SECRET, Seen, listing, signature
from yarl import URL

from backendai_sdk import (
    AgentError,
    GraphQLError,
    PermissionDenied,
    ProtocolError,
    ServiceUnavailable,
    SessionStatus,
    UnsupportedServer,
    WireError,
)
from backendai_sdk.enums import SessionType

HOST = "http://manager.example:8081"
GQL = f"{HOST}/admin/gql"
VERSION = {"version": "v9.20250722", "manager": "26.8.1"}


@pytest.fixture
def mocked() -> Iterator[aioresponses]:
    with aioresponses() as mock:
        mock.get(f"{HOST}/", payload=VERSION)
        yield mock


def sent(mock, method, url):
    """The requests to one address, each with its headers and body, their signatures verified."""
    calls = mock.requests.get((method, URL(url)), [])
    for call in calls:
        headers = {k.lower(): v for k, v in call.kwargs["headers"].items()}
        target = URL(url).raw_path_qs
        kind = "application/octet-stream" if call.kwargs["data"] is None else "application/json"
        seen = Seen(method, target, headers, b"", [])
        signed = signature(seen, SECRET, content_type=kind)
        assert headers["authorization"].endswith(f"credential={ACCESS}:{signed}")
        assert headers["host"] == "manager.example:8081"
        assert headers["x-backendai-version"] == "v9.20250722"
        assert call.kwargs["allow_redirects"] is False
    return calls


async def test_a_list_query(mocked, client):
    mocked.post(GQL, payload=listing({"id": "u", "name": "n", "status": "RUNNING"}).body)
    api = await client(HOST)
    rows = [
        row
        async for row in api.list(
            status=[SessionStatus.RUNNING, "pending"],
            fields="id name status",
            filter='name ilike "%x%"',
            order="-created_at",
            access_key="OTHER",
            page_size=50,
        )
    ]
    assert [r.name for r in rows] == ["n"]
    (call,) = sent(mocked, "POST", GQL)
    body = json.loads(call.kwargs["data"])
    assert "items { id name status } total_count" in body["query"]
    assert body["variables"] == {
        "limit": 50,
        "offset": 0,
        "status": "RUNNING,PENDING",
        "filter": 'name ilike "%x%"',
        "order": "-created_at",
        "access_key": "OTHER",
        "group_id": None,
    }


async def test_a_creation(mocked, client):
    mocked.post(
        f"{HOST}/session",
        status=201,
        payload={
            "sessionId": "u",
            "sessionName": "my-work",
            "status": "PENDING",
            "servicePorts": [],
            "created": True,
        },
    )
    api = await client(HOST, domain="d", project="p")
    cs = await api.create(
        "python:3.11", name="my-work", resources="cpu=2 mem=4g", env={"A": "1"}, priority=3, enqueue_only=True
    )
    assert (cs.id, cs.name, cs.status, cs.info.type) == ("u", "my-work", "PENDING", SessionType.INTERACTIVE)
    (call,) = sent(mocked, "POST", f"{HOST}/session")
    assert json.loads(call.kwargs["data"]) == {
        "name": "my-work",
        "image": "python:3.11",
        "type": "interactive",
        "group": "p",
        "domain": "d",
        "clusterSize": 1,
        "clusterMode": "single-node",
        "enqueueOnly": True,
        "maxWaitSeconds": 0,
        "reuseIfExists": False,
        "priority": 3,
        "config": {
            "mounts": [],
            "mount_map": {},
            "environ": {"A": "1"},
            "resource_opts": {},
            "resources": {"cpu": "2", "mem": str(4 << 30)},
        },
    }


async def test_pages_are_asked_for_as_they_are_read(mocked, client):
    def page(_url, **call):
        offset = json.loads(call["data"])["variables"]["offset"]
        items = [{"id": str(i)} for i in range(offset, min(offset + 2, 5))]
        return CallbackResult(payload={"data": {"compute_session_list": {"items": items, "total_count": 5}}})

    mocked.post(GQL, callback=page, repeat=True)
    api = await client(HOST)
    pager = api.list(fields="id", page_size=2)
    assert not mocked.requests
    assert [row.id async for row in pager] == ["0", "1", "2", "3", "4"]
    offsets = [json.loads(c.kwargs["data"])["variables"]["offset"] for c in sent(mocked, "POST", GQL)]
    assert offsets == [0, 2, 4]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ({"status": 200, "body": "<html>login</html>", "content_type": "text/html"}, ProtocolError, "HTML"),
        ({"status": 200, "body": ""}, WireError, "no 'data'"),
        ({"status": 204}, WireError, "no 'data'"),
        ({"status": 200, "body": '{"data": {"compu'}, ProtocolError, "cut on the way"),
        ({"status": 200, "payload": []}, WireError, "no 'data'"),
        (
            {"status": 200, "payload": {"errors": [{"message": "no such field"}]}},
            GraphQLError,
            "no such field",
        ),
        (
            {"status": 200, "payload": {"errors": [{"message": "Forbidden operation."}]}},
            PermissionDenied,
            "admin",
        ),
        (
            {"status": 301, "headers": {"Location": "http://evil/"}},
            ProtocolError,
            "redirects to http://evil/",
        ),
        ({"status": 400, "payload": {"msg": "Unsupported API version."}}, UnsupportedServer, "upgrade"),
        ({"status": 500, "payload": {"agent-details": {"title": "boom"}}}, AgentError, "boom"),
    ],
)
async def test_odd_answers(mocked, client, answer, kind, said):
    mocked.post(GQL, **answer)
    api = await client(HOST)
    with pytest.raises(kind, match=said):
        await api.list()
    assert len(sent(mocked, "POST", GQL)) == 1


async def test_an_unavailable_server_keeps_every_attempt(mocked, client):
    mocked.post(GQL, status=502, body="<html>bad gateway", repeat=True)
    api = await client(HOST)
    with pytest.raises(ServiceUnavailable) as caught:
        await api.list()
    assert caught.value.status == 502
    assert len(caught.value.attempts) == len(sent(mocked, "POST", GQL)) == 4
    assert all(isinstance(a, ServiceUnavailable) for a in caught.value.attempts)
