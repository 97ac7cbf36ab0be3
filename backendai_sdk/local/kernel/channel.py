"""The side line to a child process: commands and answers, one JSON object per line, apart from what programs print."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Channel:
    """Our end of a socket pair. Takes the socket over and closes it."""

    def __init__(self, sock: socket.socket, receive: Callable[[dict[str, Any]], None]) -> None:
        self._socket = sock
        self._receive = receive
        self._buffer = bytearray()
        # One frame after the other: a large one is sent in parts, and nothing may come between them.
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)

    def open(self) -> None:
        """Begins to listen. Not before: a fast program may speak up while its start is still being awaited."""
        self._loop.add_reader(self._socket.fileno(), self.read)

    async def send(self, frame: dict[str, Any]) -> None:
        """Sends one frame. OSError if the other end is gone."""
        async with self._sending:
            await self._loop.sock_sendall(self._socket, json.dumps(frame).encode() + b"\n")

    def read(self) -> None:
        """Handles every frame that has arrived."""
        while self._socket.fileno() >= 0:
            try:
                data = self._socket.recv(64 * 1024)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                # Nobody is left at the other end; a reader of a closed line would spin.
                self._loop.remove_reader(self._socket.fileno())
                self._receive({"op": "hangup"})
                return
            self._buffer += data
            while (end := self._buffer.find(b"\n")) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                try:
                    frame = json.loads(line)
                except ValueError:
                    continue  # a program wrote to a descriptor that is not its own
                if isinstance(frame, dict):
                    self._receive(frame)

    def close(self) -> None:
        """Hangs up. May be called twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
