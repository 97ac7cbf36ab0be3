"""A server that plays answers back byte for byte, so that they pass through all of the SDK."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import attrs


@attrs.frozen
class Part:
    """One answer, and which requests get it: the method, and a pattern of the whole path."""

    method: str
    path: str
    answer: bytes


def json_answer(body: object) -> bytes:
    """An answer of our own making, for what a call asks besides."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


class Playback:
    """Answers each request with the first part that fits, and keeps what was asked."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._writers: set[asyncio.StreamWriter] = set()
        self.asked: list[str] = []
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await self._skip_body(reader, head)
                method, target, _ = head.partition("\r\n")[0].split(" ")
                self.asked.append(f"{method} {target}")
                writer.write(self._answer(method, target.partition("?")[0]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            self._writers.discard(writer)
            writer.close()

    @staticmethod
    async def _skip_body(reader: asyncio.StreamReader, head: str) -> None:
        if found := re.search(r"(?im)^content-length: (\d+)", head):
            await reader.readexactly(int(found[1]))
        elif re.search(r"(?im)^transfer-encoding: chunked", head):
            while (size := int(await reader.readline(), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readline()

    def _answer(self, method: str, path: str) -> bytes:
        for part in self._parts:
            if part.method == method and re.fullmatch(part.path, path):
                return part.answer
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
