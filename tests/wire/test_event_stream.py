"""Event streams through the real transport: split, commented, silent, cut, refused."""

from __future__ import annotations

import asyncio
import json

import pytest
from wire_manager import HANG, PROBS, RESET, Reply, listing, problem

from backendai_sdk import (
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    RetryPolicy,
    ServiceUnavailable,
    SessionNotFound,
    StreamInterrupted,
    Timeouts,
)
from backendai_sdk._async import _event_feed as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk._wire.request import Request
from backendai_sdk.models.session import SessionInfo

UUID, OTHER = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11", "1b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n\r\n"
SOON = RetryPolicy(max_attempts=3, base=0.001, cap=0.002)
EVENTS = Request(method="GET", path="/events/session", params={"scope": "*"})


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Reopen at once and seldom."""
    monkeypatch.setattr(module, "_MAX_REOPENINGS", 1)


def event(name: str, session_id: str = UUID, **more: object) -> bytes:
    data = {"reason": "", "sessionName": "work", "sessionId": session_id, "exitCode": None, **more}
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()


END = event("session_terminated", reason="user-requested")


async def stream(*pieces, then=None):
    """An event stream, piece by piece; *then* ends it by waiting for ever, else it just ends."""
    yield HEAD
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
    if then is HANG:
        await asyncio.Event().wait()


class Script:
    """Streams one after the other; the state of the session is always RUNNING."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.row = {"id": UUID, "name": "work", "status": "RUNNING", "status_info": None}

    def __call__(self, seen):
        if seen.route == "POST /admin/gql":
            return listing(self.row) if self.row else listing()
        return self.answers.pop(0)


@pytest.fixture
def watch(serve, client):
    """A session's event stream on a scripted server."""

    async def make(*answers, **given):
        server = await serve(Script(*answers))
        api = await client(server, **given)
        cs = AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))
        return server, cs.stream_events()

    return make


async def read(opened, seen=None):
    """The names of all events; *seen* has them also if the stream fails."""
    seen = [] if seen is None else seen
    async with opened as events:
        async for e in events:
            seen.append(e.name)
    return seen


async def read_bytes(link, got=None):
    """All pieces of a transport's stream; *got* has them also if it fails."""
    got = [] if got is None else got
    async with link.stream(EVENTS) as body:
        async for piece in body:
            got.append(piece)
    return got


async def test_byte_by_byte(watch):
    whole = b"\xef\xbb\xbf" + event("session_started") + event("kernel_pulling", reason="größe") + END
    server, opened = await watch(stream(*(bytes([b]) for b in whole)))
    assert await read(opened) == ["session_started", "kernel_pulling", "session_terminated"]
    (asked,) = [s for s in server.asked if s.method == "GET"]
    assert asked.target == f"/events/session?sessionId={UUID}&scope=*"
    assert asked.headers["accept"] == "text/event-stream"


async def test_all_in_one_piece_with_line_feeds_alone(watch):
    _, opened = await watch(stream((event("kernel_started") + END).replace(b"\r\n", b"\n")))
    assert await read(opened) == ["kernel_started", "session_terminated"]


async def test_other_sessions_and_unreadable_events_are_left_out(watch):
    odd = [
        b": ping - 2024\r\n\r\n",
        event("session_started", OTHER),
        b"event: session_started\r\ndata: {not json\r\n\r\n",
        b"event: session_started\r\ndata: [1]\r\n\r\n",
        b"event: session_started\r\ndata: {}\r\n\r\n",
        b"data: \r\n\r\n",
        b"event: of_the_future\r\nretry: 5\r\nid: 7\r\nnew: x\r\ndata: null\r\n\r\n",
        event("session_hibernating", new_key=1),
    ]
    _, opened = await watch(stream(*odd, END))
    assert await read(opened) == ["session_hibernating", "session_terminated"]


async def test_comments_are_signs_of_life(watch):
    async def slowly():
        yield HEAD
        for _ in range(8):
            yield b": ping\r\n\r\n"
            await asyncio.sleep(0.1)
        yield END

    _, opened = await watch(slowly(), timeouts=Timeouts(silence=0.4))
    assert await read(opened) == ["session_terminated"]


async def test_a_cut_stream_is_opened_again_with_a_fresh_signature(watch):
    server, opened = await watch(stream(event("kernel_started")), stream(event("kernel_terminated"), END))
    assert await read(opened) == ["kernel_started", "kernel_terminated", "session_terminated"]
    first, second = [s for s in server.asked if s.method == "GET"]
    assert first.headers["date"] != second.headers["date"]
    assert first.headers["authorization"] != second.headers["authorization"]


