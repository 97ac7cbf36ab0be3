"""A program at the other end of a real terminal.

Assumes POSIX. The program leads a session of its own whose controlling terminal this is, so Ctrl-C works in it, and
when our end is closed (also because our process has died) everything in it gets the signal of a closed window.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import sys
import termios
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Terminal"]

_CHUNK: Final = 64 * 1024
_REAP: Final = 5.0
# Makes standard input the controlling terminal, then becomes the program.
# What a shell has run in the background ignores SIGINT, and so would its children.
_ADOPT: Final = """import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])"""


class Terminal:
    """One terminal. Made by `spawn`, ended by `close`."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self._process = process
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiters: set[asyncio.Future[None]] = set()

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], rows: int = 24, cols: int = 80
    ) -> Self:
        """Start a program in a new terminal."""
        ours, theirs = os.openpty()
        try:
            _set_size(ours, rows, cols)
            os.set_blocking(ours, False)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _ADOPT, *argv),
                cwd=cwd,
                env=dict(env),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(process, ours)

    async def read(self) -> bytes:
        """What the screen gets next; nothing once the last program has let go of the terminal."""
        while self._fd >= 0:
            try:
                return os.read(self._fd, _CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except OSError:  # how Linux says that nobody is left at the other end
                break
        return b""

    async def write(self, data: bytes) -> None:
        """Type something."""
        while data and self._fd >= 0:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError:
                return

    def resize(self, rows: int, cols: int) -> None:
        """Change the size; what runs in the foreground is told."""
        if self._fd >= 0:
            with contextlib.suppress(OSError, struct.error):
                _set_size(self._fd, rows, cols)

    async def close(self) -> None:
        """Close the window: programs in it are hung up, and killed if they stay. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
            os.close(fd)
        for waiter in self._waiters:
            _wake(waiter)
        try:
            async with asyncio.timeout(_REAP / 5):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REAP):
                    await self._process.wait()

    async def _ready(self, watch: Callable[..., None], forget: Callable[[int], bool]) -> None:
        """Wait until the terminal can be read or written, or is closed."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.add(waiter)
        fd = self._fd
        watch(fd, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if self._fd == fd:
                forget(fd)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _set_size(fd: int, rows: int, cols: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
