"""Runs over a WebSocket, frame by frame: what is sent, how servers end, cuts, silence, refusals."""

from __future__ import annotations

import asyncio
import json

import pytest
from wire_manager import Peer, Reply, Upgrade, listing, problem

from backendai_sdk import (
    AgentError,
    BadRequest,
    DeadlineExceeded,
    ExecutionFailed,
    ExecutionTimeout,
    InputRequest,
    InvalidArgument,
    ServerError,
    SessionNotReady,
    Stdout,
    StreamInterrupted,
    Timeouts,
    UsageError,
    WireError,
    deadline,
)
from backendai_sdk._async import run as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk.models.session import SessionInfo

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
STREAM = f"GET /stream/session/{UUID}/execute"
INTERRUPT = f"POST /session/{UUID}/interrupt"


def frame(status, *console, exit_code=None, **options):
    return {
        "status": status,
        "console": [list(record) for record in console],
        "exitCode": exit_code,
        "options": options or None,
        "files": [],
    }


class Script:
    """A server whose WebSocket is *talk*; everything else is fine."""

    def __init__(self, talk, status):
        self.talk, self.status = talk, status
        self.interrupted = asyncio.Event()

    def __call__(self, seen):
        if seen.route == STREAM:
            return Upgrade(seen, self.talk) if callable(self.talk) else self.talk
        if seen.route == "POST /admin/gql":
            return listing({"id": UUID, "name": "work", "status": self.status, "status_info": None})
        if seen.route == INTERRUPT:
            self.interrupted.set()
        return Reply(204)


@pytest.fixture
def session(serve, client):
    """A session on a server with that WebSocket, and the server."""

    async def make(talk, status="RUNNING", **given):
        server = await serve(Script(talk, status), **given.pop("server", {}))
        api = await client(server, **given)
        return server, AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))

    return make


async def test_a_run_from_first_to_last(session):
    heard = []

    async def talk(peer):
        heard.append(json.loads(await peer.hear()))
        await peer.say(**frame("continued"))
        await peer.say(**frame("continued", ("stdout", "a"), ("stderr", "b")))
        await peer.say(**frame("waiting-input", ("stdout", "who? "), is_password=True))
        heard.append(await peer.hear())
        await peer.say(**frame("finished", ("stdout", "me"), exit_code=0))
        # Release 23.09 leaves the closing to the client.
        heard.append(await peer.frame())
        await peer.send(heard[-1][1], Peer.CLOSE)

    server, cs = await session(talk)
    result = await cs.execute("code", stdin=['{"mode": "input"}'], transport="websocket")
    assert (result.stdout, result.stderr, result.exit_code) == ("awho? me", "b", 0)
    assert InputRequest(is_password=True) in result.outputs
    assert result.run_id == ""
    assert heard == [
        {"mode": "query", "code": "code", "options": {}},
        '{"mode": "input"}',  # bare text, whatever it looks like
        (Peer.CLOSE, (1000).to_bytes(2)),
    ]
    assert server.routes == [STREAM]


async def test_a_server_that_closes_after_the_end(session):
    async def talk(peer):
        await peer.hear()
        await peer.say(**frame("finished", exit_code=3))
        await peer.close()

    _, cs = await session(talk)
    assert (await cs.execute("code", transport="websocket")).exit_code == 3


async def test_a_batch(session):
    async def talk(peer):
        options = json.loads(await peer.hear())["options"]
        assert (options["clean"], options["build"]) == (None, "*")
        await peer.say(**frame("clean-finished", exit_code=0))
        await peer.say(**frame("continued", ("stdout", "building")))
        await peer.say(**frame("build-finished", exit_code=1))
        await peer.say(**frame("finished", exit_code=127))
        await peer.close()

    _, cs = await session(talk)
    with pytest.raises(ExecutionFailed, match="exited with 127") as caught:
        await cs.execute_batch(build="*", exec="./x", check=True, transport="websocket")
    assert caught.value.result.steps == {"clean": 0, "build": 1, "exec": 127}


async def cut(peer):
    peer.writer.transport.abort()


async def hang(peer):
    while await peer.reader.read(100):
        pass


async def restart(peer):
    await peer.say(status="server-restarting", msg="in a minute")
    await peer.close()


