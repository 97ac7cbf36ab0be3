"""What the tool tells its user, how it runs a command, and its errors.

Progress goes to standard error, so that ``env`` can print its document on standard output alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.2
TAIL_LINES = 20


class ClusterError(Exception):
    """A sentence for the user; ends the tool with ``exit_code``."""

    exit_code = 1


class NoDockerError(ClusterError):
    """Docker cannot be started here; the caller may fall back to the dummy agent."""

    exit_code = 3


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that ``what`` begins and, when it went well, how long it took."""
    say(f"{what} ...")
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s")


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return f"(no {path})"
    return "\n".join([f"--- the end of {path}:", *text.splitlines()[-lines:]])


def wait_for(what: str, seconds: float, check: Callable[[], bool], gave_up: Callable[[], str | None]) -> None:
    """Wait until ``check`` holds.

    ``gave_up`` says why waiting is pointless (None while it is not); it and the time limit end in a `ClusterError`.
    """
    end = time.monotonic() + seconds
    while not check():
        if reason := gave_up():
            raise ClusterError(reason)
        if time.monotonic() > end:
            raise ClusterError(f"{what} did not come up within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def run(
    argv: Sequence[str | Path],
    *,
    limit: float,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> str:
    """Run a command to its end and return its output.

    ``text`` is its standard input.  The output is appended to ``log``.  The command leads a process group of its
    own, which is ended when ``limit`` seconds are over.  Raises `ClusterError` with the end of the output.
    """
    command = [str(part) for part in argv]
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(text, timeout=limit)
        except BaseException as problem:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(problem, subprocess.TimeoutExpired):
                raise ClusterError(f"took longer than {limit:.0f} s: {' '.join(command)}") from None
            raise
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n{output}")
    if process.returncode != 0:
        end = "\n".join(output.splitlines()[-TAIL_LINES:])
        raise ClusterError(f"exit status {process.returncode}: {' '.join(command)}\n{end}")
    return output
