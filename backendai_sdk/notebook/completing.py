"""Completion in ``%backendai`` lines and ``%%backendai`` cells: what is asked for, and the texts that fit.

Where the cursor stands decides what is asked for; that is a pure function.  Names of sessions and of remote variables
are asked for at the servers, for a short time only: a notebook does nothing else meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

from backendai_sdk.notebook.arguments import CELL_OPTIONS, COMMANDS

__all__ = ["SECONDS", "Question", "fitting", "question", "remote_texts"]

SECONDS = 2.0
"""How long servers may take to answer."""

Kind = Literal["code", "here", "there", "session", "given"]

_OPTIONS = {
    "connect": ("--endpoint", "--profile"),
    "local": ("--release",),
    "sessions": ("--status",),
    "use": ("--image", "--resources"),
}


@attrs.frozen(kw_only=True)
class Question:
    """What is to be completed.

    Attributes:
        kind: ``"code"`` of the cell, a variable ``"here"`` or ``"there"``, a ``"session"``, or one of the *given*.
        fragment: what stands before the cursor of it.
        given: the texts, where they are known.
        line: what follows ``%%backendai``, for its session.
        code, row, col: the code without its first line, and the cursor in it.
    """

    kind: Kind
    fragment: str
    given: Sequence[str] = ()
    line: str = ""
    code: str = ""
    row: int = 0
    col: int = 0


def question(text: str, row: int, col: int) -> Question | None:
    """What is asked for at a place in a cell; ``None`` if it is none of our business.

    Args:
        text: the whole cell.
        row, col: the cursor, both from 0.
    """
    lines = text.split("\n")
    if not 0 <= row < len(lines):
        return None
    before = lines[row][:col]
    first = re.match(r"%%backendai(?:\s(.*))?$", lines[0])
    if first is not None and row > 0:
        return Question(
            kind="code",
            fragment=_word(before),
            line=first[1] or "",
            code="\n".join(lines[1:]),
            row=row - 1,
            col=len(before),
        )
    if row == 0 and first is not None and (cell := re.match(r"%%backendai\s+(.*)$", before)):
        return _in_cell_line(cell[1], first[1] or "")
    if command := re.match(r"\s*(?:\w+\s*=\s*)?%backendai\s+(.*)$", before):
        return _in_command(command[1])
    return None


def _in_cell_line(before: str, line: str) -> Question:
    words, fragment = _split(before)
    last = words[-1] if words else ""
    if last in {"--in", "--out"}:
        kind: Kind = "here" if last == "--in" else "there"
        # The line that is being written may not be complete: its session is what stands first.
        session = line.split(maxsplit=1)[0] if line.split() and not line.startswith("-") else ""
        return Question(kind=kind, fragment=fragment.rpartition(",")[2], line=session)
    if last == "--transport":
        return Question(kind="given", fragment=fragment, given=("rest", "websocket"))
    if words or fragment.startswith("-"):
        return Question(kind="given", fragment=fragment, given=CELL_OPTIONS)
    return Question(kind="session", fragment=fragment)


def _in_command(before: str) -> Question:
    words, fragment = _split(before)
    if not words:
        return Question(kind="given", fragment=fragment, given=COMMANDS)
    if fragment.startswith("-") or len(words) > 1:
        return Question(kind="given", fragment=fragment, given=_OPTIONS.get(words[0], ()))
    if words[0] in {"use", "destroy"}:
        return Question(kind="session", fragment=fragment)
    return Question(kind="here", fragment=fragment)


def _split(before: str) -> tuple[list[str], str]:
    """The words that are complete, and the one at the cursor."""
    *words, fragment = before.split(" ")
    return [word for word in words if word], fragment


def _word(before: str) -> str:
    """The dotted name at the end."""
    found = re.search(r"[\w.]*$", before)
    return found[0] if found else ""


def fitting(texts: Iterable[str], fragment: str) -> list[str]:
    """Those that begin as the fragment does, each once, in order."""
    return sorted({text for text in texts if text.startswith(fragment)})


def remote_texts(matches: Iterable[str], fragment: str) -> list[str]:
    """What a session's interpreter proposes, as continuations of the whole dotted *fragment*.

    Some runtimes give the whole name, some only what follows its last dot.
    """
    head, dot, _ = fragment.rpartition(".")
    texts = (match if not dot or match.startswith(head + dot) else head + dot + match for match in matches)
    return fitting(texts, fragment)
