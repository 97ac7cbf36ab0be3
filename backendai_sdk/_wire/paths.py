"""Paths in a session: relative to its work folder ``/home/work``, which no path may leave (PROTOCOL §2.3).

Checked before anything is sent, because servers answer with an agent's failure, or store a file under
another name than the one that was meant.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from pathlib import PurePath

from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.file import FilePath

__all__ = ["MAX_QUERY", "has_magic", "many", "matches", "path_matches", "remote_path", "upload_name"]

HOME = "/home/work"
# Servers refuse request lines of more than 8190 bytes, and newer ones read paths from the query only.
MAX_QUERY = 6000
_NAMED = re.compile(r'[\x00-\x1f\x7f"\\]')


def many(paths: FilePath | Sequence[FilePath], *, argument: str) -> list[FilePath]:
    """One path or several, as a list.

    Raises:
        InvalidArgument: something in it is no path.
    """
    given = [paths] if isinstance(paths, str | PurePath) else list(paths)
    for item in given:
        if not isinstance(item, str | PurePath):
            raise InvalidArgument(f"{argument}: {item!r} is not a path", argument=argument)
        if not str(item) or "\0" in str(item):
            raise InvalidArgument(f"{argument}: {str(item)!r} is not the name of a file", argument=argument)
    return given


def remote_path(path: FilePath, *, argument: str) -> str:
    """A path in a session, relative to its work folder: ``"a/./b"`` gives ``"a/b"``, the folder itself ``"."``.

    Raises:
        InvalidArgument: it is none, leaves the work folder, or is too long for a request.
    """
    (given,) = many([path], argument=argument)
    text = str(given) if isinstance(given, str) else given.as_posix()
    if text.startswith("/"):
        if text != HOME and not text.startswith(f"{HOME}/"):
            raise InvalidArgument(
                f"{argument}: {text!r} is outside of {HOME}, which is all that servers give access to: "
                "copy it there with code",
                argument=argument,
            )
        text = text[len(HOME) :].lstrip("/")
    clean = posixpath.normpath(text or ".")
    if clean == ".." or clean.startswith(("../", "/")):
        raise InvalidArgument(f"{argument}: {text!r} leaves the work folder {HOME}", argument=argument)
    try:
        length = len(clean.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{argument}: {text!r} is not Unicode text", argument=argument) from None
    if length * 3 > MAX_QUERY:
        raise InvalidArgument(f"{argument}: {text[:40]!r}… is too long for a request", argument=argument)
    return clean


def upload_name(path: FilePath, *, argument: str) -> str:
    """A path in a session as an upload can name it.

    Raises:
        InvalidArgument: as :func:`remote_path`, or servers would read another name.
    """
    clean = remote_path(path, argument=argument)
    # Servers read names from a header: there, quotes and backslashes mean something, and a second semicolon ends it.
    if _NAMED.search(clean) or clean.count(";") > 1:
        raise InvalidArgument(
            f"{argument}: {clean!r} has control characters, quotes, backslashes or several semicolons in its "
            "name, which servers do not take",
            argument=argument,
        )
    return clean


def has_magic(text: str) -> bool:
    """Whether *text* is a pattern: it has ``*``, ``?`` or ``[``."""
    return any(c in text for c in "*?[")


def matches(name: str, pattern: str) -> bool:
    """Whether one part of a path matches one part of a pattern; hidden names only if the pattern says so."""
    if name == pattern:
        return True
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatch.fnmatchcase(name, pattern)


def path_matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, in which ``**`` is any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        below = bool(parts) and not parts[0].startswith(".") and path_matches(parts[1:], pattern)
        return below or path_matches(parts, pattern[1:])
    return bool(parts) and matches(parts[0], pattern[0]) and path_matches(parts[1:], pattern[1:])
