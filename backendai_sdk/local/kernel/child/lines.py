"""What all drivers do first: they take their line for commands over and bound their memory."""

from __future__ import annotations

import contextlib
import os


def take_commands() -> int:
    """The line on which commands come in, taken off the standard input, which is empty afterwards."""
    commands = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return commands


def limit_memory(limit: int) -> None:
    """Bounds the address space of this process and its children, in bytes; 0 is no bound."""
    if not limit:
        return
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on this platform, or above a hard limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
