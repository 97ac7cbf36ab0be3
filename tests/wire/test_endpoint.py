"""The first things that go wrong: each is a typed error whose message says what to do."""

from __future__ import annotations

import asyncio
import re

import pytest
from wire_manager import ACCESS, PROBLEM, RESET, Manager, Reply, listing, problem

from backendai_sdk import (
    AmbiguousSession,
    APIError,
    AsyncSession,
    AuthenticationError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    RetryPolicy,
    ServiceUnavailable,
    SessionNotFound,
    Timeouts,
    UnsupportedServer,
    WireError,
)
from backendai_sdk._wire.request import Request

GET = Request(method="GET", path="/x", idempotent=True)
HTML = {"content-type": "text/html"}


def test_no_credentials():
    with pytest.raises(
        ConfigError, match=r"access_key and secret_key missing.*BACKEND_ACCESS_KEY.*Session\.local"
    ):
        AsyncSession("https://h.example")


def test_no_scheme():
    with pytest.raises(ConfigError, match="write 'https://h.example'"):
        AsyncSession("h.example", access_key="a", secret_key="b")


async def test_nothing_listens(closed_port, client):
    api = await client(closed_port)
    with pytest.raises(
        ConnectError, match=r"cannot connect to 127\.0\.0\.1:\d+: .*is the server up\?"
    ) as caught:
        await api.list()
    assert (caught.value.method, caught.value.path) == ("GET", "/")
    assert len(caught.value.attempts) == 4
    assert caught.value.attempts[-1] is caught.value


async def test_an_unknown_host_name(client, monkeypatch):
    """The name ends in .invalid, and the resolver is asked in this process: nothing leaves it."""
    import socket

    async def fails(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
    api = await client("http://manager.invalid", retry=RetryPolicy(max_attempts=1))
    with pytest.raises(ConnectError, match=r"cannot connect to manager\.invalid:80: .*is `endpoint` right"):
        await api.list()


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"access_key": "AKWRONG"}, "Access key not found"), ({"secret_key": "wrong"}, "Signature mismatch")],
)
async def test_wrong_keys(serve, client, keys, said):
    server = await serve(lambda seen: listing())
    api = await client(server, **keys)
    with pytest.raises(AuthenticationError, match=f"401.*{said}; check access_key and secret_key") as caught:
        await api.list()
    assert (caught.value.status, caught.value.type) == (401, "auth-failed")
    assert len(server.asked) == 1
    assert "wrong" not in repr(caught.value)


async def test_an_unknown_session(serve, client):
    api = await client(await serve(lambda seen: listing()))
    with pytest.raises(SessionNotFound, match=r"no live session named 'nope'.*list\(\)"):
        await api.get("nope")


async def test_a_name_of_several_sessions(serve, client):
    rows = [
        {"id": f"id-{i}", "name": "work", "status": "RUNNING", "access_key": key}
        for i, key in enumerate(["A", "B"])
    ]
    api = await client(await serve(lambda seen: listing(*rows)))
    with pytest.raises(
        AmbiguousSession, match="2 live sessions are named 'work'; use the id: id-0, id-1"
    ) as caught:
        await api.get("work")
    assert [m["id"] for m in caught.value.data["matches"]] == ["id-0", "id-1"]
    rows[1]["access_key"] = ACCESS
    assert (await api.get("work")).id == "id-1"


async def test_a_server_that_finds_several(serve, transport):
    matches = [{"id": "1"}, {"id": "2"}]
    server = await serve(lambda seen: problem(404, "too-many-sessions-matched", data={"matches": matches}))
    with pytest.raises(AmbiguousSession, match="use the session's id") as caught:
        await transport(server).json(GET)
    assert caught.value.data == {"matches": matches}


async def test_a_server_that_is_too_old(serve, client):
    api = await client(await serve(version={"version": "v6.20230315", "manager": "22.09.1"}))
    with pytest.raises(
        UnsupportedServer, match=r"release 22\.09\.1\) speaks API v6.*needs.*23\.09.*upgrade the server"
    ):
        await api.list()


async def test_a_server_that_is_newer_and_takes_what_we_speak(serve, client):
    server = await serve(lambda seen: listing(), version={"version": "v12.20320101", "manager": "32.1.0"})
    api = await client(server)
    assert (await api.list()).total_count == 0
    assert server.asked[0].headers["x-backendai-version"] == "v9.20250722"


async def test_a_server_that_is_too_new(serve, client):
    server = await serve(
        lambda seen: problem(400, "generic-bad-request", "Bad request.", msg="Unsupported API version."),
        version={"version": "v12.20320101", "manager": "32.1.0"},
    )
    api = await client(server)
    with pytest.raises(UnsupportedServer, match="upgrade backendai_sdk if the server is newer"):
        await api.list()
    assert len(server.asked) == 1


