"""Faults of answers: what the server did, and what the client is told."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from backendai_sdk.local.faults import (
    Cut,
    ErrorStatus,
    HtmlPage,
    Latency,
    LostReply,
    Reset,
    Slices,
    TooManyRequests,
    TruncatedJson,
)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("acted", [False, True])
async def test_error_status(both, status, acted):
    cluster, api = await both()
    cluster.faults.add(ErrorStatus(status, acted=acted), "POST /session", times=1)
    answer = await api.create("maybe-1")
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["type"].startswith("https://api.backend.ai/probs/")
    assert [s.name for s in cluster.sessions()] == ["maybe-1"] * acted
    assert (await api.create("other-1")).status == 201  # once means once


async def test_html_page(both):
    cluster, api = await both()
    cluster.faults.add(HtmlPage(), times=1)
    answer = await api("GET", "/")
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert b"<h1>502 Bad Gateway</h1>" in answer.body
    cluster.faults.add(HtmlPage(200, text="<b>log in</b>", acted=True), "POST /session")
    answer = await api.create("portal-1")
    assert (answer.status, answer.body) == (200, b"<b>log in</b>")
    assert len(cluster.sessions()) == 1


@pytest.mark.parametrize("release", ["23.09", "26.9"])
async def test_too_many_requests_is_the_servers_own(both, release):
    cluster, api = await both(release)
    await api("GET", "/auth/role")
    with cluster.faults.add(TooManyRequests(), "POST /session"):
        injected = await api.create("no-1")
    cluster.rate_limit = 1
    real = await api.create("no-2")
    assert real.status == injected.status == 429
    assert real.json == injected.json
    names = [sorted(set(answer.headers) - {"Date"}) for answer in (real, injected)]
    assert names[0] == names[1]
    assert cluster.sessions() == []


async def test_too_many_requests_with_headers(both):
    cluster, api = await both()
    cluster.faults.add(TooManyRequests(headers=True, retry_after=7))
    answer = await api("GET", "/")
    assert answer.headers["X-RateLimit-Limit"] == "30000"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["X-RateLimit-Window"] == "900"
    assert answer.headers["X-RateLimit-Reset"] == "1"
    assert answer.headers["Retry-After"] == "7"


async def test_truncated_json(both):
    cluster, api = await both()
    whole = await api("GET", "/")
    fault = cluster.faults.add(TruncatedJson(0.5), times=1)
    broken = await api("GET", "/")
    assert broken.status == 200
    assert broken.body == whole.body[: len(whole.body) // 2]
    assert broken.headers["Content-Length"] == str(len(broken.body))
    with pytest.raises(json.JSONDecodeError):
        _ = broken.json
    assert [hit.target for hit in fault.hits] == ["GET /"]
    assert (await api("GET", "/")).body == whole.body


async def test_what_is_no_json_does_not_count(both):
    cluster, api = await both()
    await api.create("plain-1")
    fault = cluster.faults.add(TruncatedJson(0), times=1)
    renamed = await api("POST", "/session/plain-1/rename", body={"name": "plain-2"})
    assert (renamed.status, renamed.body, fault.hits) == (204, b"", ())
    assert (await api("GET", "/")).body == b""
    assert len(fault.hits) == 1


@pytest.mark.parametrize(
    ("then", "error"),
    [("reset", aiohttp.ClientOSError), ("close", aiohttp.ServerDisconnectedError), ("silence", TimeoutError)],
)
async def test_lost_reply(both, then, error):
    cluster, api = await both()
    fault = cluster.faults.add(LostReply(then=then), "POST /session", times=1)
    with pytest.raises(error):
        async with asyncio.timeout(2):
            await api.create("lost-1")
    assert len(fault.hits) == 1
    assert [s.name for s in cluster.sessions()] == ["lost-1"]


async def test_faults_add_up_and_one_answer_wins(both):
    cluster, api = await both()
    late = cluster.faults.add(Latency(0.2))
    first = cluster.faults.add(ErrorStatus(503))
    second = cluster.faults.add(ErrorStatus(500))
    begin = time.monotonic()
    assert (await api("GET", "/")).status == 503
    assert time.monotonic() - begin >= 0.2
    assert [len(i.hits) for i in (late, first, second)] == [1, 1, 0]


async def test_a_script(both):
    cluster, api = await both()
    cluster.faults.script("POST /auth", ErrorStatus(503), None, HtmlPage(), Reset())
    body = {"echo": "hello"}
    statuses = [(await api("POST", "/auth", body=body)).status for _ in range(3)]
    with pytest.raises(aiohttp.ClientError):
        await api("POST", "/auth", body=body)
    statuses.append((await api("POST", "/auth", body=body)).status)
    assert statuses == [503, 200, 502, 200]


async def test_through_the_web_server_too(both):
    cluster, api = await both()
    cluster.faults.add(ErrorStatus(503), "GET /session/*")
    answer = await api("GET", "/func/session/any-1")
    assert answer.status == 503
    assert cluster.faults.hits[0].target == "GET /session/any-1"


async def test_a_stream_cannot_be_replaced_but_cut(both, listen):
    """What has begun to answer is not answered again; the faults of the network still work."""
    cluster, api = await both()
    replaced = cluster.faults.add(ErrorStatus(500, acted=True), "GET /events/session")
    cluster.faults.add(Cut(1000), "GET /events/session")
    cluster.faults.add(Slices(40), "GET /events/session")
    events = await listen(api)
    assert events.status == 200
    await api.create("seen-1")
    await api("DELETE", "/session/seen-1")
    async with asyncio.timeout(10):
        await asyncio.wait([events._task])
    assert events._task.exception() is not None
    assert replaced.hits == ()


@pytest.mark.parametrize("then", ["reset", "silence"])
async def test_the_lost_beginning_of_a_stream(both, then):
    cluster, api = await both()
    fault = cluster.faults.add(LostReply(then=then), "GET /events/session")
    opening = asyncio.ensure_future(api("GET", "/events/session"))
    await fault.await_hit()
    if then == "reset":
        with pytest.raises(aiohttp.ClientError):
            await opening
    else:
        assert not (await asyncio.wait([opening], timeout=0.3))[0]
        opening.cancel()
        await asyncio.wait([opening])
