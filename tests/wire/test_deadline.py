"""deadline() around streams and runs: it ends the waiting, the clean-up is done all the same."""

from __future__ import annotations

import asyncio

import pytest
from wire_manager import HANG, Reply, listing

from backendai_sdk import AsyncComputeSession, DeadlineExceeded, SessionInfo, SessionStatus, deadline

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
ROW = {"id": UUID, "name": "waits", "status": "RUNNING", "status_info": None}


def handle(api) -> AsyncComputeSession:
    info = SessionInfo(id=UUID, name="waits", status=SessionStatus.RUNNING)
    return AsyncComputeSession(api._client, info)


async def silent_stream():
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    await asyncio.Event().wait()


async def test_an_event_stream_ends_with_the_deadline(serve, client):
    api = await client(await serve(lambda seen: silent_stream() if seen.method == "GET" else listing(ROW)))
    with pytest.raises(DeadlineExceeded), deadline(0.3):
        async with handle(api).stream_events() as events:
            async for _ in events:
                raise AssertionError("nothing happens")


async def test_opening_an_event_stream_ends_with_the_deadline(serve, client):
    api = await client(await serve(lambda seen: HANG if seen.method == "GET" else listing(ROW)))
    with pytest.raises(DeadlineExceeded), deadline(0.3):
        async with handle(api).stream_events():
            raise AssertionError("it cannot open")


@pytest.mark.parametrize("how", ["stream_execute", "execute"])
async def test_a_run_is_interrupted_when_the_deadline_ends(serve, client, how):
    """The poll that hangs answers once the code was interrupted: the run is read to its end."""
    interrupted = asyncio.Event()
    seen_routes = []

    async def script(seen):
        seen_routes.append(seen.route)
        if "interrupt" in seen.target:
            interrupted.set()
            return Reply(204)
        if seen.route == f"POST /session/{UUID}":
            await interrupted.wait()
            return Reply(200, {"result": {"status": "finished", "exitCode": 0, "console": [], "runId": "x"}})
        return listing(ROW)

    api = await client(await serve(script))
    session = handle(api)
    with pytest.raises(DeadlineExceeded), deadline(0.2):
        if how == "execute":
            await session.execute("while True: pass")
        else:
            async with session.stream_execute("while True: pass") as run:
                async for _ in run:
                    raise AssertionError("nothing is written")
    assert interrupted.is_set()
    assert seen_routes.count(f"POST /session/{UUID}") == 1
    assert (await session.execute("1")).ok