@pytest.mark.parametrize("version", [{}, [], {"version": 7}, {"status": "ok"}, "v7.20230615"])
async def test_json_of_something_else(serve, client, version):
    server = await serve(lambda seen: listing())
    server._version_or_script = lambda seen: Reply(200, version)
    with pytest.raises(
        WireError, match=re.escape(server.endpoint) + ".*not as a Backend.AI manager.*`endpoint`"
    ):
        await (await client(server)).list()


@pytest.mark.parametrize("status", [200, 404, 502])
async def test_html(serve, client, status):
    page = Reply(status, b"<!DOCTYPE html><title>hello</title>", HTML)
    server = await serve(lambda seen: page)
    server._version_or_script = lambda seen: page
    api = await client(server)
    if status == 502:
        with pytest.raises(ServiceUnavailable, match="502.*hello") as gateway:
            await api.list()
        assert gateway.value.status == 502
        return
    with pytest.raises(
        ProtocolError, match=rf"status {status}.*answered HTML.*something else.*`endpoint`"
    ) as caught:
        await api.list()
    assert (caught.value.status, caught.value.body[:15]) == (status, "<!DOCTYPE html>")
    assert len(server.seen) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CUT = {
    "shorter than its length": HEAD + b'Content-Length: 100\r\n\r\n{"a": 1}',
    "within its headers": b"HTTP/1.1 200 OK\r\nContent-",
    "within a chunk": HEAD + b'Transfer-Encoding: chunked\r\n\r\nff\r\n{"a": 1}',
    "before the last chunk": HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"a": 1}\r\n',
    "at once": b"",
    "reset": RESET,
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
@pytest.mark.parametrize("idempotent", [True, False])
async def test_an_answer_that_is_cut(serve, transport, answer, idempotent):
    server: Manager = await serve(lambda seen: answer)
    request = Request(method="POST", path="/x", json={}, idempotent=idempotent)
    with pytest.raises(ConnectionLost, match="POST /x: .*the server may have acted on it") as caught:
        await transport(server).json(request)
    assert len(server.asked) == len(caught.value.attempts) == (4 if idempotent else 1)


async def test_a_cut_that_does_not_happen_again(serve, transport):
    answers = [*CUT.values(), Reply(200, {"fine": True})]
    server = await serve(lambda seen: answers.pop(0))
    link = transport(server, retry=RetryPolicy(max_attempts=9, base=0.001, cap=0.002))
    assert await link.json(GET) == {"fine": True}


async def pieces(*parts):
    for part in parts:
        yield part
        await asyncio.sleep(0.02)


GARBAGE = {
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n",),
    "binary": (b"\x15\x03\x01\x00\x02\x02\x50\x00\r\n\r\n",),
    "a bad length": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",),
    "a bad chunk at once": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n",),
    "a bad chunk later": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ZZ\r\nxx\r\n"),
    "a chunk without its end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}", b"XX0\r\n\r\n"),
    "gzip that is none": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n", b"abcd"),
    "an endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000 + b"\r\n\r\n",),
}


@pytest.mark.parametrize("parts", GARBAGE.values(), ids=GARBAGE)
async def test_garbage(serve, transport, parts):
    server = await serve(lambda seen: pieces(*parts))
    # aiohttp says nothing of chunks that go bad after the first ones: then it is the time limit that ends it.
    link = transport(server, retry=RetryPolicy(max_attempts=1), timeouts=Timeouts(request=0.5))
    with pytest.raises((ProtocolError, ConnectionLost, RequestTimeout), match="GET /x: ") as caught:
        await link.json(GET)
    assert caught.value.path == "/x"


async def test_a_redirect_is_not_followed_and_nothing_is_sent_on(serve, client):
    other = await serve(lambda seen: listing())
    for status in (301, 302, 303, 307, 308):
        server = await serve(
            lambda seen, s=status: Reply(s, b"", {"location": other.endpoint + "/admin/gql"})
        )
        api = await client(server)
        with pytest.raises(
            ProtocolError, match=rf"redirects to {other.endpoint}/.*not followed with cred"
        ) as caught:
            await api.list()
        assert caught.value.status == status
        assert len(server.asked) == 1
    assert other.seen == []


async def test_an_answer_that_is_too_large(serve, transport, monkeypatch):
    from backendai_sdk._transport import connection

    monkeypatch.setattr(connection, "MAX_BODY", 1 << 20)
    server = await serve(lambda seen: Reply(200, b"x" * (1 << 20) + b"x"))
    with pytest.raises(ProtocolError, match="larger than 1 MiB") as caught:
        await transport(server).json(GET)
    assert caught.value.status == 200


async def test_a_problem_keeps_what_the_server_said(serve, transport):
    body = {"type": "https://api.backend.ai/probs/x", "title": "T", "msg": "M", "data": {"k": 1}, "new": True}
    server = await serve(lambda seen: Reply(422, body, PROBLEM))
    with pytest.raises(APIError, match="GET /x: 422 T: M") as caught:
        await transport(server).json(GET)
    assert (caught.value.status, caught.value.type, caught.value.body) == (422, "x", body)
