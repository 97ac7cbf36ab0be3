"""A forwarded port against a scripted proxy: refusals, cuts, half-closed connections, and what is asked for."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from wire_manager import Peer, Reply, Upgrade, listing, problem

from backendai_sdk import AgentError, AppNotFound, ConnectError, ServiceUnavailable, StreamInterrupted
from backendai_sdk._async import _tunnel

APPS = [
    {"name": "web", "protocol": "http", "ports": [8080]},
    {"name": "ttyd", "protocol": "http", "ports": [7681]},
]
ID = "0b6ee4f2-0000-4000-8000-000000000001"
ROW = {"id": ID, "name": "scripted", "status": "RUNNING", "status_info": None}


@pytest.fixture
def session(serve, client):
    """A session of a scripted manager, whose proxy does what *talk* says."""

    async def make(talk=None, *, apps=APPS, version=None, others=None):
        def script(seen):
            target = seen.target.partition("?")[0]
            if others is not None and (answer := others(seen)) is not None:
                return answer
            if target.endswith("/apps"):
                return Reply(200, apps)
            if target.endswith(("/tcpproxy", "/pty")):
                return Upgrade(seen, talk)
            return listing(ROW)

        server = await serve(script, version=version)
        api = await client(server)
        return await api.get(ID), server

    return make


def once(talk):
    """The first connection is the forward's own look whether there can be one; *talk* gets the later ones."""
    seen = []

    async def choose(peer):
        seen.append(peer)
        if len(seen) == 1:
            with pytest.raises(asyncio.IncompleteReadError):
                await peer.close()
                await peer.reader.readexactly(1)
        else:
            await talk(peer)

    return choose


async def connect(forward):
    return await asyncio.open_connection("127.0.0.1", forward.port)


async def test_what_is_asked_for(session):
    async def talk(peer):
        kind, data = await peer.frame()
        assert kind == Peer.BINARY
        await peer.send(data[::-1])
        await peer.send("text is not part of the connection")
        await peer.send(b"!")
        await peer.close(1001)

    cs, server = await session(once(talk))
    async with cs.forward_port("web", port=8080, env={"A": "b c"}, args={"--x": None}) as forward:
        reader, writer = await connect(forward)
        writer.write(b"abc")
        assert await reader.read() == b"cba!"
        writer.close()
        assert forward.last_error is None
    query = parse_qs(urlsplit(server.asked[-1].target).query)
    assert query["app"] == ["web"] and query["port"] == ["8080"]
    assert json.loads(query["envs"][0]) == {"A": "b c"}
    assert json.loads(query["arguments"][0]) == {"--x": None}
    assert not server.refused  # signed, query and all


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [(1013, ConnectError, "nothing listens"), (1011, StreamInterrupted, "lost its connection")],
)
async def test_codes_that_say_that_the_app_cannot_be_reached(session, code, kind, said):
    async def talk(peer):
        await peer.send(b"a part")
        await peer.close(code)

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        with pytest.raises(ConnectionResetError):  # a part must not pass for the whole
            while await reader.read(100):
                pass
        writer.close()
        while forward.connections:
            await asyncio.sleep(0.01)
        assert isinstance(forward.last_error, kind)
        assert said in str(forward.last_error)


NEW = {"version": "v9.20250722", "manager": "26.9.6"}


async def test_a_cut_is_the_end_where_servers_say_no_other(session):
    """23.09 ends a connection without a closing frame: the local end must get all of it, and then the end."""

    async def talk(peer):
        await peer.send(b"x" * 1_000_000)

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        await asyncio.sleep(0.2)  # it arrives while nobody reads
        assert await reader.read() == b"x" * 1_000_000
        writer.close()
        assert forward.last_error is None


async def test_a_cut_before_the_first_word_is_a_refusal(session):
    async def talk(peer):
        pass

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert isinstance(forward.last_error, ConnectError)


async def test_a_proxy_that_is_silent(session):
    async def talk(peer):
        await peer.send(b"a part")
        await asyncio.sleep(3600)  # not even pongs

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        with pytest.raises(ConnectionResetError):
            while await reader.read(100):
                pass
        writer.close()
        assert "timeouts.silence" in str(forward.last_error)


async def test_a_proxy_that_is_cut(session):
    async def talk(peer):
        await peer.send(b"a part")
        peer.writer.transport.abort()

    cs, _ = await session(once(talk), version=NEW)
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        with pytest.raises(ConnectionResetError):
            while await reader.read(100):
                pass
        writer.close()
        while forward.connections:
            await asyncio.sleep(0.01)
        assert isinstance(forward.last_error, StreamInterrupted)


