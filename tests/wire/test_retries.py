"""What is sent again and what is not: by what the failure says of the server, within limits."""

from __future__ import annotations

import asyncio

import pytest
from wire_manager import RESET, Reply, problem

from backendai_sdk import (
    BadRequest,
    ConnectionLost,
    RateLimited,
    RetryPolicy,
    ServerError,
    ServiceUnavailable,
)
from backendai_sdk._transport import transport as module
from backendai_sdk._wire.request import Request

GET = Request(method="GET", path="/x", idempotent=True)
POST = Request(method="POST", path="/x", json={})
OK = Reply(200, {"fine": True})
LIMITED = problem(429, "rate-limit-exceeded", "You have reached your API query rate limit.")


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_unavailable_then_fine(serve, transport, status):
    answers = [Reply(status, {}), Reply(status, {}), OK]
    server = await serve(lambda seen: answers.pop(0))
    assert await transport(server).json(GET) == {"fine": True}
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_is_not_idempotent_is_sent_once(serve, transport, status):
    server = await serve(lambda seen: Reply(status, {}))
    with pytest.raises(ServiceUnavailable) as caught:
        await transport(server).json(POST)
    assert caught.value.status == status
    assert len(server.asked) == 1


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_throttled_then_fine(serve, transport, request_):
    answers = [LIMITED, LIMITED, OK]
    server = await serve(lambda seen: answers.pop(0))
    assert await transport(server).json(request_) == {"fine": True}
    assert len(server.asked) == 3


async def test_throttled_for_ever(serve, transport):
    server = await serve(lambda seen: LIMITED)
    with pytest.raises(RateLimited, match="429.*slow down") as caught:
        await transport(server, retry=RetryPolicy(max_attempts=3, base=0, cap=0)).json(POST)
    assert len(server.asked) == len(caught.value.attempts) == 3


@pytest.mark.parametrize(
    ("before", "with_it", "wait"),
    [
        ({}, {}, 0),
        # The last answer that had the headers says what the 429 itself does not.
        ({"X-RateLimit-Limit": "90", "X-RateLimit-Remaining": "0", "X-RateLimit-Window": "900"}, {}, 10),
        ({"X-RateLimit-Limit": "90", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, {}, 7),
        ({"X-RateLimit-Limit": "90", "X-RateLimit-Remaining": "5"}, {}, 0),
        ({"X-RateLimit-Limit": "None", "X-RateLimit-Remaining": "None"}, {}, 0),
        # Something in between may say it on the 429, and is believed.
        ({"X-RateLimit-Remaining": "5"}, {"Retry-After": "3"}, 3),
        # Longer than a call should take: not waited for.
        ({}, {"Retry-After": "800"}, 30),
    ],
)
async def test_how_long_it_waits(serve, transport, monkeypatch, before, with_it, wait):
    slept = []
    loop, real = asyncio.get_running_loop(), asyncio.sleep

    async def sleep(seconds, result=None):
        # Other threads of the test process have loops of their own, which sleep as ever.
        if asyncio.get_running_loop() is not loop:
            return await real(seconds, result)
        slept.append(seconds)
        return None

    answers = [Reply(200, {}, before), Reply(429, LIMITED.body, LIMITED.headers | with_it), OK]
    server = await serve(lambda seen: answers.pop(0))
    link = transport(server)
    await link.json(GET)
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    assert await link.json(POST) == {"fine": True}
    monkeypatch.undo()
    (waited,) = slept
    assert wait <= waited <= max(wait, 0.02)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(400, "invalid-api-params"), BadRequest),
        (problem(500, "internal-server-error"), ServerError),
        (problem(500, "kernel-execution-failed", **{"agent-details": {}}), ServerError),
    ],
)
async def test_a_no_is_a_no(serve, transport, answer, kind):
    server = await serve(lambda seen: answer)
    with pytest.raises(kind):
        await transport(server).json(GET)
    assert len(server.asked) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "POST"])
@pytest.mark.parametrize("answer", [Reply(503, {}), RESET, b""], ids=["503", "reset", "closed"])
async def test_one_attempt_is_one_attempt(serve, transport, method, answer):
    """Also of aiohttp, which would send some methods again by itself, as they are."""
    server = await serve(lambda seen: answer)
    link = transport(server, retry=RetryPolicy(max_attempts=1))
    with pytest.raises((ServiceUnavailable, ConnectionLost)):
        await link.json(Request(method=method, path="/x", idempotent=True))
    assert len(server.asked) == 1


async def test_a_view_with_another_policy(serve, client):
    server = await serve(lambda seen: Reply(503, {}))
    api = (await client(server)).with_options(retry=RetryPolicy(max_attempts=2, base=0, cap=0))
    with pytest.raises(ServiceUnavailable):
        await api.list()
    assert len(server.asked) == 2


async def test_a_dead_server_is_not_hammered(serve, transport):
    """100 retries for all calls together, then first attempts only; an answer brings tokens back."""
    server = await serve(lambda seen: Reply(503, {}))
    link = transport(server, retry=RetryPolicy(max_attempts=4, base=0, cap=0))
    link._shared.budget._tokens = 20
    await link.server()
    for _ in range(6):
        with pytest.raises(ServiceUnavailable):
            await link.json(GET)
    assert len(server.asked) == 6 + 4
    server.script = lambda seen: OK
    for _ in range(5):
        await link.json(GET)
    assert link._shared.budget.spend()


async def test_throttling_narrows_the_window_once_for_a_burst(serve, transport):
    server = await serve(lambda seen: LIMITED)
    link = transport(server, retry=RetryPolicy(max_attempts=1))
    await link.server()
    limiter = link._shared.gate.limiter
    before = limiter.limit
    results = await asyncio.gather(*(link.json(GET) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(r, RateLimited) for r in results)
    assert limiter.limit == before // 2
    assert limiter.in_flight == 0


async def test_attempts_of_different_kinds_are_all_kept(serve, transport):
    answers = [RESET, Reply(503, {}), LIMITED, problem(400, "invalid-api-params", "no")]
    server = await serve(lambda seen: answers.pop(0))
    with pytest.raises(BadRequest, match="no") as caught:
        await transport(server).json(GET)
    kinds = [type(a) for a in caught.value.attempts]
    assert kinds == [ConnectionLost, ServiceUnavailable, RateLimited, BadRequest]
