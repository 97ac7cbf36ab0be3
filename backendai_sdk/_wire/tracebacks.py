"""The exception that ended a run, read off the traceback that the remote interpreter wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backendai_sdk.models.run import RemoteError, RunItem, Stderr

__all__ = ["remote_error"]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# IPython's own heading has no colon, unlike the one that traceback.print_exc() writes for a handled error.
_HEADING = re.compile(r"^(\w[\w.]*) +Traceback \(most recent call last\)$", re.MULTILINE)
_EXIT_HEADING = "An exception has occurred, use %tb to see the full traceback."
_PLACE = re.compile(r"\s*(Cell|File) .*[Ll]ine \d+")
_LAST = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*)|:)?$", re.DOTALL)


def remote_error(items: Sequence[RunItem]) -> RemoteError | None:
    """The exception that ended a query run, read off the traceback that came last on stderr.

    Servers up to 24.x answer exit code 0 after an exception (PROTOCOL SEEN, docker-12), so the traceback is
    the only sign; text that a program prints about an error that it handled is told apart by its form.
    """
    last = next((i for i in reversed(items) if isinstance(i, Stderr)), None)
    if last is None:
        return None
    text = _ANSI.sub("", last.text)
    if found := list(_HEADING.finditer(text)):
        name = found[-1][1]
        # The message is what follows the exception's name after the last frame.
        tail = re.search(rf"^{re.escape(name)}(?:: ?(.*))?\Z", text.rstrip("\n"), re.MULTILINE | re.DOTALL)
        return RemoteError(name, (tail[1] or "").strip() if tail else "", last.text)
    if _EXIT_HEADING in text:
        # sys.exit() does not end the interpreter, it is reported; with nothing or 0 it says "all is well".
        said = re.search(r"^SystemExit(?:: (.*))?$", text, re.MULTILINE)
        status = (said[1] or "") if said else ""
        return None if status in {"", "0", "None"} else RemoteError("SystemExit", status, last.text)
    # A syntax error has no heading: it begins with the place.
    lines = text.rstrip().splitlines()
    if _PLACE.match(text) and (match := _LAST.match(lines[-1])) and match[1].endswith("Error"):
        return RemoteError(match[1], match[2] or "", last.text)
    return None
