"""What goes onto the wire, byte by byte: target, headers, signature, body."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from wire_manager import ACCESS, SECRET, Manager, Reply, listing, signature

from backendai_sdk._wire.request import FilePart, Request, path

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"


def check_signed(seen, secret=SECRET):
    """The headers of a signed request, against PROTOCOL §1.1."""
    assert seen.headers["authorization"] == (
        f"BackendAI signMethod=HMAC-SHA256, credential={ACCESS}:{signature(seen, secret)}"
    )
    assert abs(datetime.fromisoformat(seen.headers["date"]) - datetime.now(UTC)) < timedelta(seconds=30)
    for name in ("host", "date", "authorization", "x-backendai-version", "content-type"):
        assert sum(n.lower() == name for n in seen.header_names) == (name in seen.headers)


async def test_the_version_is_asked_for_once_and_unsigned(serve, transport):
    server = await serve()
    link = transport(server)
    await asyncio.gather(*(link.json(Request(method="GET", path=f"/x/{i}")) for i in range(5)))
    await link.json(Request(method="GET", path="/y"))
    (first,) = [s for s in server.seen if s.target == "/"]
    assert not {"authorization", "date", "x-backendai-version", "content-type"} & set(first.headers)
    assert server.seen[0] is first
    assert len(server.asked) == 6
    for seen in server.asked:
        assert seen.headers["x-backendai-version"] == "v7.20230615"
        check_signed(seen)


@pytest.mark.parametrize("prefix", ["", "/base", "/a%20b/c"])
async def test_target_and_host_are_signed_as_they_are_sent(serve, transport, prefix):
    server = await serve(prefix=prefix)
    request = Request(
        method="GET",
        path=path("/session/{}/files", "a b/ü?#%2F+"),
        params={"path": "x y&z=+ü", "files": ["1", "2"], "scope": "*", "forced": True, "no": None},
    )
    await transport(server).json(request)
    (seen,) = server.asked
    assert seen.target == (
        f"{prefix}/session/a%20b%2F%C3%BC%3F%23%252F%2B/files"
        "?path=x%20y%26z%3D%2B%C3%BC&files=1&files=2&scope=*&forced=true"
    )
    assert seen.headers["host"] == server.endpoint.split("/")[2]
    check_signed(seen)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_without_a_body_there_is_no_content_type(serve, transport, method):
    server = await serve()
    await transport(server).send(Request(method=method, path="/x"))
    (seen,) = server.asked
    assert "content-type" not in seen.headers
    assert seen.body == b""
    assert seen.headers["user-agent"].startswith("backendai_sdk/")
    assert seen.headers["accept"] == "application/json"
    check_signed(seen)


@pytest.mark.parametrize("body", [{"a": "ü\n", "b": [1, None]}, [], {}])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_json_bodies_also_of_get(serve, transport, method, body):
    server = await serve()
    await transport(server).json(Request(method=method, path="/x", json=body))
    (seen,) = server.asked
    assert seen.json == body
    assert seen.headers["content-type"] == "application/json"
    check_signed(seen)


async def test_uploads_keep_their_names_unquoted(serve, transport):
    server = await serve(lambda seen: Reply(204))
    files = (FilePart(filename="a b/ü%.txt", data=b"\x00\xff"), FilePart(filename="c", data=b""))
    await transport(server).send(Request(method="POST", path="/session/x/upload", files=files))
    (seen,) = server.asked
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    check_signed(seen)
    names = re.findall(rb'name="src"; filename="([^"]*)"', seen.body)
    assert [n.decode() for n in names] == ["a b/ü%.txt", "c"]
    assert b"\x00\xff" in seen.body


async def test_every_attempt_is_dated_and_signed_anew(serve, transport):
    answers = [Reply(503, {}), Reply(503, {}), Reply(200, {"ok": 1})]
    server = await serve(lambda seen: answers.pop(0))
    assert await transport(server).json(Request(method="GET", path="/x", idempotent=True)) == {"ok": 1}
    assert len({s.headers["date"] for s in server.asked}) == 3
    assert len({s.headers["authorization"] for s in server.asked}) == 3
    for seen in server.asked:
        check_signed(seen)


async def test_a_stream_is_signed_as_octets_and_dated_anew(serve, transport):
    async def events(seen):
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        yield b"data: 1\n\n"

    server = await serve(events)
    link = transport(server)
    request = Request(method="GET", path="/events/session", params={"scope": "*"}, accept="text/event-stream")
    for _ in range(2):
        async with link.stream(request) as body:
            assert b"".join([piece async for piece in body]) == b"data: 1\n\n"
    first, second = server.asked
    assert first.target == "/events/session?scope=*"
    assert "content-type" not in first.headers
    assert first.headers["accept"] == "text/event-stream"
    check_signed(first)
    check_signed(second)
    assert first.headers["date"] != second.headers["date"]


async def test_a_default_port_is_neither_signed_nor_sent(serve):
    """Without a server on port 80: what the credentials make of the address."""
    from backendai_sdk._transport.credentials import host_of

    for url, host in {
        "http://h:80/x": "h",
        "https://h:443": "h",
        "https://h:80/": "h:80",
        "HTTP://H:8081": "h:8081",
        "http://[::1]:8081/x": "[::1]:8081",
        "http://[::1]/": "[::1]",
        "https://bücher.example/": "xn--bcher-kva.example",
    }.items():
        assert host_of(url) == host


async def test_the_public_calls(serve, client):
    def script(seen):
        if seen.route == "POST /admin/gql":
            return listing({"id": UUID, "name": "work", "status": "RUNNING", "status_info": None})
        return Reply(200, {"authorized": "yes", "stats": {"status": "terminated"}})

    server: Manager = await serve(script)
    api = await client(server)
    assert (await api.ping()).manager == "23.09.10"
    cs = await api.get("work")
    assert (await cs.destroy(forced=True)).status == "terminated"
    await cs.interrupt()
    await cs.rename("better-name")
    ping, find, _state, destroy, interrupt, rename = server.asked
    assert (ping.route, ping.json) == ("POST /auth", {"echo": "backendai_sdk"})
    assert find.json["variables"] | {"filter": 'name == "work"', "limit": 10} == find.json["variables"]
    assert destroy.target == f"/session/{UUID}?forced=true&recursive=false"
    assert interrupt.route == f"POST /session/{UUID}/interrupt"
    assert (rename.route, rename.json) == (f"POST /session/{UUID}/rename", {"name": "better-name"})
    for seen in server.asked:
        check_signed(seen)
