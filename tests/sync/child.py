"""What a child process under ``-X dev`` has to say."""

from __future__ import annotations

__all__ = ["complaints"]


def complaints(stderr: str) -> str:
    """All but asyncio's remarks on steps that took longer than 0.1 s: on a busy machine any may."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("Executing <"))
