"""The run loop over the real transport: odd answers, polls that are lost, and what is sent."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from wire_manager import HANG, RESET, Reply, listing, problem

from backendai_sdk import (
    AgentError,
    DeadlineExceeded,
    ExecutionFailed,
    ExecutionTimeout,
    InputRequest,
    InvalidArgument,
    ProtocolError,
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
RUN = f"POST /session/{UUID}"


def said(status: str, *console: tuple[str, object], exit_code: int | None = None, **options: object) -> Reply:
    result = {"status": status, "runId": "x", "exitCode": exit_code, "options": options or None, "files": []}
    return Reply(200, {"result": result | {"console": [list(record) for record in console]}})


END = said("finished", exit_code=0)


class Script:
    """Answers of the run loop, one after the other; everything else is fine."""

    def __init__(self, *answers, status="RUNNING"):
        self.answers = list(answers)
        self.status = status

    def __call__(self, seen):
        if seen.route == RUN:
            return self.answers.pop(0)
        if seen.route == "POST /admin/gql":
            return listing({"id": UUID, "name": "work", "status": self.status, "status_info": None})
        return Reply(204)


@pytest.fixture
def session(serve, client):
    """A session on a scripted server, and the server."""

    async def make(*answers, status="RUNNING", **given):
        server = await serve(Script(*answers, status=status), **given.pop("server", {}))
        api = await client(server, **given)
        return server, AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))

    return make


def runs(server):
    return [s.json for s in server.asked if s.route == RUN]


async def test_a_run_from_first_to_last(session):
    server, cs = await session(
        said("continued"),
        said("continued", ("stdout", "a"), ("stderr", "b")),
        said("waiting-input", ("stdout", "who? "), is_password=True),
        said("finished", ("stdout", "me"), exit_code=0),
    )
    result = await cs.execute("code", stdin=["me"])
    assert (result.stdout, result.stderr, result.exit_code) == ("awho? me", "b", 0)
    assert InputRequest(is_password=True) in result.outputs
    bodies = runs(server)
    assert [b["mode"] for b in bodies] == ["query", "continue", "continue", "input"]
    assert [b["code"] for b in bodies] == ["code", "", "", "me"]
    # Releases differ in the name that they read.
    assert {b["runId"] for b in bodies} == {b["run_id"] for b in bodies} == {result.run_id}
    assert all(b["options"] == {} for b in bodies)


async def test_a_batch(session):
    server, cs = await session(
        said("clean-finished", exit_code=0),
        said("continued", ("stdout", "building")),
        said("build-finished", exit_code=1),
        said("finished", exit_code=127),
    )
    with pytest.raises(ExecutionFailed, match="exited with 127") as caught:
        await cs.execute_batch(build="*", exec="./x", check=True)
    assert caught.value.result.steps == {"clean": 0, "build": 1, "exec": 127}
    bodies = runs(server)
    assert [b["mode"] for b in bodies] == ["batch", "continue", "continue", "continue"]
    assert bodies[0]["options"] == {"clean": None, "build": "*", "exec": "./x"}
    assert all(b["options"] == {} for b in bodies[1:])


LOST = {
    "reset": RESET,
    "closed": b"",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    "silence": HANG,
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
async def test_a_lost_poll_is_told_with_what_was_received(session, answer):
    server, cs = await session(
        said("continued", ("stdout", "before")), answer, timeouts=Timeouts(request=0.8)
    )
    with pytest.raises(StreamInterrupted, match=r"the run [0-9a-f]{32} was cut: ") as caught:
        await cs.execute("code")
    assert caught.value.received == (Stdout("before"),)
    assert caught.value.path == f"/session/{UUID}"
    assert len(caught.value.attempts) == 1
    # A poll that may have been answered is not sent again: its output would be lost without a word.
    assert len(runs(server)) == 2


async def test_a_throttled_poll_is_sent_again(session):
    server, cs = await session(
        said("continued", ("stdout", "a")),
        problem(429, "rate-limit-exceeded"),
        said("finished", ("stdout", "b")),
    )
    assert (await cs.execute("code")).stdout == "ab"
    assert len(runs(server)) == 3


ODD = {
    "no result": Reply(200, {}),
    "nothing": Reply(204),
    "unknown status": said("dancing"),
    "a console that is none": Reply(200, {"result": {"status": "finished", "console": "text"}}),
    "a list": Reply(200, [1]),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_odd_answers(session, answer):
    _, cs = await session(said("continued", ("stdout", "a")), answer)
    with pytest.raises(WireError, match="execution|console"):
        await cs.execute("code")


async def test_html_in_a_run(session):
    _, cs = await session(Reply(200, b"<html>sign in", {"content-type": "text/html"}))
    with pytest.raises(ProtocolError, match="answered HTML"):
        await cs.execute("code")


async def test_an_agent_that_fails(session):
    details = {"title": "agent-timeout"}
    _, cs = await session(problem(500, "kernel-execution-failed", **{"agent-details": details}))
    with pytest.raises(AgentError, match="agent-timeout") as caught:
        await cs.execute("code")
    assert caught.value.agent_details == details


@pytest.mark.parametrize(
    ("status", "advice"), [("PENDING", r"wait\(\) for it first"), ("TERMINATED", "create another one")]
)
async def test_a_session_that_does_not_run(session, status, advice):
    _, cs = await session(problem(404, "object-not-found", "No such session."), status=status)
    with pytest.raises(SessionNotReady, match=f"the session work is {status}: .*{advice}"):
        await cs.execute("code")


async def test_the_lock_is_free_after_every_end(session):
    """A run that fails leaves the session usable, whatever it failed of."""
    _, cs = await session(RESET, ODD["a list"], problem(500, "kernel-execution-failed"), END)
    for kind in (StreamInterrupted, WireError, AgentError):
        with pytest.raises(kind):
            await cs.execute("code")
    assert (await asyncio.wait_for(cs.execute("code"), 5)).ok


async def test_leaving_early_interrupts_and_drains(session):
    server, cs = await session(
        said("continued", ("stdout", "a"), ("stdout", "b")),
        said("continued"),
        said("finished", ("stdout", "c")),
    )
    async with cs.stream_execute("code") as run:
        assert await anext(run) == Stdout("a")
    assert f"POST /session/{UUID}/interrupt" in server.routes
    assert run.unread[0] == Stdout("b")
    assert [b["mode"] for b in runs(server)] == ["query", "continue", "continue"]


async def test_input_that_nobody_gives(session):
    server, cs = await session(said("waiting-input", ("stdout", "who? ")), END)
    with pytest.raises(UsageError, match=r"asks for input \('who\? '\).*pass stdin="):
        await cs.execute("code")
    assert [b["mode"] for b in runs(server)] == ["query", "input"]


async def test_a_batch_whose_end_the_server_never_tells(session):
    """All steps that have a command have ended: nothing but the end can come, and it does not."""
    _, cs = await session(
        said("clean-finished", exit_code=0),
        said("build-finished", ("stdout", "built"), exit_code=0),
        *[said("continued")] * 50,
        timeouts=Timeouts(silence=0.5),
    )
    with pytest.raises(StreamInterrupted, match=r"for 0\.5 s \(timeouts\.silence\) no command") as caught:
        await cs.execute_batch(build="*")
    assert Stdout("built") in caught.value.received


async def test_a_batch_whose_beginning_the_server_has_lost(session):
    """Where agents lose output, all steps are one command, which tells of its beginning."""
    server, cs = await session(
        said("clean-finished", exit_code=0),
        said("build-finished", exit_code=0),
        *[said("continued")] * 50,
        timeouts=Timeouts(silence=0.5),
        server={"version": {"version": "v9.20250722", "manager": "26.8.1"}},
    )
    with pytest.raises(StreamInterrupted, match="no command has been under way"):
        await cs.execute_batch(exec="./x")
    assert "./x" in runs(server)[0]["options"]["exec"]


@pytest.mark.parametrize("tells", [True, False], ids=["tells", "lost"])
async def test_a_batch_is_not_interrupted_before_it_has_begun(serve, client, monkeypatch, tells):
    """Where agents lose what comes at once, the end of a run that is interrupted in its head start is lost, too."""
    monkeypatch.setattr(module, "_BEGINNING", 5.0 if tells else 0.3)
    order = []

    def script(seen):
        if seen.route != RUN:
            order.append(seen.route.rpartition("/")[2])
            return Reply(204)
        order.append("poll")
        if "interrupt" in order:
            return END
        if len(order) <= 2:
            tokens.append(re.search(r"036(\w+) begin", json.dumps(seen.json)))
            return said(("clean-finished", "build-finished")[len(order) - 1], exit_code=0)
        begins = tells and len(order) == 5
        return said("continued", *([("stdout", f"\x1e{tokens[0][1]} begin 0\x1e")] if begins else []))

    tokens = []
    server = await serve(script, version={"version": "v9.20250722", "manager": "26.8.1"})
    api = await client(server)
    cs = AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))
    task = asyncio.create_task(cs.execute_batch(exec="./x"))
    while not order:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order.count("interrupt") == 1
    assert order.index("interrupt") >= 5


async def test_a_silent_command_is_no_fault(session):
    server, cs = await session(
        said("clean-finished", exit_code=0),
        said("build-finished", exit_code=0),
        *[said("continued")] * 8,  # longer than the limit
        said("finished", exit_code=0),
        timeouts=Timeouts(silence=0.3),
    )
    assert (await cs.execute_batch(exec="*")).ok
    assert not server.script.answers


async def test_a_run_that_the_server_has_lost(session):
    _, cs = await session(
        said("continued", ("stdout", "a")),
        Reply(200, {"result": {"status": "finished", "exitCode": 130, "options": {}, "console": []}}),
    )
    with pytest.raises(StreamInterrupted, match="does not know the run any more") as caught:
        await cs.execute("code")
    assert caught.value.received == (Stdout("a"),)


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
async def test_a_time_limit_that_is_none(session, timeout):
    server, cs = await session()
    with pytest.raises(InvalidArgument, match="timeout"):
        await cs.execute("1", timeout=timeout)
    assert not server.asked


async def test_code_that_heeds_no_interrupt_keeps_its_turn_until_it_ends(session, monkeypatch):
    monkeypatch.setattr(module, "_DRAIN", 0.2)
    go = asyncio.Event()

    async def late():
        await go.wait()
        return said("finished", exit_code=0)

    server, cs = await session(said("continued", ("stdout", "a")), late(), END)
    async with cs.stream_execute("code") as run:
        await anext(run)
    with pytest.raises(ExecutionTimeout, match="earlier runs"):
        await cs.execute("next", timeout=0.1)
    assert [b["mode"] for b in runs(server)] == ["query", "continue"]
    go.set()
    assert (await cs.execute("next")).ok


async def test_closing_the_client_lets_go_of_what_is_left(session, monkeypatch):
    monkeypatch.setattr(module, "_DRAIN", 0.1)
    _, cs = await session(said("continued", ("stdout", "a")), HANG)
    async with cs.stream_execute("code") as run:
        await anext(run)
    await cs._client.close()
    assert not cs._run_lock.locked()


async def test_a_first_answer_that_does_not_come_may_be_the_fault_of_another_run(session):
    _, cs = await session(HANG, timeouts=Timeouts(request=0.8))
    with pytest.raises(StreamInterrupted, match="Another client's run"):
        await cs.execute("code")


async def test_runs_in_one_session_say_that_they_wait(session, caplog):
    caplog.set_level("DEBUG", "backendai_sdk.run")
    _, cs = await session(said("finished", ("stdout", "1"), exit_code=0), END)
    again = AsyncComputeSession(cs._client, cs.info)  # another handle of the same session
    async with cs.stream_execute("first") as first:
        second = again.stream_execute("second")
        entering = asyncio.ensure_future(second.__aenter__())
        await asyncio.sleep(0)
        assert (first.waiting, second.waiting) == (False, True)
        assert "a run waits for its turn in work" in caplog.text
        with pytest.raises(UsageError, match="entered before"):
            await second.__aenter__()
        with pytest.raises(ExecutionTimeout, match="earlier runs .* did not end .*not begun"):
            await again.execute("third", timeout=0.05)
        with deadline(0.05), pytest.raises(DeadlineExceeded):
            await again.execute("fourth")
        async for _ in first:
            pass
    await entering
    assert not second.waiting
    async for _ in second:
        pass
    await second.__aexit__(None, None, None)


async def test_the_next_answer_is_asked_for_while_the_caller_is_busy(session):
    server, cs = await session(*[said("continued", ("stdout", str(n))) for n in range(9)], END)
    async with cs.stream_execute("code") as run:
        assert await anext(run) == Stdout("0")
        while len(runs(server)) < 3:  # nobody asks for the items 1 and 2 yet
            await asyncio.sleep(0.01)
        # And no further: what nobody reads stays with the server, which holds it just as well.
        await asyncio.sleep(0.1)
        assert len(runs(server)) == 3
        assert [item.text async for item in run if isinstance(item, Stdout)] == [str(n) for n in range(1, 9)]
    assert len(runs(server)) == 10
    assert {body["mode"] for body in runs(server)[1:]} == {"continue"}


async def test_what_was_answered_before_a_failure_is_read_first(session):
    server, cs = await session(
        said("continued", ("stdout", "a")), said("continued", ("stdout", "b")), Reply(200, {"no": "result"})
    )
    async with cs.stream_execute("code") as run:
        assert await anext(run) == Stdout("a")
        while len(runs(server)) < 2:
            await asyncio.sleep(0.01)
        assert await anext(run) == Stdout("b")
        with pytest.raises(WireError, match="no result"):
            await anext(run)


async def test_no_task_is_left_of_a_run_that_was_left(session):
    _, cs = await session(said("continued", ("stdout", "a")), said("continued", ("stdout", "b")), END)
    async with cs.stream_execute("code") as run:
        await anext(run)
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("backendai-sdk-run")]


async def test_a_deadline_that_is_over_begins_no_run(session):
    server, cs = await session(END)
    with deadline(0), pytest.raises(DeadlineExceeded):
        async with cs.stream_execute("code"):
            pass
    assert not runs(server)
    assert (await cs.execute("code")).ok


async def test_a_run_that_another_task_leaves_ends_the_waiting(session, monkeypatch):
    monkeypatch.setattr(module, "_DRAIN", 0.05)
    _, cs = await session(said("continued", ("stdout", "a")), HANG)
    run = cs.stream_execute("code")
    await run.__aenter__()
    assert await anext(run) == Stdout("a")
    waiting = asyncio.create_task(anext(run))
    await asyncio.sleep(0)
    await run._channel.close()
    with pytest.raises(StreamInterrupted, match="left before its end"):
        await waiting
    await run.__aexit__(None, None, None)
