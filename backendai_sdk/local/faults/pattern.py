"""`on`: which requests or events a fault is for.

Assumes glob patterns (`*`, `?`, `[...]`, where `*` also crosses `/`), compared with case. A request is
`"METHOD /path"`, without its query and without the web server's `/func`; an event is its name.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

import attrs

__all__ = ["CONNECT", "Pattern", "target_of"]

CONNECT: Final = "connect"
_METHOD: Final = re.compile(r"[A-Z*]+\Z")
_EVENT: Final = re.compile(r"[a-z0-9_*?\[\]!-]+\Z")
_PREFIX: Final = "/func"


def target_of(method: str, path: str) -> str:
    """How a request is called in patterns and in the list of hits."""
    if path == _PREFIX or path.startswith(_PREFIX + "/"):
        path = path.removeprefix(_PREFIX) or "/"
    return f"{method} {path}"


@attrs.frozen
class Pattern:
    """A checked `on`."""

    text: str
    _glob: str

    @classmethod
    def for_requests(cls, on: str, *, connections: bool) -> Pattern:
        """`"POST /session*"`, `"/session*"` (any method), `"*"`; for some faults `"connect"`.

        Raises:
            ValueError: it is none of these.
        """
        if on == CONNECT and connections:
            return cls(on, on)
        method, blank, path = on.rpartition(" ")
        method = method or "*"
        if (
            not _METHOD.match(method)
            or not path.startswith(("/", "*"))
            or (blank and method.strip() != method)
        ):
            also = ', or "connect" for new connections' if connections else ""
            raise ValueError(
                f'on={on!r}: expected a method and a path such as "POST /session*", a path, "*"{also}'
            )
        return cls(on, f"{method} {path}")

    @classmethod
    def for_events(cls, on: str) -> Pattern:
        """`"session_started"`, `"kernel_*"`, `"*"`.

        Raises:
            ValueError: it cannot be the name of an event.
        """
        if not _EVENT.match(on):
            raise ValueError(
                f'on={on!r}: expected the name of an event such as "session_started", or "kernel_*"'
            )
        return cls(on, on)

    def matches(self, target: str) -> bool:
        if (target == CONNECT) is not (self._glob == CONNECT):
            return False
        return fnmatchcase(target, self._glob)
