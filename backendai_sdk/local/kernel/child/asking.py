"""The child's end of the side line, and what asks over it: `input`, `getpass` and `sys.stdin`."""

from __future__ import annotations

import builtins
import getpass
import io
import json
import os
import sys
import threading
from itertools import count
from typing import IO, Any


class Line:
    """JSON objects, one per line, over an inherited socket. Requests of several threads take turns."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()
        self._buffer = b""
        self._numbers = count(1)
        self._lock = threading.Lock()

    def send(self, **frame: Any) -> None:
        """Sends one frame."""
        data = memoryview(json.dumps(frame).encode() + b"\n")
        while data:
            data = data[os.write(self._fd, data) :]

    def receive(self) -> dict[str, Any] | None:
        """The next frame, or None when the other side has gone."""
        while b"\n" not in self._buffer:
            data = os.read(self._fd, 65536)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            frame = json.loads(line)
        except ValueError:  # the rest of a frame whose beginning an interrupt took away
            return {}
        return frame if isinstance(frame, dict) else {}

    @property
    def usable(self) -> bool:
        """Whether this process is the one that talks on the line, and not a fork of it."""
        return os.getpid() == self._pid

    def request(self, op: str, **arguments: Any) -> dict[str, Any] | None:
        """Sends a frame and waits for the reply to it; replies to requests that were interrupted are dropped."""
        with self._lock:
            number = f"{self._pid}-{next(self._numbers)}"
            self.send(op=op, id=number, **arguments)
            while (frame := self.receive()) is not None:
                if frame.get("id") == number:
                    return frame
            return None


class Asker:
    """The replacements for `input` and `getpass.getpass`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def ask(self, *, password: bool = False) -> str | None:
        """One line from the user without its end, or None if there is nobody to ask."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        reply = self._line.request("ask", password=password) if self._line.usable else None
        return None if reply is None else reply.get("text")

    def input(self, prompt: object = "", /) -> str:
        """Reads one line from the user of the session. The prompt goes to the standard output."""
        print(prompt, end="")  # noqa: T201
        text = self.ask()
        if text is None:
            raise EOFError("EOF when reading a line")
        return text

    def getpass(self, prompt: str = "Password: ", stream: IO[str] | None = None) -> str:
        """Reads one line that should not be shown while it is typed."""
        print(prompt, end="", file=stream)
        text = self.ask(password=True)
        if text is None:
            raise EOFError("EOF when reading a line")
        return text


class AskingStdin(io.TextIOBase):
    """A standard input on which every line is asked for."""

    encoding = "utf-8"
    errors = "strict"
    name = "<stdin>"

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._rest = ""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def fileno(self) -> int:
        """What subprocesses inherit."""
        return 0

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """One line with its end, "" if there is nobody to ask."""
        if not self._rest:
            text = self._asker.ask()
            if text is None:
                return ""
            self._rest = text if text.endswith("\n") else f"{text}\n"
        size = len(self._rest) if size is None or size < 0 else size
        end = min(size, self._rest.index("\n") + 1)
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def read(self, size: int | None = -1, /) -> str:
        """One answer is all there is to read: nobody can say that there will be no more."""
        return self.readline(size)


def install(fd: int) -> Line:
    """Makes this process ask over the line."""
    line = Line(fd)
    asker = Asker(line)
    builtins.input = asker.input
    getpass.getpass = asker.getpass
    sys.stdin = AskingStdin(asker)
    return line
