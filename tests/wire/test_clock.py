"""A server whose clock is off: corrected once from its own Date header, and never guessed at."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from wire_manager import Reply, problem

from backendai_sdk import ClockSkewError, LocalCluster
from backendai_sdk._wire.request import Request

GET = Request(method="GET", path="/x")
POST = Request(method="POST", path="/x", json={})
HOUR = timedelta(hours=1)


def off_by(seen) -> timedelta:
    return datetime.fromisoformat(seen.headers["date"]) - datetime.now(UTC)


@pytest.mark.parametrize("clock", [HOUR, -HOUR, timedelta(days=400)])
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_it_is_corrected_once(serve, transport, clock, request_):
    server = await serve(lambda seen: Reply(200, {"fine": True}), clock=clock)
    link = transport(server)
    assert await link.json(request_) == {"fine": True}
    first, second = server.asked
    assert server.refused == ["date"]
    assert abs(off_by(first)) < timedelta(minutes=1)
    assert abs(off_by(second) - clock) < timedelta(minutes=1)
    assert first.headers["authorization"] != second.headers["authorization"]
    assert abs(link.now() - datetime.now(UTC) - clock) < timedelta(minutes=1)
    await link.json(request_)
    assert len(server.asked) == 3


async def test_requests_that_were_refused_together(serve, transport):
    """The one that comes second finds the clock corrected already; it is sent again all the same."""
    server = await serve(lambda seen: Reply(200, {}), clock=HOUR)
    link = transport(server)
    await asyncio.gather(*(link.json(GET) for _ in range(8)))
    assert len(server.asked) == 16
    await link.json(GET)
    assert len(server.asked) == 17


async def test_a_stream_is_opened_again(serve, transport):
    async def events():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"

    server = await serve(lambda seen: events(), clock=HOUR)
    async with transport(server).stream(GET) as body:
        assert [piece async for piece in body] == [b"data: 1\n\n"]
    assert len(server.asked) == 2


REFUSAL = {"msg": "Date/time sync error"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("date", "sent"),
    [
        # A difference that is learned but does not help, and dates from which nothing is to be learned.
        (HOUR, 2),
        (timedelta(seconds=5), 1),
        ("yesterday", 1),
        ("Mon, 99 Foo 2024 99:99:99 GMT", 1),
        ("", 1),
        ("Sat, 01 Jan 2000 00:00:00 -0000", 2),
    ],
)
async def test_a_server_that_refuses_all_the_same(serve, transport, date, sent, stream):
    headers = {"date": date} if isinstance(date, str) else {}
    clock = date if isinstance(date, timedelta) else timedelta()

    def script(seen):
        answer = problem(400, "invalid-auth-params", **REFUSAL)
        answer.headers |= headers
        return answer

    server = await serve(script, check=False, clock=clock)
    link = transport(server)
    with pytest.raises(ClockSkewError, match="set this machine's clock.*15 minutes") as caught:
        await (link.stream(GET).__aenter__() if stream else link.json(GET))
    assert caught.value.status == 400
    assert len(server.asked) == sent


async def test_with_the_local_cluster(client):
    cluster = LocalCluster()
    await cluster.astart()
    try:
        cluster.clock.offset = -HOUR
        api = await client(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key)
        assert (await api.list()).total_count == 0
        cluster.clock.offset = HOUR
        assert (await api.list()).total_count == 0
    finally:
        await cluster.astop()
