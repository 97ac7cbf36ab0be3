"""Every time limit that runs out is named by the error, with its length and with how to change it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest
from wire_manager import HANG, Peer, Reply, Seen, Upgrade, listing

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    BackendAIError,
    ConnectError,
    DeadlineExceeded,
    ExecutionTimeout,
    RequestTimeout,
    RetryPolicy,
    SessionInfo,
    SessionStatus,
    SessionTimeout,
    StreamInterrupted,
    Timeouts,
    deadline,
)

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
SHORT = 0.15


class Server:
    """A session in one status; *stuck* requests are never answered, *said* are answered so."""

    def __init__(self, status: str = "RUNNING", *stuck: str, **said: Any) -> None:
        self.row = {"id": UUID, "name": "slow", "status": status, "status_info": None, "access_key": None}
        self.stuck = stuck
        self.said = said

    def __call__(self, seen: Seen) -> Any:
        what = seen.route.replace(UUID, "ID")
        if what in self.stuck:
            return HANG
        if seen.method == "GET" and "/stream/" in seen.target:
            return Upgrade(seen, self._talk)
        match what:
            case "GET /events/session":
                return self._silent()
            case "POST /session":
                return Reply(201, {"sessionId": UUID, "sessionName": "slow", "status": "PENDING"})
            case "POST /session/ID":
                return Reply(200, {"result": {"status": "continued", "runId": "x", "console": []}})
            case "POST /admin/gql":
                return listing(self.row)
            case "DELETE /session/ID":
                self.row["status"] = "TERMINATED"
                return Reply(200, {"stats": {}})
        return Reply(204)

    @staticmethod
    async def _silent() -> Any:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        await asyncio.Event().wait()

    @staticmethod
    async def _talk(peer: Peer) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:  # takes everything, and answers nothing, not even pings
                await peer.frame()


def handle(api: AsyncSession) -> AsyncComputeSession:
    return AsyncComputeSession(api._client, SessionInfo(id=UUID, name="slow", status=SessionStatus.RUNNING))


async def block(api: AsyncSession) -> None:
    async with api.create("python", name="slow", enqueue_only=True):
        pass


async def execute(api: AsyncSession) -> None:
    await handle(api).execute("while True: pass")


async def by_websocket(api: AsyncSession) -> None:
    await handle(api).execute("while True: pass", transport="websocket")


async def events(api: AsyncSession) -> None:
    async with handle(api).stream_events():
        raise AssertionError("it cannot open")


async def bounded(api: AsyncSession) -> None:
    with deadline(SHORT):
        await api.list()


async def bounded_block(api: AsyncSession) -> None:
    with deadline(SHORT):
        await handle(api).wait("dead")


@attrs.frozen
class Case:
    """A limit, what is stuck, what is called, and the error that must come."""

    option: str
    server: Server
    call: Callable[[AsyncSession], Awaitable[object]]
    error: type[BackendAIError]
    says: str = rf"{SHORT:g} s \(%s\)"
    change: str = r"timeouts=Timeouts\(%s=\.\.\.\)"


LIST, RUN = "POST /admin/gql", "POST /session/ID"
CASES = {
    "request": Case("request", Server("RUNNING", LIST), lambda api: api.list(), RequestTimeout),
    "request, view": Case(
        "request",
        Server("RUNNING", LIST),
        lambda api: api.with_options(timeout=SHORT).list(),
        RequestTimeout,
    ),
    "request, run": Case("request", Server("RUNNING", RUN), execute, StreamInterrupted),
    "start": Case(
        "start",
        Server("PENDING"),
        lambda api: api.create("python", name="slow"),
        SessionTimeout,
        rf"after {SHORT:g} s.*\(%s ran out\) and destroyed",
    ),
    "start, max_wait": Case(
        "",
        Server("PENDING"),
        lambda api: api.create("python", name="slow", max_wait=SHORT),
        SessionTimeout,
        rf"after {SHORT:g} s.*\(max_wait ran out\) and destroyed",
        "a larger max_wait=",
    ),
    "start, restart": Case(
        "start",
        Server("RESTARTING"),
        lambda api: handle(api).restart(),
        SessionTimeout,
        rf"after {SHORT:g} s \(%s\)",
    ),
    "run": Case("run", Server(), execute, ExecutionTimeout, rf"{SHORT:g} s \(timeout= or %s\)"),
    "run, argument": Case(
        "run",
        Server(),
        lambda api: handle(api).execute("1", timeout=SHORT),
        ExecutionTimeout,
        rf"{SHORT:g} s \(timeout= or %s\)",
        r"or the call timeout=",
    ),
    "silence, run": Case("silence", Server("RUNNING", RUN), execute, StreamInterrupted),
    "silence, WebSocket": Case("silence", Server(), by_websocket, StreamInterrupted),
    "silence, events": Case("silence", Server("RUNNING", "GET /events/session"), events, RequestTimeout),
    "cleanup": Case("cleanup", Server("RUNNING", "DELETE /session/ID"), block, SessionTimeout),
    "deadline": Case(
        "",
        Server("RUNNING", LIST),
        bounded,
        DeadlineExceeded,
        f"deadline of {SHORT:g} s",
        r"give deadline\(\) more",
    ),
    "deadline, wait": Case(
        "", Server(), bounded_block, DeadlineExceeded, f"deadline of {SHORT:g} s", r"give deadline\(\) more"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_error_names_the_limit(serve: Any, client: Any, case: Case) -> None:
    limits = Timeouts(request=5, silence=5, cleanup=5)
    if case.option:
        limits = attrs.evolve(limits, **{case.option: SHORT})
    api = await client(await serve(case.server), timeouts=limits, retry=RetryPolicy(max_attempts=1))
    await api.ping()
    with pytest.raises(case.error) as caught:
        await case.call(api)
    option = re.escape(f"timeouts.{case.option}")
    assert re.search(case.says.replace("%s", option), str(caught.value))
    assert re.search(case.change.replace("%s", case.option), str(caught.value))


async def test_no_connection_in_time(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object, **kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", never)
    link = transport(
        "http://127.0.0.1:9", timeouts=Timeouts(connect=SHORT), retry=RetryPolicy(max_attempts=1)
    )
    with pytest.raises(ConnectError, match=r"\(timeouts\.connect\).*timeouts=Timeouts\(connect=\.\.\.\)"):
        await link.server()


async def test_a_creation_that_is_undone_too_slowly(
    serve: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns why it was undone; the log says that this took too long, and of which limit."""
    server = await serve(Server("PENDING", "DELETE /session/ID"))
    api = await client(server, timeouts=Timeouts(start=SHORT, cleanup=SHORT, request=5))
    with pytest.raises(SessionTimeout, match=r"timeouts\.start"):
        await api.create("python", name="slow")
    assert re.search(r"left behind.*0\.15 s \(timeouts\.cleanup\).*Timeouts\(cleanup=", caplog.text)


def test_every_limit_is_in_the_table() -> None:
    named = {case.option for case in CASES.values()} | {"connect"}
    assert named >= {field.name for field in attrs.fields(Timeouts)}
