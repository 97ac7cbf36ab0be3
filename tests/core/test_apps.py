"""Apps and forwarded ports, async and blocking, on every release."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from backendai_sdk import (
    AgentError,
    AppNotFound,
    ConnectError,
    InvalidArgument,
    LocalCluster,
    SessionNotReady,
    UsageError,
)

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
SHOWN = "import os; os.makedirs('shown', exist_ok=True); open('shown/hello.txt', 'w').write('hello')"

# Answers every connection by what it sends, changed; ends with the session.
ECHO = """
import asyncio
async def serve(reader, writer):
    while chunk := await reader.read(65536):
        writer.write(chunk.swapcase())
        await writer.drain()
    writer.close()
async def start():
    return await asyncio.start_server(serve, "127.0.0.1", {port})
import threading
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(start(), loop).result(10)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def get(port: int, path: str) -> bytes:
    """The whole answer to one HTTP/1.0 request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def echo_session(api: Any, port: int, **options: Any) -> Any:
    cs = await api.create("python", preopen_ports=[port], **options)
    (await cs.execute(ECHO.format(port=port))).check()
    return cs


@RELEASES
async def test_the_apps_of_a_session(api: Any, release: str) -> None:
    port = free_port()
    async with api.create("python", preopen_ports=[port]) as cs:
        apps = {app.name: app for app in await cs.apps()}
        assert set(apps) == {"sshd", "ttyd", "simple", str(port)}
        assert (apps["simple"].protocol, apps["simple"].ports) == ("http", (8088,))
        assert (apps[str(port)].protocol, apps[str(port)].ports) == ("preopen", (port,))


@RELEASES
async def test_a_forwarded_port_leads_to_the_app(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        await cs.execute(SHOWN)
        async with cs.forward_port("simple") as forward:
            assert forward.url == f"http://127.0.0.1:{forward.port}"
            assert forward.app.name == "simple"
            for _ in range(2):
                assert (await get(forward.port, "/shown/hello.txt")).endswith(b"\r\n\r\nhello")
            assert forward.last_error is None
            port = forward.port
        with pytest.raises(OSError):
            await get(port, "/")
        with pytest.raises(UsageError, match="not forwarded"):
            forward.url


async def test_arguments_reach_the_app(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.execute(SHOWN)
        async with cs.forward_port("simple", args={"--directory": "shown"}) as forward:
            assert (await get(forward.port, "/hello.txt")).endswith(b"\r\n\r\nhello")
        with pytest.raises(AgentError, match="--cgi"):
            await cs.stop_app("simple")
            async with cs.forward_port("simple", args={"--cgi": None}):
                pass
        with pytest.raises(AgentError, match="SECRET"):
            await cs.start_app("simple", env={"SECRET": "1"})


@pytest.mark.parametrize("release", ["23.09", "26.9"])
async def test_many_connections_at_once_carry_much(api: Any, release: str) -> None:
    """Each gets its own bytes back, in order, although all of them are sent far more than is read at first."""
    port = free_port()
    cs = await echo_session(api, port)
    async with cs:
        async with cs.forward_port(str(port)) as forward:

            async def converse(number: int) -> bool:
                reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
                sent = (f"Line {number} " * 20_000).encode()

                async def send() -> None:
                    writer.write(sent)
                    await writer.drain()

                sending = asyncio.ensure_future(send())
                got = await reader.readexactly(len(sent))
                await sending
                writer.close()
                return got == sent.swapcase()

            async with asyncio.timeout(25):
                assert all(await asyncio.gather(*map(converse, range(12))))
            assert forward.last_error is None


async def test_a_reader_that_does_not_read_stops_the_app_from_sending(way: str, api: Any) -> None:
    port = free_port()
    flood = f"""
import socket, threading
sent = 0
server = socket.create_server(("127.0.0.1", {port}))
def serve():
    while True:
        connection, _ = server.accept()
        threading.Thread(target=pour, args=(connection,), daemon=True).start()
def pour(connection):
    global sent
    try:
        while True:
            sent += connection.send(b"x" * 65536)
    except OSError:
        pass
