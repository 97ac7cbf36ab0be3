"""The standard output and error of the interpreter: unbuffered, and in the order in which they were written.

Two pipes have no common order. So whoever writes to one stream first waits until the other one has been read empty;
the reader handles what it reads at once, and so sees both in the order of writing.
"""

from __future__ import annotations

import array
import fcntl
import io
import os
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array as Array  # noqa: N812

    Data = bytes | bytearray | memoryview | Array[int]

# A reader that has stopped reading (nobody fetches the output) must not stop the program as well.
_PATIENCE = 0.5


class Order:
    """Which stream was written last."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._lock = threading.Lock()

    def switch_to(self, fd: int) -> None:
        """Waits for the reader if the stream changes."""
        if self._last == fd:
            return
        with self._lock:
            last, self._last = self._last, fd
            if last is not None and last != fd:
                _wait_until_read(last)


def _wait_until_read(fd: int) -> None:
    unread = array.array("i", [0])
    end = time.monotonic() + _PATIENCE
    pause = 0.00005
    while time.monotonic() < end:
        try:
            # Linux tells it at both ends of a pipe. Where it cannot be told, the order of the streams is left to luck.
            fcntl.ioctl(fd, termios.FIONREAD, unread)
        except OSError:
            return
        if unread[0] == 0:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.005)


class Writer(io.BufferedIOBase):
    """The `buffer` of a stream. Writes all it gets at once."""

    def __init__(self, fd: int, name: str, order: Order) -> None:
        self.name = name
        self._fd = fd
        self._order = order

    def writable(self) -> bool:
        """It can be written."""
        return True

    def fileno(self) -> int:
        """What subprocesses write to."""
        return self._fd

    def write(self, data: Data, /) -> int:  # type: ignore[override]
        """Writes everything, waiting for the reader if need be."""
        view = memoryview(data).cast("B")
        self._order.switch_to(self._fd)
        rest = view
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        return len(view)


def install() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    """Replaces `sys.stdout` and `sys.stderr`, and returns both: user code may put others in their place."""
    order = Order()
    out, err = (
        io.TextIOWrapper(
            Writer(fd, name, order),
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            write_through=True,
        )
        for fd, name in ((1, "<stdout>"), (2, "<stderr>"))
    )
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc,assignment,unused-ignore]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc,assignment,unused-ignore]
    return out, err
