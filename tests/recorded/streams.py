"""What does not end with one answer: event streams, and conversations over WebSocket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import aiohttp

from .capture import Frame

_LIMIT = 15.0
_QUIET = 0.3
_PATIENCE = 1.5


class Stream:
    """Reads an event stream in the background."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.raw = b""
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(aiohttp.ClientError):
            async for chunk in self.response.content.iter_any():
                self.raw += chunk

    async def until_quiet(self, expected: int) -> None:
        """Wait until nothing has come for a while: not long if there are as many events as expected."""
        count, since = -1, time.monotonic()
        while True:
            now, heard = time.monotonic(), len(self.events)
            if heard != count:
                count, since = heard, now
            if now - since > (_QUIET if heard >= expected and b": ping" in self.raw else _PATIENCE):
                return
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.response.close()

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events so far: `(name, data)`."""
        found = []
        for block in self.raw.decode().split("\r\n\r\n"):
            lines = block.split("\r\n")
            if lines[0].startswith("event: ") and len(lines) > 1:
                found.append((lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))))
        return found


async def converse(
    socket: aiohttp.ClientWebSocketResponse, script: tuple[Frame, ...], localised: Callable[[str], str]
) -> list[Frame]:
    """Say what the client said; after each of its frames, hear the server out as far as the recorder did."""
    said: list[Frame] = []
    for i, frame in enumerate(script):
        if frame.sender == "client":
            said.append(frame)
            if frame.kind == "text":
                await socket.send_str(localised(frame.payload))
            elif frame.kind == "binary":
                await socket.send_bytes(frame.payload.encode())
            elif frame.kind == "close":
                await socket.close()
            if any(f.kind == "binary" for f in _until_client(script[i + 1 :])):
                said += await _hear_bytes(socket)
            elif heard := [f for f in _until_client(script[i + 1 :]) if f.kind == "text"]:
                said += await _hear(socket, until=heard[-1].json["status"])
        elif frame.kind == "close":
            await socket.close()
            said.append(Frame("server", "close", socket.close_code))
    return said


async def _hear_bytes(socket: aiohttp.ClientWebSocketResponse) -> list[Frame]:
    """All bytes up to the end: how they are cut is chance."""
    data = b""
    async with asyncio.timeout(_LIMIT):
        while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            data += message.data
    heard = [Frame("server", "binary", data.decode())]
    if socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return [*heard, Frame("server", "eof", None)]
    return [*heard, Frame("server", "close", socket.close_code)]


def _until_client(frames: tuple[Frame, ...]) -> Iterator[Frame]:
    for frame in frames:
        if frame.sender == "client":
            return
        yield frame


async def _hear(socket: aiohttp.ClientWebSocketResponse, until: str) -> list[Frame]:
    heard: list[Frame] = []
    async with asyncio.timeout(_LIMIT):
        while not heard or heard[-1].json["status"] != until:
            heard.append(Frame("server", "text", await socket.receive_str()))
    return heard