@pytest.mark.parametrize(
    "last", [RESET, Reply(503, {}), Reply(200, b""), HANG], ids=["reset", "503", "end", "silence"]
)
async def test_one_that_cannot_be_opened_again(watch, last):
    server, opened = await watch(
        stream(event("kernel_started"), then=HANG), last, timeouts=Timeouts(silence=0.2)
    )
    seen = []
    with pytest.raises(StreamInterrupted, match="was cut and cannot be opened again: "):
        await read(opened, seen)
    assert seen == ["kernel_started"]
    assert len([s for s in server.asked if s.method == "GET"]) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(401, "auth-failed"), AuthenticationError),
        (problem(403, "generic-forbidden"), PermissionDenied),
        (problem(404, "object-not-found", "No such session."), SessionNotFound),
    ],
)
async def test_one_that_is_refused(watch, answer, kind):
    _, opened = await watch(answer)
    with pytest.raises(kind) as caught:
        await read(opened)
    assert (caught.value.method, caught.value.path) == ("GET", "/events/session")


@pytest.mark.parametrize("first", [RESET, Reply(503, {}), Reply(429, {})], ids=["reset", "503", "429"])
async def test_the_first_opening_is_tried_again_as_any_request_is(watch, first):
    server, opened = await watch(first, first, stream(END), retry=SOON)
    assert await read(opened) == ["session_terminated"]
    dates = [s.headers["authorization"] for s in server.asked if s.method == "GET"]
    assert len(dates) == 3


async def test_the_first_opening_fails_after_the_last_attempt(watch):
    server, opened = await watch(*[Reply(503, {})] * 3, retry=SOON)
    with pytest.raises(ServiceUnavailable) as caught:
        await read(opened)
    assert len(caught.value.attempts) == 3
    assert len([s for s in server.asked if s.method == "GET"]) == 3


async def test_a_first_opening_without_an_answer_is_not_tried_again(watch):
    """A proxy that holds the stream back would do so each time."""
    server, opened = await watch(HANG, retry=SOON, timeouts=Timeouts(silence=0.1))
    with pytest.raises(RequestTimeout):
        await read(opened)
    assert len([s for s in server.asked if s.method == "GET"]) == 1


async def test_the_end_is_read_from_the_state_if_no_event_tells_it(watch):
    server, opened = await watch(stream(event("kernel_started"), then=HANG))
    server.script.row |= {"status": "CANCELLED", "status_info": "user-requested"}
    async with opened as events:
        last = [e async for e in events][-1]
    assert (last.name, last.reason, last.recovered) == ("session_cancelled", "user-requested", True)


async def test_leaving_early_closes_the_connection(watch):
    _, opened = await watch(stream(event("kernel_started"), then=HANG))
    async with opened as events:
        assert (await anext(aiter(events))).name == "kernel_started"
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("backendai-sdk")] == []


# --- the transport's own stream ---------------------------------------------------------------------------


async def test_silence_names_its_option(serve, transport):
    server = await serve(lambda seen: stream(b": hi\n\n", then=HANG))
    with pytest.raises(
        StreamInterrupted, match=r"no sign of life for 0\.1 s \(timeouts\.silence\)"
    ) as caught:
        await read_bytes(transport(server, timeouts=Timeouts(silence=0.1)))
    assert (caught.value.method, caught.value.path) == ("GET", "/events/session")


async def test_a_stream_that_never_opens_names_it_too(serve, transport):
    link = transport(await serve(lambda seen: HANG), timeouts=Timeouts(silence=0.1))
    with pytest.raises(RequestTimeout, match=r"0\.1 s \(timeouts\.silence\)"):
        await read_bytes(link)


CHUNKED = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    "pieces",
    [(CHUNKED, b"5\r\n: hi\n\r\n", b"ff\r\nab"), (CHUNKED, b"5\r\n: hi\n\r\n", b"ZZ\r\nnonsense\r\n")],
    ids=["cut", "garbage"],
)
async def test_bad_chunks_do_not_hang(serve, transport, pieces):
    async def script():
        for piece in pieces:
            yield piece
            await asyncio.sleep(0.02)

    link = transport(await serve(lambda seen: script()), timeouts=Timeouts(silence=0.3))
    got: list[bytes] = []
    with pytest.raises(StreamInterrupted, match="GET /events/session: ") as caught:
        await read_bytes(link, got)
    assert b"".join(got).startswith(b": hi\n")
    assert caught.value.path == "/events/session"


async def test_an_error_status_is_an_api_error(serve, transport):
    answer = Reply(404, {"type": PROBS + "url-not-found", "title": "Unknown URL path."})
    link = transport(await serve(lambda seen: answer))
    with pytest.raises(NotFound, match="Unknown URL path") as caught:
        await read_bytes(link)
    assert caught.value.status == 404
