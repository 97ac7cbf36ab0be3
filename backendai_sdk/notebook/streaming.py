"""Code of a cell that runs in a session: what it writes comes into the cell, what it asks is asked there."""

from __future__ import annotations

import getpass
import sys
from typing import TextIO

from backendai_sdk import (
    ComputeSession,
    ExecutionResult,
    Html,
    InputRequest,
    Log,
    Media,
    RunItem,
    RunTransport,
    Stderr,
    Stdout,
)
from backendai_sdk.notebook.shell import brief, display

__all__ = ["ask", "execute", "show"]


def show(item: RunItem) -> None:
    """Show one output in the cell: ``cs.execute(code, on_output=show)``."""
    match item:
        case Stdout(text):
            _write(sys.stdout, text)
        case Stderr(text) | Log(text):
            _write(sys.stderr, text)
        case Html() | Media():
            display(item)


def ask(prompt: str = "") -> str:  # noqa: ARG001 - the prompt was the code's last output: it stands above already
    """Ask for a line in the cell: ``cs.execute(code, on_output=show, stdin=ask)``."""
    return input()


def execute(cs: ComputeSession, code: str, *, transport: RunTransport = "rest") -> None:
    """Run code as if the session were the cell's own interpreter.

    Output and pictures appear as they come, ``input()`` and ``getpass()`` ask in the cell, and stopping the cell
    interrupts the code.

    Args:
        cs: the session.
        code, transport: as of ``ComputeSession.execute``.

    Raises:
        ExecutionFailed: the code failed; its traceback has been shown.
        KeyboardInterrupt: the cell was stopped; the code was interrupted, the session lives.
        SessionNotReady: the session does not run.
    """
    with brief(f"the code in {cs.name} was interrupted; the session lives"):
        shown_result(cs, code, transport=transport).check()


def shown_result(cs: ComputeSession, code: str, *, transport: RunTransport) -> ExecutionResult:
    """Run code, and show what it writes."""
    run = cs.stream_execute(code, transport=transport)
    try:
        with run:
            for item in run:
                show(item)
                if isinstance(item, InputRequest):
                    run.send_input(getpass.getpass("") if item.is_password else ask())
    finally:
        # Of code that was interrupted: its traceback, and what it wrote to clean up.
        for item in run.unread:
            show(item)
    return run.result()


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
