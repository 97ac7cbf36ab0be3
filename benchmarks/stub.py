"""A manager that does no work, so that clients are what is measured: canned answers from a bare protocol.

``python benchmarks/stub.py EVENTS`` prints its address and serves on loopback until its standard input ends.  It
refuses requests without a signature, but does not check it; the tests do.  The code of a run is the number of
answers wanted.  An event stream has EVENTS events and the one that ends the session; the session's id, read as a
number, says how many come in one chunk.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

_IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
_CONSOLE = [["stdout", "hello world\n"]]
# A row has the fields that the query names.
_ROW: dict[str, object] = {
    "name": "bench",
    "access_key": "AKIAIOSFODNN7EXAMPLE",
    "image": _IMAGE,
    "type": "INTERACTIVE",
    "status": "RUNNING",
    "status_changed": "2026-11-22T06:00:00+00:00",
    "created_at": "2026-11-22T06:00:00+00:00",
    "cluster_size": 1,
    "result": "UNDEFINED",
    "occupying_slots": '{"cpu": "1", "mem": "1073741824"}',
}
_EVENT = {
    "reason": "",
    "sessionName": "bench",
    "ownerAccessKey": "AKIAIOSFODNN7EXAMPLE",
    "sessionId": "",
    "exitCode": None,
}


def answer(body: object, status: str = "200 OK") -> bytes:
    """A whole answer over HTTP."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def chunk(data: bytes) -> bytes:
    """A piece of a body whose length is not known beforehand."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def frame(message: object) -> bytes:
    """A WebSocket's text frame, as servers send it."""
    data = json.dumps(message).encode()
    return b"\x81" + (bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)) + data


def result(run_id: str | None, *, last: bool) -> dict[str, object]:
    """One answer of a run."""
    run = {} if run_id is None else {"runId": run_id}
    return run | {
        "status": "finished" if last else "continued",
        "exitCode": 0 if last else None,
        "options": None,
        "files": [],
        "console": _CONSOLE,
    }


def event_stream(session_id: str, events: int) -> bytes:
    """The whole answer to who asks for events: no two in a row are the same, so each tells something new."""
    burst = UUID(session_id).int
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = json.dumps(_EVENT | {"sessionId": session_id})
    names = ("kernel_pulling", "kernel_creating")
    some = [f"event: {name}\r\ndata: {data}\r\n\r\n".encode() for name in names]
    last = f"event: session_terminated\r\ndata: {data}\r\n\r\n".encode()
    all_of_them = [some[number % 2] for number in range(events)]
    chunks = [chunk(b"".join(all_of_them[at : at + burst])) for at in range(0, events, burst)]
    return head + b"".join(chunks) + chunk(last) + chunk(b"")


class Manager(asyncio.Protocol):
    """One connection."""

    events = 0
    streams: ClassVar[dict[str, bytes]] = {}
    pages: ClassVar[dict[bytes, bytes]] = {}
    runs: ClassVar[dict[str, int]] = {}

    VERSION = answer({"version": "v9.20250722", "manager": "26.9.6"})
    REFUSAL = answer(
        {"type": "https://api.backend.ai/probs/auth-failed", "title": "unsigned"}, "401 Unauthorized"
    )
    DONE = answer(None, "204 No Content").replace(b"Content-Length: 0\r\n", b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.receive: Callable[[], bool] = self.request

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.receive():
            pass

    def request(self) -> bool:
        """Answer the first request in the buffer, if all of it is there."""
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return False
        self.buffer = rest[size:]
        line = head.partition(b"\r\n")[0]
        if line.startswith(b"GET / "):
            self.transport.write(self.VERSION)
        elif b"BackendAI signMethod=HMAC-SHA256, credential=" not in head:
            self.transport.write(self.REFUSAL)
        elif b"/execute" in line:
            self.upgrade(head)
        else:
            self.transport.write(self.reply(line, rest[:size]))
        return True

    def reply(self, line: bytes, body: bytes) -> bytes:
        method, target, _ = line.split(b" ")
        if b"/admin/gql" in target:
            if body not in self.pages:
                self.pages[body] = self.page(json.loads(body))
            return self.pages[body]
        if target.startswith(b"/events/"):
            session_id = target.partition(b"sessionId=")[2][:36].decode()
            if session_id not in self.streams:
                self.streams[session_id] = event_stream(session_id, self.events)
            return self.streams[session_id]
        if target.endswith(b"/interrupt"):
            return self.DONE
        if method == b"POST":
            return self.run(json.loads(body))
        return answer(_ROW)

    def page(self, query: dict[str, object]) -> bytes:
        """The answer to a list query: as many rows as a page may have, or the one whose id is asked for."""
        text, variables = str(query["query"]), query["variables"]
        assert isinstance(variables, dict)
        names = re.findall(r"\w+", text[text.index("items") :])
        row = {name: _ROW.get(name) for name in names if name not in {"items", "total_count"}}
        if one := re.fullmatch(r'id == "(.*)"', str(variables.get("filter"))):
            ids = [one[1]]
        else:
            ids = [str(UUID(int=number)) for number in range(int(str(variables["limit"])))]
        rows = [row | {"id": session_id} for session_id in ids]
        return answer({"data": {"compute_session_list": {"items": rows, "total_count": len(rows)}}})

    def run(self, asked: dict[str, object]) -> bytes:
        """The next answer of a run."""
        run_id = str(asked.get("runId") or "made-here")
        left = self.runs.pop(run_id, None) or int(str(asked["code"]))
        if left > 1:
            self.runs[run_id] = left - 1
        return answer({"result": result(run_id, last=left <= 1)})

    def upgrade(self, head: bytes) -> None:
        key = re.search(rb"\r\nsec-websocket-key: *(\S+)", head, re.IGNORECASE)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.receive = self.message

    def message(self) -> bool:
        """Take one frame of a client: the code of a run, or its good-bye."""
        if len(self.buffer) < 6:
            return False
        size, start = self.buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(self.buffer[2:4]), 4
        if len(self.buffer) < start + 4 + size:
            return False
        mask, data = self.buffer[start : start + 4], self.buffer[start + 4 : start + 4 + size]
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        opcode, self.buffer = self.buffer[0] & 0x0F, self.buffer[start + 4 + size :]
        if opcode == 8:
            self.transport.write(b"\x88" + bytes([len(data)]) + data)
            self.transport.close()
        elif opcode == 1:
            answers = int(json.loads(data)["code"])
            more, last = frame(result(None, last=False)), frame(result(None, last=True))
            self.transport.write(more * (answers - 1) + last)
        return True


async def main() -> None:
    Manager.events = int(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(Manager, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
