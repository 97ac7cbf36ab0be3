"""Apps, forwarded ports, terminals, followed logs, completion; where a session has been and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backendai_sdk import (
    AgentError,
    AppNotFound,
    AsyncComputeSession,
    AsyncPty,
    AsyncSession,
    NotSupported,
    SessionNotReady,
    SessionStatus,
    StreamInterrupted,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = "cpu=1 mem=512m"


async def get(port: int, path: str) -> bytes:
    """The whole answer to one HTTP/1.0 request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


async def shown(terminal: AsyncIterator[bytes], text: bytes) -> None:
    """Read until the terminal shows *text*."""
    seen = b""
    async with asyncio.timeout(20):
        async for data in terminal:
            seen += data
            if text in seen:
                return
    raise AssertionError(f"the terminal has ended with {seen[-200:]!r}")


# --- apps ------------------------------------------------------------------------------------------------


@pytest.mark.needs_code
async def test_apps(cs: AsyncComputeSession) -> None:
    apps = {app.name: app for app in await cs.apps()}
    assert {"simple", "ttyd"} <= set(apps)
    assert apps["simple"].protocol == "http"
    assert len(apps["simple"].ports) == 1


@pytest.mark.needs_code
async def test_a_forwarded_port(cs: AsyncComputeSession, unique: str) -> None:
    """Several connections, one after another and at once, each with its own answer."""
    (await cs.execute(f"for i in range(4): open(f'{unique}-{{i}}.txt', 'w').write('file %d' % i)")).check()
    async with cs.forward_port("simple") as forward:
        assert forward.url == f"http://127.0.0.1:{forward.port}"
        assert (await get(forward.port, f"/{unique}-0.txt")).endswith(b"\r\n\r\nfile 0")
        answers = await asyncio.gather(*(get(forward.port, f"/{unique}-{i}.txt") for i in range(4)))
        assert [answer[-6:] for answer in answers] == [b"file 0", b"file 1", b"file 2", b"file 3"]
        assert forward.last_error is None


@pytest.mark.needs_code
async def test_an_app_is_started_and_stopped(cs: AsyncComputeSession) -> None:
    access = await cs.start_app("simple")
    assert access.token
    assert access.proxy_address.startswith("http")
    await cs.stop_app("simple")
    await cs.stop_app("simple")  # one that does not run is no error


async def test_an_app_that_there_is_not(cs: AsyncComputeSession) -> None:
    with pytest.raises(AppNotFound):
        async with cs.forward_port("no-such-app"):
            pass
    with pytest.raises(AppNotFound):
        await cs.start_app("no-such-app")


# --- terminals -------------------------------------------------------------------------------------------


@pytest.mark.needs_code
@pytest.mark.fault(
    "23.9.10",
    "its ttyd runs a tmux that crashes as it starts (seen)",
    raises=(AssertionError, StreamInterrupted),  # before something is typed, or after
)
async def test_a_terminal(cs: AsyncComputeSession) -> None:
    async with cs.pty(rows=30, cols=100) as terminal:
        assert isinstance(terminal, AsyncPty)
        assert terminal.via == "ttyd"
        shows = aiter(terminal)
        await terminal.send(b"echo $((6 * 7))-answer\r")  # what is typed is shown too, and is not the answer
        await shown(shows, b"42-answer")


@pytest.mark.needs_code
async def test_the_terminal_of_the_server(cs: AsyncComputeSession) -> None:
    """It works on none of these releases (PROTOCOL §4.3): said before anything is opened."""
    with pytest.raises(NotSupported, match="does not work"):
        async with cs.pty(via="server"):
            pass


# --- logs and completion ---------------------------------------------------------------------------------


@pytest.mark.needs_code
async def test_the_log_is_followed_to_the_end(server: Any, api: AsyncSession, unique: str) -> None:
    seen: list[str] = []
    began = asyncio.Event()

    async def follow(cs: AsyncComputeSession) -> None:
        async for text in cs.stream_logs(interval=0.2):
            seen.append(text)
            began.set()

    async with api.create("python", name=f"{unique}-log", resources=SMALL) as cs:
        await cs.execute("print('before')")
        said = await cs.logs()
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(follow(cs))
            if said:
                await began.wait()
            await cs.destroy()
    assert "".join(seen).startswith(said)
    if server.is_local:  # what a real container says of runs is no part of this
        assert "before\n" in said


@pytest.mark.needs_code
@pytest.mark.fault("23.9.10", "500 after ten seconds (seen)", raises=AgentError)
@pytest.mark.fault("26.9.6", "always an empty list (seen)")
async def test_completion(cs: AsyncComputeSession) -> None:
    await cs.execute("my_long_name = 1")
    assert "my_long_name" in await cs.complete("print(my_long")


# --- where it has been, what it waits for ----------------------------------------------------------------


async def test_the_history_of_a_session(api: AsyncSession, unique: str) -> None:
    async with api.create("python", name=f"{unique}-history", resources=SMALL) as cs:
        history = await cs.status_history()
        assert {SessionStatus.PENDING, SessionStatus.RUNNING} <= set(history)
        assert list(history.values()) == sorted(history.values())
        await cs.destroy()
        await cs.wait("dead", timeout=90)
        assert SessionStatus.TERMINATED in await cs.status_history()


async def test_what_a_session_waits_for(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    waiting = await api.create("python", name=f"{unique}-waits", dependencies=[cs.id], enqueue_only=True)
    try:
        graph = await waiting.dependency_graph()
        assert (graph.session_id, graph.session_name) == (waiting.id, waiting.name)
        assert [node.session_id for node in graph.depends_on] == [cs.id]
        with pytest.raises(SessionNotReady):
            await waiting.apps()
    finally:
        await waiting.destroy()