async def test_the_answer_to_a_half_closed_connection_may_take_its_time(session, monkeypatch):
    monkeypatch.setattr(_tunnel, "LINGER", 0.5)

    async def talk(peer):
        assert (await peer.frame())[1] == b"all of it"
        for _ in range(4):
            await asyncio.sleep(0.2)
            await peer.send(b".")
        await peer.close(1001)

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        reader, writer = await connect(forward)
        writer.write(b"all of it")
        writer.write_eof()
        assert await reader.read() == b"...."
        writer.close()


async def test_a_local_end_that_has_gone_is_not_kept_for_ever(session, monkeypatch):
    monkeypatch.setattr(_tunnel, "LINGER", 0.2)

    async def talk(peer):
        assert (await peer.frame())[0] == Peer.CLOSE  # and nothing is said before
        await peer.send(b"\x03\xe8", Peer.CLOSE)

    cs, _ = await session(once(talk))
    async with cs.forward_port("web") as forward:
        _, writer = await connect(forward)
        writer.close()
        while not forward.connections:
            await asyncio.sleep(0.01)
        while forward.connections:
            await asyncio.sleep(0.01)
        assert forward.last_error is None


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            problem(500, "internal-server-error", "Internal server error.", msg="Failed to launch the app service",
                    data="TimeoutError (unknown)"),
            AgentError,
            "'web' could not be started in the session: TimeoutError",
        ),
        (problem(404, "object-not-found", "No such app service.", msg="scripted:web"), AppNotFound, "No such app"),
        (problem(503, "server-frozen", "The server is frozen."), ServiceUnavailable, "frozen"),
    ],
)  # fmt: skip
async def test_refusals_before_the_upgrade(session, answer, kind, said):
    cs, _ = await session(others=lambda seen: answer if "/tcpproxy" in seen.target else None)
    with pytest.raises(kind, match=said):
        async with cs.forward_port("web"):
            pass


async def test_a_cluster_without_an_app_proxy(session):
    gone = problem(
        503,
        "service-unavailable",
        "Serivce unavailable.",
        msg="No coordinator configured for this resource group",
    )
    cs, _ = await session(
        others=lambda seen: gone if seen.method == "POST" and "start-service" in seen.target else None
    )
    with pytest.raises(ServiceUnavailable) as caught:
        await cs.start_app("web")
    assert "forward_port() does without" in caught.value.__notes__[0]


async def test_stopping_says_the_name_in_both_places(session):
    cs, server = await session(others=lambda seen: Reply(204) if "shutdown-service" in seen.target else None)
    await cs.stop_app("web")
    seen = server.asked[-1]
    assert parse_qs(urlsplit(seen.target).query) == {"service_name": ["web"]}
    assert seen.json == {"service_name": "web"}


# --- the server's own terminal, on the releases where it works --------------------------------------------


async def test_the_own_terminal_of_a_server(session):
    typed = []

    async def talk(peer):
        typed.append(json.loads(await peer.hear()))
        await peer.send(json.dumps({"type": "out", "data": base64.b64encode(b"text ").decode()}))
        await peer.send(json.dumps({"type": "pong"}))
        await peer.send(json.dumps({"type": "out", "data": base64.b64encode(b"\xff").decode()}).encode())
        typed.extend([json.loads(await peer.hear()) for _ in range(2)])
        await peer.close()

    cs, _ = await session(talk, version={"version": "v8.20240915", "manager": "25.10.1"}, apps=APPS[:1])
    async with cs.pty(rows=30, cols=90) as terminal:
        assert terminal.via == "server"
        assert [await anext(terminal), await anext(terminal)] == [b"text ", b"\xff"]
        await terminal.send(b"ls\r")
        await terminal.resize(10, 20)
        assert [data async for data in terminal] == []
    assert typed == [
        {"type": "resize", "rows": 30, "cols": 90},
        {"type": "stdin", "chars": base64.b64encode(b"ls\r").decode()},
        {"type": "resize", "rows": 10, "cols": 20},
    ]


async def test_a_ttyd_that_does_not_answer_as_one(session):
    async def talk(peer):
        await peer.frame()
        await peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await peer.frame()

    cs, _ = await session(talk)
    with pytest.raises(StreamInterrupted, match="the app in the session did not answer"):
        async with cs.pty():
            pass
