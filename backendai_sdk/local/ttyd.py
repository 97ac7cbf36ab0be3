"""The app `ttyd`: a shell in the browser, or in whatever speaks its WebSocket.

Assumes what ttyd 1.7 does, by its protocol: the first message is JSON with the size, later ones begin with one
letter. There is no page, only the socket; each connection is a shell of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from .terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Ttyd"]

_SHELL: Final = ("/bin/sh", "-i")


class Ttyd:
    """The running app of one session."""

    def __init__(self, work_dir: Path, environ: Mapping[str, str]) -> None:
        self._work_dir = work_dir
        self._environ = environ
        self._sockets: set[web.WebSocketResponse] = set()
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        app.router.add_get("/token", self._token)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> int:
        """Listen on a port of this machine's loopback address; which one."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Hang up every shell."""
        for socket in tuple(self._sockets):
            with contextlib.suppress(ConnectionError):
                await socket.close()
        await self._runner.cleanup()

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"token": ""})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("tty",))
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            hello = _decoded(await socket.receive())
            if hello is None:
                return socket
            terminal = await Terminal.spawn(
                _SHELL,
                cwd=self._work_dir,
                env={**self._environ, "TERM": "xterm-256color"},
                rows=int(hello.get("rows") or 24),
                cols=int(hello.get("columns") or 80),
            )
            try:
                await _converse(socket, terminal, " ".join(_SHELL))
            finally:
                await terminal.close()
        finally:
            self._sockets.discard(socket)
            await socket.close()
        return socket


def _decoded(message: Any) -> dict[str, Any] | None:
    if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
        return None
    try:
        hello = json.loads(message.data)
    except ValueError:
        return None
    return hello if isinstance(hello, dict) else None


async def _converse(socket: web.WebSocketResponse, terminal: Terminal, title: str) -> None:
    await socket.send_bytes(b"1" + title.encode())
    await socket.send_bytes(b"2{}")
    tasks = asyncio.ensure_future(_show(socket, terminal)), asyncio.ensure_future(_hear(socket, terminal))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _show(socket: web.WebSocketResponse, terminal: Terminal) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await terminal.read():
            await socket.send_bytes(b"0" + data)


async def _hear(socket: web.WebSocketResponse, terminal: Terminal) -> None:
    async for message in socket:
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY} or not data:
            continue
        if data[:1] == b"0":
            await terminal.write(data[1:])
        elif data[:1] == b"1":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                size = json.loads(data[1:])
                terminal.resize(size["rows"], size["columns"])
