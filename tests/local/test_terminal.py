"""Terminals on the wire: the server's own with its faults, and the app ttyd, whose protocol is spoken here by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from backendai_sdk.local.terminal import Terminal


@asynccontextmanager
async def pty_of(api, name):
    target = f"/stream/session/{name}/pty"
    headers = api.headers("GET", target, "application/octet-stream")
    async with api._session.ws_connect(api.endpoint + target, headers=headers) as socket:
        yield socket


def typed(data):
    return {"type": "stdin", "chars": base64.b64encode(data).decode()}


@pytest.mark.parametrize("release", ["23.09", "24.03"])
async def test_the_first_key_ends_the_servers_own(both, release):
    _, api = await both(release)
    await api.create("pty-1")
    async with pty_of(api, "pty-1") as socket:
        await socket.send_json({"type": "resize", "rows": 30, "cols": 100})
        await socket.send_str("no frame")
        await socket.send_json(typed(b"echo hi\n"))
        assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000


@pytest.mark.parametrize("release", ["25.19", "26.8", "26.9"])
async def test_later_it_shows_nothing(both, release):
    _, api = await both(release)
    await api.create("pty-1")
    async with pty_of(api, "pty-1") as socket:
        await socket.send_json(typed(b"echo hi\n"))
        assert await api.run("pty-1", "print('runs')") == "runs\n"
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)


async def test_it_restarts_the_session(both):
    _, api = await both("23.09")
    await api.create("pty-1")
    await api.run("pty-1", "x = 1")
    async with pty_of(api, "pty-1") as socket:
        await socket.send_json({"type": "restart"})
        await socket.send_json(typed(b"the end"))  # heard after the restart is done
        assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
        assert "NameError" in await api.run("pty-1", "x")


async def test_a_session_that_does_not_run_has_no_terminal(both):
    _, api = await both()
    assert (await api("GET", "/stream/session/no-such/pty")).status == 404


async def test_ttyd(both):
    _, api = await both()
    await api.create("pty-1")
    started = (await api("POST", "/session/pty-1/start-service", body={"app": "ttyd"})).json
    async with aiohttp.ClientSession() as browser:
        page = f"{api.endpoint}/v2/proxy/{started['token']}/pty-1/add?app=ttyd&protocol=http"
        async with browser.get(page) as answer:
            url = (await answer.json())["url"]
        async with browser.ws_connect(url + "ws", protocols=["tty"]) as socket:
            assert socket.protocol == "tty"
            await socket.send_bytes(json.dumps({"AuthToken": "", "columns": 91, "rows": 31}).encode())
            kinds, shown = set(), b""
            await socket.send_bytes(b"0stty size\r")
            async with asyncio.timeout(20):
                while b"31 91" not in shown:
                    data = (await socket.receive()).data
                    kinds.add(data[:1])
                    shown += data[1:] if data[:1] == b"0" else b""
                await socket.send_bytes(b"1" + json.dumps({"columns": 51, "rows": 21}).encode())
                await socket.send_bytes(b"1not json")
                await socket.send_bytes(b"")
                await socket.send_bytes(b"0stty size; exit\r")
                async for message in socket:
                    shown += message.data[1:]
            assert kinds == {b"0", b"1", b"2"}
            assert b"21 51" in shown


# --- the terminal itself ----------------------------------------------------------------------------------


async def test_a_program_has_a_controlling_terminal(tmp_path):
    code = "import os; print(os.isatty(0), os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpgrp())"
    terminal = await Terminal.spawn([sys.executable, "-c", code], cwd=tmp_path, env={}, rows=10, cols=20)
    shown = b""
    async with asyncio.timeout(20):
        while data := await terminal.read():
            shown += data
    assert shown == b"True True True\r\n"
    await terminal.write(b"nobody reads this")
    await terminal.close()
    await terminal.close()
    terminal.resize(1, 1)
    assert await terminal.read() == b""


async def test_a_program_that_does_not_read_stops_the_writer(tmp_path):
    code = "import tty; tty.setraw(0); print('ready', flush=True); import time; time.sleep(600)"
    terminal = await Terminal.spawn([sys.executable, "-c", code], cwd=tmp_path, env={})
    async with asyncio.timeout(20):
        assert b"ready" in await terminal.read()
    writing = asyncio.ensure_future(terminal.write(b"x" * (1 << 20)))
    _, waiting = await asyncio.wait([writing], timeout=0.3)
    assert waiting
    await terminal.close()
    async with asyncio.timeout(20):
        await writing


async def test_closing_ends_what_ignores_the_hang_up(tmp_path):
    code = (
        "import signal, time; signal.signal(1, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    )
    terminal = await Terminal.spawn([sys.executable, "-c", code], cwd=tmp_path, env={})
    async with asyncio.timeout(20):
        assert b"ready" in await terminal.read()
        reading = asyncio.ensure_future(terminal.read())
        await asyncio.sleep(0)
        await terminal.close()
        assert await reading == b""
    assert terminal._process.returncode is not None


async def test_a_program_that_does_not_exist(tmp_path):
    terminal = await Terminal.spawn(["/no/such/program"], cwd=tmp_path, env={})
    shown = b""
    async with asyncio.timeout(20):
        while data := await terminal.read():
            shown += data
    assert b"FileNotFoundError" in shown
    await terminal.close()
