"""The transport's WebSocket against a raw server: handshake, messages, pings, silence, cuts, closing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from wire_manager import RESET, Peer, Reply, Upgrade, problem

from backendai_sdk import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    SessionNotFound,
    StreamInterrupted,
    Timeouts,
    UsageError,
)
from backendai_sdk._transport import websocket as module
from backendai_sdk._wire.request import Request

STREAM = Request(method="GET", path="/stream/session/a%20b/execute", params={"x": "1"})


@pytest.fixture
def socket(serve, transport, stack):
    """An open WebSocket to a peer that does what *talk* says; the server, too."""

    async def make(talk, **given):
        server = await serve(lambda seen: Upgrade(seen, talk))
        opened = await stack.enter_async_context(transport(server, **given).websocket(STREAM))
        return opened, server

    return make


async def echo(peer):
    while True:
        await peer.send(await peer.hear())


async def test_the_handshake_is_signed_without_a_content_type(socket):
    opened, server = await socket(echo)
    await opened.send("hello")
    assert await opened.receive() == "hello"
    [seen] = server.asked
    assert seen.target == "/stream/session/a%20b/execute?x=1"
    # The server checked the signature, for which it took the missing type as application/octet-stream.
    assert "content-type" not in seen.headers and "authorization" in seen.headers
    assert not server.refused
    assert opened.close_code is None


async def test_messages_of_every_size_both_ways(socket):
    got = []

    async def talk(peer):
        for _ in range(4):
            kind, data = await peer.frame()
            got.append(kind)
            await peer.send(data, kind)

    opened, _ = await socket(talk)
    for message in ("", "é" * 100, b"\0" * 70_000, "x" * 300):
        await opened.send(message)
        assert await opened.receive() == message
    assert got == [Peer.TEXT, Peer.TEXT, Peer.BINARY, Peer.TEXT]


async def test_the_end_by_the_server(socket):
    async def talk(peer):
        await peer.send("last")
        await peer.close(1001)

    opened, _ = await socket(talk)
    assert [await opened.receive() for _ in range(3)] == ["last", None, None]
    assert opened.close_code == 1001
    with pytest.raises(StreamInterrupted, match="/stream/session/a%20b/execute"):
        await opened.send("more")


async def test_the_end_by_the_client(serve, transport):
    seen_code = asyncio.get_running_loop().create_future()

    async def talk(peer):
        kind, data = await peer.frame()
        await peer.send(data, peer.CLOSE)
        seen_code.set_result((kind, int.from_bytes(data[:2])))

    server = await serve(lambda seen: Upgrade(seen, talk))
    async with transport(server).websocket(STREAM) as opened:
        waiting = asyncio.ensure_future(opened.receive())
        await asyncio.sleep(0)
    assert await seen_code == (Peer.CLOSE, 1000)
    with pytest.raises(StreamInterrupted, match="closed on this side"):
        await waiting
    for use in (opened.receive, lambda: opened.send("x")):
        with pytest.raises(UsageError, match="was closed"):
            await use()
    await opened.close()


async def test_a_peer_that_does_not_answer_the_closing(serve, transport, monkeypatch):
    monkeypatch.setattr(module, "_CLOSING", 0.1)
    over = asyncio.Event()

    async def talk(peer):
        while await peer.reader.read(100):
            pass
        over.set()

    server = await serve(lambda seen: Upgrade(seen, talk))
    async with transport(server).websocket(STREAM):
        pass
    await over.wait()


CUTS = {
    "end": lambda peer: asyncio.sleep(0),
    "reset": lambda peer: asyncio.sleep(0, peer.writer.transport.abort()),
    "no frame at all": lambda peer: peer.send(b"", 0x0F),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_cut_is_told_after_what_came_before(socket, cut):
    async def talk(peer):
        await peer.send("before")
        assert await peer.hear() == "go"
        await cut(peer)

    opened, _ = await socket(talk)
    assert await opened.receive() == "before"
    await opened.send("go")
    for _ in range(2):
        with pytest.raises(StreamInterrupted, match="the WebSocket was interrupted") as caught:
            await opened.receive()
        assert caught.value.path == "/stream/session/a%20b/execute"


async def test_silence_is_an_end(socket):
    async def talk(peer):
        while await peer.reader.read(100):  # takes the pings and says nothing
            pass

    opened, _ = await socket(talk, timeouts=Timeouts(silence=0.3))
    with pytest.raises(StreamInterrupted, match=r"no sign of life for 0.3 s \(timeouts.silence\)"):
        await opened.receive()


async def test_pongs_are_signs_of_life(socket):
    pings = 0

    async def talk(peer):
        nonlocal pings
        while pings < 6:  # twice the limit
            kind, data = await peer.frame()
            assert kind == peer.PING
            pings += 1
            await peer.send(data, peer.PONG)
        await peer.send("still here")
        await peer.reader.read()

    opened, _ = await socket(talk, timeouts=Timeouts(silence=0.6))
    assert await opened.receive() == "still here"
    assert pings == 6


async def test_pings_are_answered_although_nobody_reads(socket):
    answered = asyncio.Event()

    async def talk(peer):
        await peer.send(b"ho", peer.PING)
        assert await peer.frame() == (peer.PONG, b"ho")
        answered.set()
        await peer.reader.read()

    await socket(talk)
    await answered.wait()


async def test_a_slow_reader_is_no_silence_and_makes_the_server_wait(socket, monkeypatch):
    sent = 0

    async def talk(peer):
        nonlocal sent
        for _ in range(400):
            await peer.send(b"x" * 100_000)
            sent += 1
        await peer.reader.read()

    opened, _ = await socket(talk, timeouts=Timeouts(silence=0.2))
    await opened.receive()
    before = -1
    while sent != before:  # until the sender is stuck
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 400
    for _ in range(399):
        assert len(await opened.receive()) == 100_000


async def test_receive_may_be_cancelled(socket):
    go = asyncio.Event()

    async def talk(peer):
        await go.wait()
        await peer.send("kept")
        await peer.reader.read()

    opened, _ = await socket(talk)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await opened.receive()
    go.set()
    assert await opened.receive() == "kept"


REFUSALS = {
    "unknown": (problem(404, "object-not-found", "No such session."), SessionNotFound, "No such session"),
    "key": (problem(401, "auth-failed", "no"), AuthenticationError, "401"),
    "page": (Reply(400, b"<html>", {"content-type": "text/html"}), ProtocolError, "answered HTML"),
    "moved": (
        Reply(302, None, {"location": "http://elsewhere"}),
        ProtocolError,
        "redirects to http://elsewhere",
    ),
    "fine": (Reply(200, {}), ProtocolError, "status 200 instead of a WebSocket"),
}


@pytest.mark.parametrize(("answer", "kind", "text"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_a_typed_error(serve, transport, answer, kind, text):
    server = await serve(lambda seen: answer)
    with pytest.raises(kind, match=text):
        async with transport(server).websocket(STREAM):
            pass
    assert len(server.asked) == 1


async def test_a_wrong_handshake(serve, transport):
    async def talk(peer):
        await peer.reader.read()

    server = await serve(lambda seen: Upgrade(seen, talk, accept="nonsense"))
    with pytest.raises(ProtocolError, match="handshake went wrong: Invalid challenge"):
        async with transport(server).websocket(STREAM):
            pass


async def test_no_answer_to_the_handshake(serve, transport):
    server = await serve(lambda seen: asyncio.sleep(5, Reply()))
    with pytest.raises(RequestTimeout, match=r"timeouts\.request"):
        async with transport(server, timeouts=Timeouts(request=0.1)).websocket(STREAM):
            pass


async def test_a_lost_handshake_is_tried_again(serve, transport):
    answers = [RESET, problem(503, "service-unavailable"), None]
    server = await serve(lambda seen: answers.pop(0) or Upgrade(seen, echo))
    async with transport(server).websocket(STREAM) as opened:
        await opened.send("x")
        assert await opened.receive() == "x"
    assert len(server.asked) == 3


async def test_a_handshake_that_is_always_lost(serve, transport):
    server = await serve(lambda seen: RESET)
    with pytest.raises(ConnectionLost):
        async with transport(server).websocket(STREAM):
            pass


async def test_another_endpoint(serve, transport, closed_port):
    server = await serve(lambda seen: Upgrade(seen, echo))
    async with transport([closed_port, server.endpoint]).websocket(STREAM) as opened:
        await opened.send("x")
        assert await opened.receive() == "x"
    with pytest.raises(ConnectError):
        async with transport(closed_port).websocket(STREAM):
            pass


async def test_a_clock_that_differs(serve, transport):
    server = await serve(lambda seen: Upgrade(seen, echo), clock=timedelta(hours=2))
    async with transport(server).websocket(STREAM) as opened:
        await opened.send("x")
        assert await opened.receive() == "x"
    assert server.refused == ["date"]


async def test_closing_the_client_cuts_it(serve, transport):
    async def talk(peer):
        await peer.reader.read()

    server = await serve(lambda seen: Upgrade(seen, talk))
    made = transport(server)
    async with made.websocket(STREAM) as opened:
        await made.close()
        with pytest.raises(StreamInterrupted):
            await opened.receive()


async def test_a_loop_that_ends_with_an_open_socket(socket):
    """What asyncio.run() does to tasks that are left must not wait for ever."""

    async def talk(peer):
        for _ in range(100):
            await peer.send("x" * 1000)
        await peer.reader.read()

    opened, _ = await socket(talk)
    await opened.receive()
    opened._reader.cancel()
    await asyncio.wait([opened._reader, opened._pinger])
    assert await opened.receive() is not None
