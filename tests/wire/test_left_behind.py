"""Whatever ends a connection, nothing stays: no task, no socket, no warning, no place at the gate."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from wire_manager import HANG, RESET, Manager, Reply, listing

from backendai_sdk import (
    AsyncSession,
    BackendAIError,
    ClientClosed,
    RetryPolicy,
    Timeouts,
    TransportError,
    UsageError,
)
from backendai_sdk._transport import Transport
from backendai_sdk._wire.request import Request
from backendai_sdk.config import Config

GET = Request(method="GET", path="/x", idempotent=True)
POST = Request(method="POST", path="/x", json={})
KEYS = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


def sockets() -> int:
    """Open sockets of this process."""
    gc.collect()
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except OSError:
            continue
    return found


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)


ENDS = {
    "fine": Reply(200, {}),
    "kept alive": Reply(200, {}, {"connection": "keep-alive"}),
    "404": Reply(404, {}),
    "garbage": b"\x00\xff\r\n\r\n",
    "reset": RESET,
    "closed": b"",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "silence": HANG,
}


@linux
@pytest.mark.parametrize("answer", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("stream", [False, True], ids=["request", "stream"])
async def test_no_socket_and_no_task(serve, answer, stream):
    server = await serve(lambda seen: answer)
    await settle()
    before = sockets(), len(asyncio.all_tasks())
    limits = Timeouts(request=0.1, silence=0.1)
    link = Transport(
        Config(endpoint=server.endpoint, **KEYS, timeouts=limits, retry=RetryPolicy(max_attempts=1))
    )
    try:
        if stream:
            async with link.stream(GET) as body:
                async for _ in body:
                    pass
        else:
            await link.send(GET)
    except BackendAIError:
        pass
    assert link._shared.gate.limiter.in_flight == 0
    await link.close()
    await settle()
    assert (sockets(), len(asyncio.all_tasks())) == before


@linux
async def test_cancelled_at_every_moment(serve):
    async def slowly():
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
        await asyncio.sleep(0.002)
        yield b"\r\n{"
        await asyncio.sleep(0.002)
        yield b" }"

    server = await serve(lambda seen: slowly())
    await settle()
    before = sockets()
    link = Transport(Config(endpoint=server.endpoint, **KEYS))
    for turns in range(0, 60, 2):
        task = asyncio.create_task(link.json(POST))
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert link._shared.gate.limiter.in_flight == 0
    assert not link._shared.lock.locked()
    assert await link.json(POST) == {}
    await link.close()
    await settle()
    assert sockets() == before


async def test_closed_is_closed(serve, client):
    server = await serve(lambda seen: listing())
    api = await client(server)
    await api.list()
    await api.close()
    with pytest.raises(ClientClosed, match="was closed; make a new one"):
        await api.list()
    await api.close()
    assert repr(api) == "<AsyncSession closed>"


async def test_closed_while_a_request_waits_for_its_next_attempt(serve, transport):
    server = await serve(lambda seen: Reply(503, {}))
    link = transport(server, retry=RetryPolicy(max_attempts=1000, base=0.05, cap=0.05))
    task = asyncio.create_task(link.json(GET))
    while not server.asked:
        await asyncio.sleep(0.005)
    await link.close()
    with pytest.raises(ClientClosed):
        await task


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_closed_while_a_request_is_under_way(serve, transport, request_):
    server = await serve(lambda seen: HANG)
    link = transport(server)
    task = asyncio.create_task(link.json(request_))
    while not server.asked:
        await asyncio.sleep(0.005)
    await link.close()
    with pytest.raises((ClientClosed, TransportError)):
        await asyncio.wait_for(task, 5)
    assert link._shared.gate.limiter.in_flight == 0


async def test_closed_while_a_stream_is_read(serve, transport):
    async def script():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n"
        await asyncio.Event().wait()

    link = transport(await serve(lambda seen: script()))

    async def read():
        async with link.stream(GET) as body:
            async for _ in body:
                opened.set()

    opened = asyncio.Event()
    task = asyncio.create_task(read())
    await opened.wait()
    await link.close()
    # A body without a length may simply end here; what must not happen is that it goes on waiting.
    (ended,) = await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
    assert ended is None or isinstance(ended, BackendAIError)


async def test_a_session_that_was_never_used(client):
    await client("http://127.0.0.1:1")
    AsyncSession("http://127.0.0.1:1", **KEYS)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_loop_takes_new_connections():
    """Nobody closed those of the first loop, and Python may say so; they must not be used any more."""

    async def once(answers: list[Transport]) -> None:
        async with Manager(lambda seen: Reply(200, {}, {"connection": "keep-alive"})) as server:
            config = Config(endpoint=server.endpoint, **KEYS)
            link = answers[0].with_config(config) if answers else Transport(config)
            answers[:] = [link]
            await link.json(POST)

    kept: list[Transport] = []
    asyncio.run(once(kept))
    asyncio.run(once(kept))
    asyncio.run(kept[0].close())
    gc.collect()


def test_two_running_loops_are_refused(tmp_path: Path):
    import threading

    link = Transport(Config(endpoint="http://127.0.0.1:1", **KEYS))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def open_() -> None:
        link._shared.connect(link.config)

    asyncio.run_coroutine_threadsafe(open_(), loop).result(5)
    try:
        with pytest.raises(UsageError, match="another event loop that still runs"):
            asyncio.run(open_())
    finally:
        asyncio.run_coroutine_threadsafe(link.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
