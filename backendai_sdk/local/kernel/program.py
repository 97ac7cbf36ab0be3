"""A child process of a session with everything that belongs to it: process group, output pipes, side line.

Assumes POSIX. Whatever the program starts is ended with it; if our own process dies without a word, the group is
ended by the kernel of the machine (see `_lifeline`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import environ as environ_module
from .channel import Channel
from .pipe import OutputPipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REAP_TIMEOUT = 5.0

_HEEDING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"


def heeding_interrupts(argv: Sequence[str]) -> tuple[str, ...]:
    """The command such that it can be interrupted.

    A shell has what it runs in the background ignore SIGINT, children of ours would go on ignoring it, and a shell
    among them could not even be told otherwise.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        return tuple(argv)
    return (sys.executable, "-I", "-S", "-c", _HEEDING, *argv)


def exit_code(returncode: int) -> int:
    """The exit code as a shell counts it: 128 + n for a program that signal n has ended."""
    return 128 - returncode if returncode < 0 else returncode


class Program:
    """A running (or ended) child process. Made by `spawn`, ended by `close`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        requests: Channel,
        commands: Channel | None,
        life: Lifeline,
        pipes: tuple[OutputPipe, OutputPipe],
    ) -> None:
        self._process = process
        self._requests = requests
        self._commands = commands
        self._life = life
        self._pipes = pipes

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        emit: Callable[[str, str], None],
        on_request: Callable[[dict[str, Any]], None],
        on_answer: Callable[[dict[str, Any]], None] | None = None,
        on_end: Callable[[], None],
    ) -> Self:
        """Starts a program.

        `on_request` gets what the program wants to know. With `on_answer` it also takes commands, from its standard
        input. `on_end` is called each time the last process has let go of one of its lines.
        """
        with contextlib.ExitStack() as undo:
            out = OutputPipe(lambda text: emit("stdout", text), on_end)
            undo.callback(out.close)
            err = OutputPipe(lambda text: emit("stderr", text), on_end)
            undo.callback(err.close)
            life = Lifeline(on_end)
            undo.callback(life.close)
            commands: Channel | None = None
            stdin = asyncio.subprocess.DEVNULL
            with contextlib.ExitStack() as theirs:
                near, far = socket.socketpair()
                theirs.enter_context(far)
                requests = Channel(near, on_request)
                undo.callback(requests.close)
                if on_answer is not None:
                    near, end = socket.socketpair()
                    stdin = theirs.enter_context(end).fileno()
                    commands = Channel(near, on_answer)
                    undo.callback(commands.close)
                process = await asyncio.create_subprocess_exec(
                    *heeding_interrupts(argv),
                    cwd=cwd,
                    env={**env, environ_module.CHANNEL: str(far.fileno())},
                    stdin=stdin,
                    stdout=out.write_fd,
                    stderr=err.write_fd,
                    pass_fds=(far.fileno(), life.far.fileno()),
                    start_new_session=True,
                )
            life.hand_over(process.pid)
            out.handed_over()
            err.handed_over()
            requests.open()
            if commands is not None:
                commands.open()
            undo.pop_all()
        return cls(process, requests, commands, life, (out, err))

    @property
    def alive(self) -> bool:
        """Whether the process itself (not what it started) still runs."""
        return self._process.returncode is None

    @property
    def done(self) -> bool:
        """Whether nothing can be heard from it or from what it started any more."""
        return not self.alive and self._life.ended and all(pipe.closed for pipe in self._pipes)

    async def wait(self) -> int:
        """The exit code, when it has ended, as a shell counts it."""
        return exit_code(await self._process.wait())

    async def reply(self, number: Any, **frame: Any) -> None:
        """Answers a request; nothing happens if nobody is there any more to read it."""
        with contextlib.suppress(OSError):
            await self._requests.send({"op": "reply", "id": number, **frame})

    async def command(self, frame: dict[str, Any]) -> None:
        """Sends a command, likewise."""
        if self._commands is not None:
            with contextlib.suppress(OSError):
                await self._commands.send(frame)

    def drain(self, *, final: bool = False) -> None:
        """Delivers all output written so far; `final` when a run ends with it."""
        for pipe in self._pipes:
            pipe.drain(final=final)

    def catch_up(self) -> None:
        """Delivers the last frames of a program that has ended, then its output."""
        self.listen()
        self.drain(final=True)

    def listen(self) -> None:
        """Delivers what has arrived on the side lines."""
        self._requests.read()
        if self._commands is not None:
            self._commands.read()

    def pause(self) -> None:
        """Stops reading its output: it blocks when its pipes are full."""
        for pipe in self._pipes:
            pipe.pause()

    def resume(self) -> None:
        """Reads its output again."""
        for pipe in self._pipes:
            pipe.resume()

    def signal(self, number: int) -> None:
        """Signals the whole process group, as Ctrl-C at a terminal does."""
        # Also when the leader has ended: a group number is not given away while the group has members.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def signal_leader(self, number: int) -> None:
        """Signals the process that was started, and none that it has started."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends the whole process group, without waiting for it."""
        self.signal(signal.SIGKILL)

    async def close(self) -> None:
        """Ends the group, collects the process, closes every descriptor. Bounded; may be called twice."""
        self.kill()
        try:
            async with asyncio.timeout(REAP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            pass  # stuck in the kernel of the machine; the signal stays pending
        finally:
            self.release()

    def release(self) -> None:
        """Closes every descriptor, without ending anything that is detached from all of them."""
        self._requests.close()
        if self._commands is not None:
            self._commands.close()
        self._life.close()
        for pipe in self._pipes:
            pipe.close()


class Lifeline:
    """A line to a program on which nothing is ever said.

    When our end closes, because our process was killed say, the machine sends SIGIO to the owner of the other end,
    the program's group, and SIGIO ends whom it hits. This also ends what is busy and would never read an end-of-file.
    When the other end closes, nobody is left who inherited it.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._near, self.far = socket.socketpair()
        self._near.setblocking(False)
        fcntl.fcntl(self.far, fcntl.F_SETFL, fcntl.fcntl(self.far, fcntl.F_GETFL) | os.O_ASYNC)

    @property
    def ended(self) -> bool:
        """Whether it is closed, at one end or the other."""
        return self._near.fileno() < 0

    def hand_over(self, group: int) -> None:
        """Gives the other end to a process group that has inherited it."""
        with contextlib.suppress(OSError):  # it has ended already
            fcntl.fcntl(self.far, fcntl.F_SETOWN, -group)
        self.far.close()
        self._loop.add_reader(self._near.fileno(), self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._near.recv(1):
                return
        self.close()
        self._on_end()

    def close(self) -> None:
        """Closes both ends. May be called twice."""
        self.far.close()
        if not self.ended:
            self._loop.remove_reader(self._near.fileno())
            self._near.close()


def sweep(token: str) -> None:
    """Ends what carries the token of a session although it left its process group. Blocking; Linux only."""
    if not sys.platform.startswith("linux"):
        return
    mark = f"{environ_module.TOKEN}={token}".encode()
    for _ in range(3):  # one of them may have started another meanwhile
        found = False
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if mark in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
                    found = True
            except OSError:
                continue  # somebody else's, or gone
        if not found:
            return
