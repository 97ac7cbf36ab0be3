"""How an error speaks of a time limit that ran out: how long it was, its name, and how to change it.

Pure text.  Assumes nothing but the names of the ``Timeouts``.
"""

from __future__ import annotations

__all__ = ["limit", "more_time"]


def limit(option: str, seconds: float | None) -> str:
    """A limit by its length and its name: ``"60 s (timeouts.request)"``.

    Args:
        seconds: ``None`` where it is not known.
    """
    return f"{'the time limit' if seconds is None else f'{seconds:g} s'} ({option})"


def more_time(option: str) -> str:
    """How to change a limit, for the end of an error's text."""
    _, _, name = option.rpartition(".")
    return f"for more time, give the client session timeouts=Timeouts({name}=...)"
