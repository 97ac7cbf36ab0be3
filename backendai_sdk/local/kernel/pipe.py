"""The reading end of one output stream of a program, decoded as it comes.

A real pipe, so that programs started by programs write to it too. It is read until it is empty before the end of a
run is reported: what was written before the end always arrives before the end.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 64 * 1024
# The largest pipe an ordinary user can ask Linux for, in chunks: more than that was not there when draining began.
_MAX_CHUNKS = 16


class OutputPipe:
    """A pipe whose `write_fd` becomes the standard output or error of a program."""

    def __init__(self, emit: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._emit = emit
        self._on_end = on_end
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self.resume()

    @property
    def closed(self) -> bool:
        """Whether nothing can come any more."""
        return self._read_fd < 0

    def handed_over(self) -> None:
        """Closes our copy of the writing end, once the program has its own."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def pause(self) -> None:
        """Stops reading: the program will block when the pipe is full."""
        if not self.closed:
            self._loop.remove_reader(self._read_fd)

    def resume(self) -> None:
        """Reads again."""
        if not self.closed:
            self._loop.add_reader(self._read_fd, self._read)

    def drain(self, *, final: bool = False) -> None:
        """Reads what is there now; `final` also gives up on a half character at its end."""
        for _ in range(_MAX_CHUNKS):
            if not self._read():
                break
        if final:
            self._decode(b"", final=True)

    def _read(self) -> bool:
        if self.closed:
            return False
        try:
            data = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._decode(data)
            return True
        self._decode(b"", final=True)
        self.close()
        self._on_end()
        return False

    def _decode(self, data: bytes, *, final: bool = False) -> None:
        if text := self._decoder.decode(data, final):
            self._emit(text)

    def close(self) -> None:
        """Closes both ends. May be called twice."""
        self.handed_over()
        if not self.closed:
            self._loop.remove_reader(self._read_fd)
            with contextlib.suppress(OSError):
                os.close(self._read_fd)
            self._read_fd = -1
