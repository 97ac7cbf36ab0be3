"""Runs over REST whose connection breaks: everything is told once, or the error says what was received."""

from __future__ import annotations

import asyncio
import json
import random

import aiohttp
import pytest
from wire_manager import HANG, RESET, Reply, problem

from backendai_sdk import (
    AgentError,
    ConnectError,
    ConnectionLost,
    InvalidArgument,
    ProtocolError,
    RetryPolicy,
    ServiceUnavailable,
    SessionNotFound,
    Stdout,
    StepFinished,
    StreamInterrupted,
    Timeouts,
)
from backendai_sdk._async import _run_rest as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk._transport.mapping import mapped
from backendai_sdk._wire.request import Request
from backendai_sdk.models.session import SessionInfo

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
RUN = f"POST /session/{UUID}"
LOST = {"status": "finished", "exitCode": 130, "options": {}, "console": []}


class Agent:
    """Runs of numbered pieces, each of which is given once, whatever becomes of the answer.

    Attributes:
        faults: by number of the request: what is done with the answer instead of sending it, and whether the request
            gets as far as the agent.
    """

    def __init__(self, pieces: list[str], faults: dict[int, tuple[object, bool]] | None = None) -> None:
        self.pieces, self.given = pieces, 0
        self.faults = faults or {}
        self.asked: list[dict] = []
        self.lost: list[str] = []
        self.run_id = ""

    def __call__(self, seen):
        if seen.route != RUN:
            return Reply(204)
        number = len(self.asked)
        self.asked.append(seen.json)
        self.run_id = self.run_id or seen.json["runId"]
        fault, arrives = self.faults.get(number, (None, True))
        if not arrives:
            return fault
        answer = Reply(200, {"result": self._take(seen.json["runId"])})
        if fault is None:
            return answer
        self.lost.append(answer.body["result"]["console"][0][1] if answer.body["result"]["console"] else "")
        return self._cut(answer, fault) if isinstance(fault, float) else fault

    def _take(self, run_id):
        if run_id != self.run_id or self.given > len(self.pieces):
            return LOST
        self.given += 1
        if self.given > len(self.pieces):
            return {"status": "finished", "exitCode": 0, "options": None, "console": []}
        piece = self.pieces[self.given - 1]
        return {"status": "continued", "exitCode": None, "options": None, "console": [["stdout", piece]]}

    async def _cut(self, reply, where):
        """The answer up to some byte, and then a reset."""
        body = json.dumps(reply.body).encode()
        whole = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % len(body)
            + body
        )
        yield whole[: int(where * len(whole))]
        raise ConnectionResetError


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.1)


@pytest.fixture
def session(serve, client):
    """A session whose runs are of some pieces, the script, and the server."""

    async def make(pieces, faults=None, **given):
        server = await serve(Agent(pieces, faults))
        api = await client(server, **given)
        cs = AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))
        return cs, server.script, server

    return make


def texts(items):
    return [item.text for item in items if isinstance(item, Stdout)]


PIECES = [f"<{n}>" for n in range(6)]

NOTHING_TAKEN = {
    "not ready": problem(503, "service-unavailable"),
    "frozen": problem(503, "server-frozen"),
    "too many": problem(429, "rate-limit-exceeded"),
}


@pytest.mark.parametrize("fault", NOTHING_TAKEN.values(), ids=NOTHING_TAKEN)
async def test_a_server_that_has_taken_nothing_is_asked_again(session, fault):
    faults = dict.fromkeys((2, 3, 4, 5, 6, 9), (fault, False))
    cs, script, _ = await session(PIECES, faults, retry=RetryPolicy(max_attempts=2, base=0.01, cap=0.01))
    result = await cs.execute("code")
    assert texts(result.outputs) == PIECES
    assert result.ok
    assert {body["runId"] for body in script.asked} == {result.run_id}
    assert [body["mode"] for body in script.asked] == ["query"] + ["continue"] * (len(script.asked) - 1)


def goes_away(server, *, after):
    """From its answer to that request of a run on, the server takes no connection."""
    script = server.script

    def answer(seen):
        reply = script(seen)
        if len(script.asked) == after:
            server._server.close()
        return reply

    server.script = answer


async def test_a_server_that_is_away_for_a_while(session):
    cs, _script, server = await session(PIECES)
    port = server._server.sockets[0].getsockname()[1]
    goes_away(server, after=2)
    async with cs.stream_execute("code") as run:
        seen = [await anext(run), await anext(run)]
        going = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.3)
        assert not going.done()
        server._server = await asyncio.start_server(server._accept, "127.0.0.1", port)
        seen += [await going] + [item async for item in run]
    assert texts(seen) == PIECES


async def test_a_server_that_stays_away(session):
    cs, _script, server = await session(PIECES, timeouts=Timeouts(silence=0.3))
    goes_away(server, after=1)
    async with cs.stream_execute("code") as run:
        await anext(run)
        with pytest.raises(
            StreamInterrupted, match=r"for 0\.3 s \(timeouts\.silence\).*cannot connect"
        ) as caught:
            await anext(run)
    assert (caught.value.run_id, caught.value.received) == (run.run_id, (Stdout("<0>"),))
    assert f"resume('{run.run_id}')" in str(caught.value)


MAY_HAVE_TAKEN = {
    "reset": (RESET, ConnectionError),
    "bad gateway": (problem(502, "bad-gateway"), ServiceUnavailable),
    "a proxy's 503": (Reply(503, b"upstream reset", {"content-type": "text/plain"}), ServiceUnavailable),
    "gateway timeout": (Reply(504, b"", {"content-type": "text/plain"}), ServiceUnavailable),
    "agent failure": (problem(500, "kernel-execution-failed"), AgentError),
    "HTML": (Reply(200, b"<html>", {"content-type": "text/html"}), ProtocolError),
    "session gone": (problem(404, "object-not-found", "No such session."), SessionNotFound),
}