ENDS = {
    "closed": (lambda peer: peer.close(), r"closed the WebSocket \(code 1000\)"),
    "going away": (lambda peer: peer.close(1001), r"closed the WebSocket \(code 1001\)"),
    "too large": (lambda peer: peer.close(1009), r"code 1009"),
    "cut": (cut, "interrupted"),
    "silent": (hang, r"said nothing for 0.4 s|no sign of life"),
    "restart": (restart, "the server ends the stream: in a minute"),
}


@pytest.mark.parametrize(("end", "said"), ENDS.values(), ids=ENDS)
async def test_a_run_without_its_end_is_an_error_with_what_was_received(session, end, said):
    async def talk(peer):
        await peer.hear()
        await peer.say(**frame("continued", ("stdout", "before")))
        await end(peer)

    _, cs = await session(talk, timeouts=Timeouts(silence=0.4))
    with pytest.raises(StreamInterrupted, match=said) as caught:
        await cs.execute("code", transport="websocket")
    assert "the run in work was cut" in str(caught.value)
    assert caught.value.received == (Stdout("before"),)
    assert caught.value.path == f"/stream/session/{UUID}/execute"
    assert len(caught.value.attempts) == 1


async def test_a_cut_before_the_first_answer(session):
    async def talk(peer):
        await peer.hear()
        await cut(peer)

    server, cs = await session(talk)
    with pytest.raises(StreamInterrupted) as caught:
        await cs.execute("code", transport="websocket")
    assert caught.value.received == ()
    # The code may have run: it is not sent again.
    assert server.routes == [STREAM]


async def test_pongs_are_no_answers(session):
    """A manager that lives but has forgotten the run."""

    async def talk(peer):
        await peer.hear()
        while True:
            kind, data = await peer.frame()
            if kind == Peer.PING:
                await peer.send(data, Peer.PONG)

    _, cs = await session(talk, timeouts=Timeouts(silence=0.4))
    with pytest.raises(StreamInterrupted, match="said nothing for 0.4 s"):
        await cs.execute("code", transport="websocket")


async def test_while_a_person_thinks_the_connection_stays(session, monkeypatch):
    pings = 0
    asked = asyncio.Event()

    async def talk(peer):
        nonlocal pings
        await peer.hear()
        await peer.say(**frame("waiting-input"))
        while (got := await peer.frame())[0] == Peer.PING:
            pings += 1
            await peer.send(got[1], Peer.PONG)
            if pings == 6:
                asked.set()
        await peer.say(**frame("finished", ("stdout", got[1].decode()), exit_code=0))
        await peer.close()

    _, cs = await session(talk, timeouts=Timeouts(silence=0.6))

    async def think(prompt):
        await asked.wait()  # for twice the limit of silence
        return "42"

    assert (await cs.execute("code", stdin=think, transport="websocket")).stdout == "42"


