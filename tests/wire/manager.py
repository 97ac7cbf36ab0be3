"""A manager that does what a test says, byte by byte: a raw server on loopback, and a signer of its own.

Nothing here is shared with the SDK.  Each connection carries one request; the test's script says what is
answered: a :class:`Reply`, raw bytes, pieces one after the other, nothing at all, or a reset.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Self

import attrs

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PROBS = "https://api.backend.ai/probs/"
PROBLEM = {"content-type": "application/problem+json"}


class Silence:
    """Never answers; waits until the client hangs up."""


class Reset:
    """Cuts the connection with a reset."""


HANG, RESET = Silence(), Reset()


@attrs.define
class Reply:
    """A well-formed answer."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = attrs.field(factory=dict)


class Peer:
    """The server's end of a WebSocket, frame by frame (RFC 6455); clients mask, servers do not."""

    TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: str | bytes, opcode: int | None = None) -> None:
        payload = data.encode() if isinstance(data, str) else data
        kind = opcode if opcode is not None else self.TEXT if isinstance(data, str) else self.BINARY
        size = len(payload)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([size])
        else:
            head += b"\x7e" + size.to_bytes(2) if size < 2**16 else b"\x7f" + size.to_bytes(8)
        self.writer.write(head + payload)
        await self.writer.drain()

    async def say(self, **message: object) -> None:
        await self.send(json.dumps(message))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame whatever it is: its opcode and its payload."""
        first, second = await self.reader.readexactly(2)
        assert second & 0x80, "a client's frame must be masked"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))

    async def hear(self) -> str:
        """The next text; pings on the way are answered."""
        while (got := await self.frame())[0] != self.TEXT:
            assert got[0] in {self.PING, self.PONG}, got
            if got[0] == self.PING:
                await self.send(got[1], self.PONG)
        return got[1].decode()

    async def close(self, code: int = 1000) -> None:
        """Say that it is over, and wait until the client says so too."""
        await self.send(code.to_bytes(2), self.CLOSE)
        while (await self.frame())[0] != self.CLOSE:
            pass


@attrs.define
class Upgrade:
    """Become a WebSocket, and talk; the connection is cut when *talk* returns."""

    seen: Seen
    talk: Callable[[Peer], Awaitable[None]]
    accept: str | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = self.seen.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = self.accept or base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await self.talk(Peer(reader, writer))


@attrs.define
class Seen:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    header_names: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def route(self) -> str:
        return f"{self.method} {self.target.partition('?')[0]}"


Script = Callable[[Seen], Any]


def problem(status: int, slug: str, title: str = "", **more: object) -> Reply:
    """An error answer as managers give it."""
    return Reply(status, {"type": PROBS + slug, "title": title, **more}, dict(PROBLEM))


def listing(*rows: dict[str, object]) -> Reply:
    """The answer to a list query."""
    data = {"compute_session_list": {"items": list(rows), "total_count": len(rows)}}
    return Reply(200, {"data": data})


def signature(seen: Seen, secret: str, *, content_type: str | None = None) -> str:
    """PROTOCOL §1.2, written from its text."""
    names = seen.headers
    mime = (
        content_type
        or names.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    )
    date = names["date"]
    text = "\n".join(
        [
            seen.method,
            seen.target,
            date,
            "host:" + names["host"],
            "content-type:" + mime,
            "x-backendai-version:" + names["x-backendai-version"],
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    day = datetime.fromisoformat(date).strftime("%Y%m%d")
    key = secret.encode()
    for part in (day, names["host"]):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Manager:
    """A scripted manager; ``seen`` has every request, the one for the version included."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        version: object = None,
        clock: timedelta = timedelta(),
        check: bool = True,
        tls: ssl.SSLContext | None = None,
        prefix: str = "",
    ) -> None:
        self.script = script or (lambda seen: Reply(200, {}))
        self.version = version or {"version": "v7.20230615", "manager": "23.09.10"}
        self.clock = clock
        self.check = check
        self.seen: list[Seen] = []
        self.refused: list[str] = []
        self.endpoint = ""
        self.open = 0
        self._prefix = prefix
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def asked(self) -> list[Seen]:
        """Every request but the ones for the version."""
        return [s for s in self.seen if s.target != f"{self._prefix}/"]

    @property
    def routes(self) -> list[str]:
        return [s.route for s in self.asked]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"http{'s' if self._tls else ''}://127.0.0.1:{port}{self._prefix}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            seen = await read_request(reader)
            self.seen.append(seen)
            await self._answer(self._refusal(seen) or self._version_or_script(seen), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def _version_or_script(self, seen: Seen) -> Any:
        return Reply(200, self.version) if seen.target == f"{self._prefix}/" else self.script(seen)

    def _refusal(self, seen: Seen) -> Reply | None:
        """The checks of PROTOCOL §1.4."""
        if not self.check or "authorization" not in seen.headers:
            return None
        sent = datetime.fromisoformat(seen.headers["date"])
        if abs(sent - (datetime.now(UTC) + self.clock)) > timedelta(minutes=15):
            self.refused.append("date")
            return problem(400, "invalid-auth-params", msg="Date/time sync error")
        scheme, _, rest = seen.headers["authorization"].partition(" ")
        params = dict(p.strip().split("=", 1) for p in rest.split(","))
        access, _, signed = params["credential"].partition(":")
        assert (scheme, params["signMethod"]) == ("BackendAI", "HMAC-SHA256")
        if access != ACCESS:
            return problem(401, "auth-failed", "Credential/signature mismatch.", msg="Access key not found")
        if signed != signature(seen, SECRET):
            return problem(401, "auth-failed", "Credential/signature mismatch.", msg="Signature mismatch")
        return None

    async def _answer(self, answer: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(answer, Awaitable):
            answer = await answer
        match answer:
            case Upgrade():
                await answer.serve(reader, writer)
            case Silence():
                await reader.read()
            case Reset():
                writer.transport.abort()
            case bytes():
                writer.write(answer)
                await writer.drain()
            case Reply():
                writer.write(self.encode(answer))
                await writer.drain()
            case AsyncIterator():
                async for piece in answer:
                    writer.write(piece)
                    await writer.drain()
            case _:
                raise AssertionError(f"a script gave {answer!r}")

    def encode(self, reply: Reply) -> bytes:
        """An answer's bytes, dated by this server's clock."""
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.body is None:
            body = b""
        headers = {
            "date": format_datetime(datetime.now(UTC) + self.clock, usegmt=True),
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(body)),
            "connection": "close",
        } | reply.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode() + body


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """One request, its body by Content-Length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""] for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return Seen(method, target, headers, body, [name for name, _ in pairs])
