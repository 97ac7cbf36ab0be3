"""Several endpoints: the next one is taken when nothing was sent, remembered, and never at the price of a second act."""

from __future__ import annotations

import asyncio

import pytest
from wire_manager import RESET, Reply, listing

from backendai_sdk import ConnectError, ConnectionLost, RetryPolicy, ServiceUnavailable
from backendai_sdk._wire.request import Request

GET = Request(method="GET", path="/x", idempotent=True)
POST = Request(method="POST", path="/x", json={})


async def test_the_second_is_used_and_remembered(serve, transport, closed_port):
    server = await serve()
    link = transport([closed_port, server.endpoint], retry=RetryPolicy(max_attempts=1))
    await link.json(POST)
    assert server.routes == ["POST /x"]
    assert link._shared.preferred == 1
    assert (await link.server()).endpoint == server.endpoint
    await asyncio.gather(*(link.json(POST) for _ in range(5)))
    assert len(server.asked) == 6
    assert link._shared.preferred == 1


async def test_each_is_signed_for_its_own_host(serve, client, closed_port):
    server = await serve(lambda seen: listing(), prefix="/base")
    api = await client([closed_port, server.endpoint])
    assert (await api.list()).total_count == 0
    assert server.asked[0].headers["host"] == server.endpoint.split("/")[2]
    assert server.refused == []


async def test_a_view_shares_what_was_learned(serve, client, closed_port):
    server = await serve(lambda seen: listing())
    api = await client([closed_port, server.endpoint])
    await api.list()
    view = api.with_options(retry=RetryPolicy(max_attempts=1))
    await view.list()
    assert view._client._transport._shared is api._client._transport._shared


async def test_all_are_down(transport):
    # Port 1 of the loopback's other addresses: nothing listens there.
    endpoints = ["http://127.0.0.1:1", "http://127.0.0.2:1", "http://127.0.0.3:1"]
    with pytest.raises(ConnectError) as caught:
        await transport(endpoints, retry=RetryPolicy(max_attempts=2, base=0, cap=0)).json(GET)
    tried = [str(attempt) for attempt in caught.value.attempts]
    for i in (1, 2, 3):
        assert any(f"127.0.0.{i}:1" in text for text in tried)
    assert len(tried) == 4
    assert caught.value.attempts[-1] is caught.value


async def test_one_that_comes_back(serve, transport, closed_port):
    """Whoever is preferred and dies is left for the other one."""
    answers = iter([Reply(200, {}), Reply(503, {}), Reply(503, {}), Reply(503, {})])
    first, second = await serve(lambda seen: next(answers)), await serve()
    link = transport([first.endpoint, second.endpoint])
    await link.json(GET)
    await link.json(GET)
    assert (len(first.asked), len(second.asked)) == (2, 1)
    await link.json(POST)
    assert (len(first.asked), len(second.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "kind"), [(RESET, ConnectionLost), (Reply(502, {}), ServiceUnavailable), (b"", ConnectionLost)]
)
async def test_what_may_have_been_acted_on_is_not_sent_to_the_other(serve, transport, answer, kind):
    first, second = await serve(lambda seen: answer), await serve()
    link = transport([first.endpoint, second.endpoint])
    await link.server()
    with pytest.raises(kind) as caught:
        await link.json(POST)
    assert (len(first.asked), len(second.asked)) == (1, 0)
    assert len(caught.value.attempts) == 1


async def test_what_is_idempotent_is(serve, transport):
    first, second = await serve(lambda seen: RESET), await serve(lambda seen: Reply(200, {"by": 2}))
    assert await transport([first.endpoint, second.endpoint]).json(GET) == {"by": 2}
    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_a_stream_goes_where_requests_go(serve, transport, closed_port):
    async def events():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"

    server = await serve(lambda seen: events())
    async with transport([closed_port, server.endpoint]).stream(GET) as body:
        assert [piece async for piece in body] == [b"data: 1\n\n"]
