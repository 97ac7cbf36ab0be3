"""Drives a bash that lives as long as the session: one piece of code after the other in the same shell.

Runs in this machine's Python. The shell is an interactive one without a terminal: only that gives up a
piece of code as a whole at Ctrl-C, and lives on. Code reads an empty input, except for `read`, which asks whoever runs
the session. A shell that ends (`exit`, `set -e`) is followed by a fresh one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import asking, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BOOT = Path(__file__).with_name("boot.py")
# File descriptors from here on are ours: code that opens its own takes low ones.
_HIGH = 200
# A shell takes no notice of a Ctrl-C if the command that it waits for ends by itself just then. So it gets more, in
# these intervals, until it gives the code up; the commands that it has started since get them, too, and others only now
# and then: they may be about to clean up. Few if the code may have set a trap, which sees all that arrive.
_INSIST = (0.1,) * 40
_ALSO_TO_OTHERS = (5, 15)
_INSIST_ON_TRAPS = (0.2, 0.5, 1.0)
# `read` of the empty input is a question; of a pipe or a file it is what it always was. The prompt goes where
# Python's goes. `exit` would say "exit", as interactive shells do.
_START = r"""
unset HISTFILE PROMPT_COMMAND MAILCHECK; set +H +m; set +o history
exit() { builtin exit "$@" 2>/dev/null; }
read() {
    if ! [[ /dev/fd/0 -ef /dev/null ]]; then builtin read "$@"; return; fi
    local OPTIND=1 OPTARG __backendai_option __backendai_prompt= __backendai_kind=text __backendai_answer
    while builtin getopts :ersa:d:i:n:N:p:t:u: __backendai_option; do
        case $__backendai_option in
            u) builtin read "$@"; return ;;
            p) __backendai_prompt=$OPTARG ;;
            s) __backendai_kind=password ;;
        esac
    done
    builtin printf %s "$__backendai_prompt"
    __backendai_answer=$(@ask@ "$__backendai_kind"; builtin echo $?)
    [[ ${__backendai_answer##*$'\n'} == 0 ]] || return 1
    builtin read "$@" <<< "${__backendai_answer%$'\n'*}"
}
__backendai_status() { return "$1"; }
"""


class Ended(Exception):
    """The shell has ended, with an exit code."""


class Shell:
    """One bash, with a line on which it tells what becomes of the code."""

    def __init__(self, bash: str, memory_limit: int) -> None:
        told, tell = os.pipe()
        self._tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        errors = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        os.close(tell)
        self._told = os.fdopen(told, "rb")
        self._number = 0
        self._status = 0
        self.may_trap = False
        self._process = subprocess.Popen(
            [bash, "--norc", "--noprofile", "--noediting", "-i"],
            stdin=subprocess.PIPE,
            # It complains that it has no terminal, and prompts; later it writes where the session does.
            stderr=subprocess.DEVNULL,
            pass_fds=(self._tell, errors, int(os.environ["_BACKENDAI_CHANNEL"])),
            preexec_fn=lambda: _prepare(memory_limit),  # noqa: PLW1509 - there is one thread here
            env={**os.environ, "PS1": "", "PS2": ""},
        )
        os.close(self._tell)
        os.close(errors)
        ask = shlex.join([sys.executable, "-I", str(_BOOT), "ask"])
        self._write(f"PS1= PS2=\n{_START.replace('@ask@', ask)}exec 2>&{errors} {errors}>&-\n")
        self.run("", lambda: None)

    def run(self, code: str, begun: Callable[[], None]) -> int:
        """Has code run and returns its exit status. `begun` is called when it can be interrupted. Ended."""
        self._number += 1
        self.may_trap = self.may_trap or "trap" in code
        # One line, which a Ctrl-C gives up as a whole: also one that comes before the code has really begun.
        quoted = shlex.quote(code.replace("\0", ""))
        self._write(
            f"\\builtin printf 'begun {self._number}\\n' >&{self._tell}; __backendai_status {self._status}; "
            f"\\builtin eval {quoted} </dev/null {self._tell}>&-\n"
        )
        self.tell_status()
        while line := self._told.readline().split():
            if int(line[1]) != self._number:
                continue  # told a second time, see `tell_status`
            if line[0] == b"begun":
                begun()
            else:
                self._status = int(line[2])
                return self._status
        raise Ended(self.close())

    def insist(self, warned: set[int], *, all_of_them: bool) -> None:
        """Sends a Ctrl-C to the shell and to commands that it runs and that are not among the *warned* ones."""
        running = self.commands()
        for pid in running if all_of_them else running - warned:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGINT)
        warned |= running
        self._process.send_signal(signal.SIGINT)
        self.tell_status()

    def commands(self) -> set[int]:
        """What the shell has started and not seen end, as far as the machine tells."""
        pid = self._process.pid
        try:
            return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}
        except (OSError, ValueError):
            return set()

    def tell_status(self) -> None:
        """Has the shell say how the code ended. Once more after a Ctrl-C: it may have hit just that."""
        self._write(f"\\builtin printf 'status {self._number} %s\\n' \"$?\" >&{self._tell}\n")

    def close(self) -> int:
        """Collects the shell, which has ended or gets an end of its input; its exit code."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._told.close()
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError):  # it has ended, which its other line tells
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()


def _prepare(memory_limit: int) -> None:
    # The driver does not heed Ctrl-C by a function, which no program inherits; the shell has its own ways.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    lines.limit_memory(memory_limit)


class Driver:
    """Takes commands for the shell, and follows one that ends with another."""

    def __init__(self, commands: asking.Line, bash: str, memory_limit: int) -> None:
        self._commands = commands
        self._bash = bash
        self._memory_limit = memory_limit
        self._running = False
        self._pauses: Iterator[tuple[int, float]] = iter(())
        self._times = 0
        self._warned: set[int] = set()
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGALRM, self._insist)
        self._shell = Shell(bash, memory_limit)

    def serve(self) -> NoReturn:
        """Takes commands until the other side hangs up."""
        self._commands.send(op="ready")
        while (frame := self._commands.receive()) is not None:
            answer: dict[str, Any] = {"matches": []}
            if frame["op"] == "run":
                answer = {"exit_code": self._run(str(frame["code"]))}
            self._commands.send(op="answer", id=frame["id"], **answer)
        # The cluster is gone. So is everything that this session has started.
        os.killpg(0, signal.SIGKILL)
        raise SystemExit(0)

    def _run(self, code: str) -> int:
        try:
            return self._shell.run(code, self._begun)
        except Ended as end:
            self._over()
            self._shell = Shell(self._bash, self._memory_limit)
            return int(end.args[0])
        finally:
            self._over()

    def _over(self) -> None:
        self._running = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _begun(self) -> None:
        self._running = True
        self._commands.send(op="begun")

    def _interrupted(self, *_: object) -> None:
        # The shell has got the signal too: it goes to all of the session.
        if self._running:
            self._commands.send(op="interrupted")
            self._shell.tell_status()
            self._warned = self._shell.commands()
            self._pauses = enumerate(_INSIST_ON_TRAPS if self._shell.may_trap else _INSIST)
            self._wait_and_insist()

    def _wait_and_insist(self) -> None:
        self._times, pause = next(self._pauses, (0, 0.0))
        signal.setitimer(signal.ITIMER_REAL, pause)

    def _insist(self, *_: object) -> None:
        if self._running:
            self._shell.insist(
                self._warned, all_of_them=self._shell.may_trap or self._times in _ALSO_TO_OTHERS
            )
            self._wait_and_insist()


def main(bash: str, memory_limit: str) -> NoReturn:
    """Sets the process up as a session's interpreter and serves."""
    commands = lines.take_commands()
    requests = int(os.environ["_BACKENDAI_CHANNEL"])
    high = fcntl.fcntl(requests, fcntl.F_DUPFD, _HIGH)
    os.close(requests)
    os.environ["_BACKENDAI_CHANNEL"] = str(high)
    try:
        driver = Driver(asking.Line(commands), bash, int(memory_limit))
    except Ended as end:
        sys.exit(end.args[0] or 1)
    driver.serve()