threading.Thread(target=serve, daemon=True).start()
"""
    async with api.create("python", preopen_ports=[port]) as cs:
        (await cs.execute(flood)).check()
        async with cs.forward_port(str(port)) as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            assert await reader.readexactly(1) == b"x"

            async def sent() -> int:
                return int((await cs.execute("print(sent)")).stdout)

            before = -1
            async with asyncio.timeout(20):
                while (now := await sent()) != before:  # it grows until everything in between is full
                    before = now
                    await asyncio.sleep(0.3)
            assert now < 64 << 20
            async with asyncio.timeout(20):
                await reader.readexactly(now + (1 << 20))  # and goes on when somebody reads
            writer.close()


async def test_the_end_of_what_is_sent_lets_the_answer_through(api: Any) -> None:
    """Half-closed as `printf … | nc` does it: the answer still comes, and then the end."""
    async with api.create("python") as cs:
        await cs.execute(SHOWN)
        async with cs.forward_port("simple") as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            writer.write(b"GET /shown/hello.txt HTTP/1.0\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(20):
                assert (await reader.read()).endswith(b"hello")
            writer.close()


async def test_leaving_ends_open_connections(api: Any) -> None:
    port = free_port()
    cs = await echo_session(api, port)
    async with cs:
        async with cs.forward_port(str(port)) as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            writer.write(b"ABC")
            assert await reader.readexactly(3) == b"abc"
            assert forward.connections == 1
        with pytest.raises(ConnectionResetError):  # a cut connection must not look like an ended one
            assert await reader.read() is None
        writer.close()
        assert forward.connections == 0


async def test_the_end_of_the_session_ends_its_connections(api: Any) -> None:
    port = free_port()
    cs = await echo_session(api, port)
    async with cs:
        async with cs.forward_port(str(port)) as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            writer.write(b"ABC")
            assert await reader.readexactly(3) == b"abc"
            await cs.destroy()
            await cs.wait("dead", timeout=20)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(OSError):  # reset at once, and the reason is told
                await get(forward.port, "/")
            assert forward.last_error is not None


async def test_a_port_on_which_nothing_listens_yet(api: Any) -> None:
    port = free_port()
    async with api.create("python", preopen_ports=[port]) as cs:
        async with cs.forward_port(str(port)) as forward:
            with pytest.raises(ConnectionResetError):
                await get(forward.port, "/")
            assert isinstance(forward.last_error, ConnectError)
            assert "nothing listens" in str(forward.last_error)
            (await cs.execute(ECHO.format(port=port))).check()
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            writer.write(b"now")
            assert await reader.readexactly(3) == b"NOW"
            writer.close()


@RELEASES
async def test_what_cannot_be_forwarded(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        with pytest.raises(AppNotFound, match="has no app 'nothing'; it has: sshd, ttyd, simple"):
            async with cs.forward_port("nothing"):
                pass
        with pytest.raises(AgentError, match="could not be started"):
            async with cs.forward_port("sshd"):
                pass
        with pytest.raises(InvalidArgument, match="app"):
            cs.forward_port("")
        with pytest.raises(InvalidArgument, match="local_port"):
            cs.forward_port("simple", 70000)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InvalidArgument, match=f"{port} is in use"):
                async with cs.forward_port("simple", port):
                    pass
        forward = cs.forward_port("simple")
        async with forward:
            with pytest.raises(UsageError, match="again"):
                await forward.__aenter__()


async def test_a_port_of_ones_choice(api: Any) -> None:
    port = free_port()
    async with api.create("python") as cs:
        for _ in range(2):  # free again as soon as the block is left
            async with cs.forward_port("simple", port) as forward:
                assert forward.port == port
                assert b"200 OK" in await get(port, "/")


async def test_a_session_that_does_not_run_has_no_apps(small_api: Any) -> None:
    async with small_api.create("python", resources={"cpu": 2, "mem": "1g"}) as first:
        waiting = await small_api.create("python", resources={"cpu": 2, "mem": "1g"}, enqueue_only=True)
        for what in (
            waiting.apps(),
            waiting.start_app("simple"),
            waiting.forward_port("simple").__aenter__(),
        ):
            with pytest.raises((SessionNotReady, AppNotFound)):
                await what
        await waiting.destroy()
        await first.destroy()
        await first.wait("dead", timeout=20)
        for call in (first.apps, lambda: first.start_app("simple"), lambda: first.stop_app("simple")):
            with pytest.raises(SessionNotReady, match="has ended"):
                await call()


@RELEASES
async def test_start_and_stop(api: Any, release: str, cluster: LocalCluster) -> None:
    async with api.create("python") as cs:
        access = await cs.start_app("simple")
        assert access.app == "simple"
        assert access.proxy_address == cluster.endpoint
        assert access.token not in repr(access)
        await cs.stop_app("simple")
        await cs.stop_app("simple")
        with pytest.raises(AppNotFound):
            await cs.start_app("nothing")
        with pytest.raises(InvalidArgument, match="port"):
            await cs.start_app("simple", port=80)


async def test_cancelling_leaves_nothing(way: str, api: Any) -> None:
    """A forward that is cancelled while it is entered, or while it carries, gives its port back."""
    if way == "sync":
        pytest.skip("blocking calls are interrupted, not cancelled")
    port, listening = free_port(), free_port()
    cs = await echo_session(api, listening)
    async with cs:

        async def use() -> None:
            async with cs.forward_port(str(listening), port):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"x")
                await asyncio.sleep(3600)

        for pause in (0, 0.001, 0.01, 0.05, 0.3):
            task = asyncio.ensure_future(use())
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            async with cs.forward_port(str(listening), port):
                pass


async def test_a_forward_that_was_not_entered_holds_nothing(api: Any) -> None:
    async with api.create("python") as cs:
        forward = cs.forward_port("simple")
        assert "closed" in repr(forward)
        for name in ("port", "url", "app"):
            with pytest.raises(UsageError):
                getattr(forward, name)
