"""Nothing hangs: each wait has a limit, the error names the option, and deadline() bounds all of it."""

from __future__ import annotations

import asyncio
import time

import pytest
from wire_manager import HANG, Reply, problem

from backendai_sdk import ConnectError, DeadlineExceeded, RequestTimeout, RetryPolicy, Timeouts, deadline
from backendai_sdk._transport import trials as module
from backendai_sdk._wire.request import Request

GET = Request(method="GET", path="/x", idempotent=True)
POST = Request(method="POST", path="/x", json={})
ONCE = RetryPolicy(max_attempts=1)


@pytest.mark.parametrize(("request_", "attempts"), [(GET, 2), (POST, 1)], ids=["GET", "POST"])
async def test_a_server_that_never_answers(serve, transport, request_, attempts):
    server = await serve(lambda seen: HANG)
    link = transport(server, timeouts=Timeouts(request=0.1), retry=RetryPolicy(2, 0, 0))
    with pytest.raises(
        RequestTimeout, match=r"within 0\.1 s \(timeouts\.request\); the server may still"
    ) as caught:
        await link.json(request_)
    assert isinstance(caught.value, TimeoutError)
    assert len(server.asked) == len(caught.value.attempts) == attempts


async def test_a_server_that_never_ends_its_answer(serve, transport):
    async def slowly():
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    server = await serve(lambda seen: slowly())
    with pytest.raises(RequestTimeout, match=r"timeouts\.request"):
        await transport(server, timeouts=Timeouts(request=0.1), retry=ONCE).json(GET)


async def test_a_limit_for_one_view(serve, client):
    server = await serve(lambda seen: HANG)
    api = (await client(server, retry=ONCE)).with_options(timeout=0.1)
    with pytest.raises(RequestTimeout, match=r"0\.1 s"):
        await api.list()


async def test_no_connection_in_time(transport, monkeypatch):
    async def never(*args, **kwargs):
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", never)
    link = transport("http://127.0.0.1:9", timeouts=Timeouts(connect=0.05), retry=RetryPolicy(2, 0, 0))
    with pytest.raises(
        ConnectError, match=r"no connection within the time limit \(timeouts\.connect\)"
    ) as caught:
        await link.json(POST)
    assert len(caught.value.attempts) == 2


async def test_a_deadline_bounds_a_request(serve, transport):
    server = await serve(lambda seen: HANG)
    link = transport(server)
    with deadline(0.1), pytest.raises(DeadlineExceeded, match=r"the deadline of 0\.1 s is over"):
        await link.json(POST)
    assert len(server.asked) == 1
    assert link._shared.gate.limiter.in_flight == 0


async def test_a_deadline_bounds_attempts_and_pauses(serve, transport):
    server = await serve(lambda seen: Reply(503, {}))
    link = transport(server, retry=RetryPolicy(max_attempts=10_000, base=0.02, cap=0.02))
    link._shared.budget.capacity = link._shared.budget._tokens = 10**9
    with deadline(0.2), pytest.raises(DeadlineExceeded):
        await link.json(GET)
    assert len(server.asked) > 1


async def test_a_long_pause_ends_with_the_deadline(serve, transport, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_THROTTLE", 3600.0)
    limited = problem(429, "rate-limit-exceeded")
    limited.headers["Retry-After"] = "600"
    server = await serve(lambda seen: limited)
    began = time.monotonic()
    with deadline(0.1), pytest.raises(DeadlineExceeded):
        await transport(server).json(POST)
    assert time.monotonic() - began < 20
    assert len(server.asked) == 1


async def test_a_deadline_bounds_the_waiting_for_a_place(serve, transport):
    from backendai_sdk.limiter import Limiter

    server = await serve(lambda seen: HANG)
    link = transport(server)
    await link.server()
    link._shared.gate.limiter = Limiter(start=1, max=1)
    blocker = asyncio.create_task(link.json(POST))
    while not server.asked:
        await asyncio.sleep(0.01)
    with deadline(0.1), pytest.raises(DeadlineExceeded):
        await link.json(POST)
    assert len(server.asked) == 1
    blocker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocker
    assert link._shared.gate.limiter.in_flight == 0


async def test_a_deadline_that_is_over_sends_nothing(serve, transport):
    server = await serve()
    with deadline(0), pytest.raises(DeadlineExceeded):
        await transport(server).json(GET)
    assert server.seen == []


async def test_an_inner_limit_is_not_the_deadline(serve, transport):
    server = await serve(lambda seen: HANG)
    with deadline(20), pytest.raises(RequestTimeout):
        await transport(server, timeouts=Timeouts(request=0.05), retry=ONCE).json(GET)
