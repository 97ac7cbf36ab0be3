"""What runs the code of a session: this machine's Python unless its image names another program.

Assumes nothing about the image. Every kind of program is driven over the same two lines as the Python interpreter
(`interpreter.py` on this side, one file per kind in `child/` on the other), so runs, interrupts and restarts are the
same for all of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["KINDS", "Runtime", "find_runtime"]

_BOOT: Final = Path(__file__).parent / "child" / "boot.py"
# Each kind, with how the names of its programs begin and the names under which it is looked for.
KINDS: Final = {
    "python": ("python", "pypy"),
    "bash": ("bash",),
    "node": ("node",),
}


@dataclass(frozen=True)
class Runtime:
    """A program that runs code, and how it is spoken to: `kind` is one of `KINDS`."""

    kind: str = "python"
    path: str = sys.executable

    @property
    def python(self) -> str:
        """The Python for everything but the code: apps, and programs that work on the session's files."""
        return self.path if self.kind == "python" else sys.executable

    @property
    def commands(self) -> dict[str, str]:
        """Names that mean this session's own programs in a shell of it, and their paths."""
        names = {"python": self.python, "python3": self.python}
        return names if self.kind == "python" else {**names, self.kind: self.path}

    @property
    def insist(self) -> tuple[float, ...]:
        """How long code may take to notice an interrupt before it is sent again. Few: it may handle signals itself."""
        # A second one ends a node that is just leaving the code for the first: it comes only when that is surely lost.
        return (3.0, 3.0) if self.kind == "node" else (0.2, 0.5, 1.0)

    def argv(self, memory_limit: int | None) -> list[str]:
        """The command of the process that takes commands. `memory_limit` is in bytes."""
        limit = str(memory_limit or 0)
        if self.kind == "python":
            return [self.path, str(_BOOT), "interpreter", limit]
        # Isolated: what the session has on its PYTHONPATH is for its own programs.
        return [sys.executable, "-I", str(_BOOT), self.kind, self.path, limit]


def find_runtime(text: str) -> Runtime | None:
    """The program that `text` names, or None where there is none.

    `text` is a kind (`"bash"`), a kind and a path (`"python:/opt/python3.12/bin/python"`), or a command or path whose
    file name tells the kind (`"python3.12"`, `"/usr/bin/node"`). ValueError if it does not tell.
    """
    kind, colon, program = text.partition(":")
    if kind not in KINDS or not colon:
        kind, program = _kind_of(text), text
    path = shutil.which(os.path.expanduser(program))  # noqa: PTH111 - a name must stay one, without "./"
    # As it was given: behind a link, the interpreter of a virtual environment would not know its home.
    return None if path is None else Runtime(kind, os.path.abspath(path))  # noqa: PTH100


def _kind_of(text: str) -> str:
    name = Path(text).name
    for kind, beginnings in KINDS.items():
        if name.startswith(beginnings):
            return kind
    allowed = ", ".join(f"{kind}:PATH" for kind in KINDS)
    raise ValueError(f"interpreter={text!r}: the name does not tell what it runs; allowed: {allowed}")