ODD = {
    "no json": "nonsense",
    "no status": "{}",
    "unknown status": json.dumps(frame("dancing")),
    "a step in a query": json.dumps(frame("clean-finished", exit_code=0)),
    "a console that is none": json.dumps(frame("finished") | {"console": "text"}),
    "binary": b"\xff\xfe",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_odd_frames(session, odd):
    async def talk(peer):
        await peer.hear()
        await peer.send(odd)
        await hang(peer)

    _, cs = await session(talk)
    with pytest.raises(WireError, match="execution|console|step"):
        await cs.execute("code", transport="websocket")


SAID_NO = {
    "bad mode": ("BackendError: <InvalidStreamMode(400): (mode has an invalid value.)>", BadRequest),
    "agent": ("BackendError: <KernelExecutionFailed(500): agent-timeout>", AgentError),
    "anything": ("BackendError: who knows", ServerError),
}


@pytest.mark.parametrize(("said", "kind"), SAID_NO.values(), ids=SAID_NO)
async def test_error_frames(session, said, kind):
    async def talk(peer):
        await peer.hear()
        await peer.say(status="error", msg=said)
        await peer.close()

    _, cs = await session(talk)
    with pytest.raises(kind):
        await cs.execute("code", transport="websocket")
    _, cs = await session(talk, status="TERMINATED")
    with pytest.raises(SessionNotReady if issubclass(kind, ServerError) else kind):
        await cs.execute("code", transport="websocket")


@pytest.mark.parametrize(
    ("status", "advice"), [("PENDING", r"wait\(\) for it first"), ("TERMINATED", "create another one")]
)
async def test_a_session_that_does_not_run(session, status, advice):
    _, cs = await session(problem(404, "object-not-found", "No such session."), status=status)
    with pytest.raises(SessionNotReady, match=f"the session work is {status}: .*{advice}"):
        await cs.execute("code", transport="websocket")


async def test_leaving_early_interrupts_and_drains(session):
    async def talk(peer):
        await peer.hear()
        await peer.say(**frame("continued", ("stdout", "a"), ("stdout", "b")))
        await server.script.interrupted.wait()
        await peer.say(**frame("finished", ("stdout", "c"), exit_code=0))
        await peer.close()

    server, cs = await session(talk)
    async with cs.stream_execute("code", transport="websocket") as run:
        assert await anext(run) == Stdout("a")
    assert server.routes.count(INTERRUPT) == 1
    assert run.unread[:2] == (Stdout("b"), Stdout("c"))


async def test_code_that_heeds_no_interrupt_keeps_its_turn_until_it_ends(session, monkeypatch, caplog):
    monkeypatch.setattr(module, "_DRAIN", 0.2)
    go = asyncio.Event()
    talks = []

    async def talk(peer):
        talks.append(await peer.hear())
        if len(talks) == 1:
            await peer.say(**frame("continued", ("stdout", "a")))
            await go.wait()
        await peer.say(**frame("finished", ("stdout", "end"), exit_code=0))
        await peer.close()

    _, cs = await session(talk)
    async with cs.stream_execute("code", transport="websocket") as run:
        await anext(run)
    assert "did not end within" in caplog.text
    with pytest.raises(ExecutionTimeout, match="earlier runs"):
        await cs.execute("next", timeout=0.1, transport="websocket")
    assert len(talks) == 1
    go.set()
    assert (await cs.execute("next", transport="websocket")).stdout == "end"
    assert run.finished is False  # nobody has read the rest
    assert run.unread[0] == Stdout("end")


async def test_a_time_limit_interrupts(session):
    async def talk(peer):
        await peer.hear()
        await peer.say(**frame("continued", ("stdout", "a")))
        while not server.script.interrupted.is_set():
            await peer.say(**frame("continued"))
            await asyncio.sleep(0.02)
        await peer.say(**frame("finished", exit_code=0))
        await peer.close()

    server, cs = await session(talk)
    with pytest.raises(ExecutionTimeout) as caught:
        await cs.execute("code", timeout=0.2, transport="websocket")
    assert Stdout("a") in caught.value.outputs


async def test_a_deadline_does_not_lose_the_run(session):
    go = asyncio.Event()

    async def talk(peer):
        await peer.hear()
        await go.wait()
        await peer.say(**frame("finished", ("stdout", "kept"), exit_code=0))
        await peer.close()

    _, cs = await session(talk)
    async with cs.stream_execute("code", transport="websocket") as run:
        with deadline(0.3), pytest.raises(DeadlineExceeded):
            await anext(run)
        go.set()
        assert await anext(run) == Stdout("kept")
        async for _ in run:
            pass
    assert run.result().exit_code == 0


async def test_a_run_that_broke_stays_broken(session):
    async def talk(peer):
        await peer.hear()
        await cut(peer)

    _, cs = await session(talk)
    async with cs.stream_execute("code", transport="websocket") as run:
        for _ in range(2):
            with pytest.raises(StreamInterrupted):
                await anext(run)
        with pytest.raises(UsageError, match="not over"):
            run.result()


async def test_an_unknown_transport(session):
    server, cs = await session(hang)
    for call in (
        lambda: cs.execute("1", transport="pigeon"),
        lambda: cs.execute_batch(exec="ls", transport="pigeon"),
    ):
        with pytest.raises(InvalidArgument, match="'pigeon' is neither 'rest' nor 'websocket'") as caught:
            await call()
        assert caught.value.argument == "transport"
    with pytest.raises(InvalidArgument):
        cs.stream_execute("1", transport="pigeon")
    assert server.seen == []