@pytest.mark.parametrize(("fault", "kind"), MAY_HAVE_TAKEN.values(), ids=MAY_HAVE_TAKEN)
async def test_a_poll_that_may_have_taken_something_is_not_repeated(session, fault, kind):
    cs, script, _ = await session(PIECES, {2: (fault, True)})
    with pytest.raises(StreamInterrupted, match="was cut") as caught:
        await cs.execute("code")
    assert texts(caught.value.received) == PIECES[:2]
    assert len(script.asked) == 3
    assert caught.value.run_id == script.run_id
    if kind is not ConnectionError:
        assert isinstance(caught.value.__cause__, kind)


async def test_a_poll_that_is_never_answered_says_which_limit_ran_out(session):
    cs, _, _ = await session(PIECES, {1: (HANG, True)}, timeouts=Timeouts(silence=0.8))
    with pytest.raises(StreamInterrupted, match=r"0\.8 s \(timeouts\.silence\)"):
        await cs.execute("code")
    cs, _, _ = await session(PIECES, {1: (HANG, True)}, timeouts=Timeouts(request=0.8))
    with pytest.raises(StreamInterrupted, match=r"0\.8 s \(timeouts\.request\)"):
        await cs.execute("code")


@pytest.mark.parametrize("seed", range(40))
async def test_cuts_at_random_bytes(session, seed):
    """Every byte once, or an error that has what was received; what is resumed goes on without doubles."""
    rng = random.Random(seed)
    pieces = [f"<{n}>" + "ü" * rng.randrange(200) for n in range(10)]
    faults = {}
    for n in range(1, 40):
        kind = rng.random()
        if kind < 0.12:
            faults[n] = (rng.random(), True)
        elif kind < 0.3:
            faults[n] = (rng.choice(list(NOTHING_TAKEN.values())), False)
    cs, script, _ = await session(pieces, faults)
    received: list[str] = []
    run = cs.stream_execute("code")
    for _ in range(30):
        try:
            async with run:
                async for item in run:
                    received += texts([item])
            break
        except StreamInterrupted as exc:
            if script.given > len(pieces):
                break  # it was the end that got lost
            run = cs.resume(exc.run_id)
    assert {body["runId"] for body in script.asked} == {script.run_id}
    assert received == [p for p in pieces if p not in script.lost]
    assert bool(script.lost) == any(f[1] for n, f in faults.items() if n < len(script.asked))


async def test_a_whole_answer_before_the_reset_is_an_answer(session):
    cs, _script, _ = await session(PIECES, {2: (1.0, True)})
    assert texts((await cs.execute("code")).outputs) == PIECES


@pytest.mark.parametrize(
    ("said", "request_", "kind"),
    [
        ("Cannot write to closing transport", Request(method="POST", path="/x", json={}), ConnectError),
        ("Connection lost", Request(method="POST", path="/x", json={}), ConnectionLost),
        ("Cannot write to closing transport", Request(method="POST", path="/x"), ConnectionLost),
    ],
)
def test_a_request_that_was_never_written(said, request_, kind):
    """As aiohttp raises it for a connection that the server has closed just before."""
    with pytest.raises(kind), mapped(request_, 1.0):
        raise aiohttp.ClientOSError(
            None, "Can not write request body"
        ) from aiohttp.ClientConnectionResetError(said)


# --- resuming ---------------------------------------------------------------------------------------------


async def test_a_run_is_resumed_by_another_program(session):
    cs, script, _ = await session(PIECES)
    left = cs.stream_execute("code")
    await left.__aenter__()
    assert [await anext(left), await anext(left)] == [Stdout("<0>"), Stdout("<1>")]
    # The run is asked for ahead, so the program takes with it what it has not read yet.
    while len(script.asked) < 4:
        await asyncio.sleep(0.01)
    await left._channel.close()
    again = AsyncComputeSession(cs._client, cs.info)
    again._run_lock = asyncio.Lock()  # as in another process
    async with again.resume(left.run_id) as run:
        items = [item async for item in run]
    assert texts(items) == PIECES[4:]
    result = run.result()
    assert (result.run_id, result.exit_code, result.steps) == (left.run_id, 0, {})
    assert {body["mode"] for body in script.asked[4:]} == {"continue"}


async def test_a_run_that_the_server_does_not_know(session):
    cs, script, _ = await session(PIECES)
    script.run_id = "another"
    with pytest.raises(StreamInterrupted, match="does not know the run any more") as caught:
        async with cs.resume("no-such-run") as run:
            await anext(run)
    assert caught.value.run_id == "no-such-run"
    assert "resume(" not in str(caught.value)


@pytest.mark.parametrize("run_id", ["", None, 7])
async def test_what_is_no_run_id(session, run_id):
    cs, script, _ = await session(PIECES)
    with pytest.raises(InvalidArgument, match="run_id: .*WebSocket"):
        cs.resume(run_id)
    assert script.asked == []


async def test_a_batch_is_resumed_with_its_steps(session):
    token = "0123456789abcdef"
    mark = f"\x1e{token} %s %d\x1e"
    pieces = [
        "out",
        mark % ("build", 0) + "more" + (mark % ("exec", 3))[:9],
        (mark % ("exec", 3))[9:] + "\x1e?",
    ]
    cs, script, _ = await session(pieces)
    script.run_id = "run"
    async with cs.resume("run") as run:
        items = [item async for item in run]
    assert texts(items) == ["out", "more", "\x1e?"]
    assert [i for i in items if isinstance(i, StepFinished)] == [StepFinished("build", 0)]
    assert run.result().steps == {"build": 0, "exec": 0}
