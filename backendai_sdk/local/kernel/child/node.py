"""Becomes the node of a session. Runs in this machine's Python: node cannot move its own input away."""

from __future__ import annotations

import os
from pathlib import Path

from . import lines

_PROGRAM = Path(__file__).with_suffix(".js")


def main(node: str, memory_limit: str) -> None:
    """Hands the line for commands on, under a number."""
    commands = lines.take_commands()
    os.set_inheritable(commands, True)
    del os.environ["_BACKENDAI_CHANNEL"]  # it asks nobody
    # Not the address space: node takes far more of that than it uses.
    options = [f"--max-old-space-size={max(int(memory_limit) >> 20, 16)}"] if int(memory_limit) else []
    os.execv(node, [node, *options, str(_PROGRAM), str(commands)])  # noqa: S606
