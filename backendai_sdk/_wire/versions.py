"""Which API version to speak, and what a server of a given release can do (PROTOCOL §1.5, §10).

The version that servers report is coarser than what they can do (24.09 and 25.3 both say ``v8.20240915``),
so everything here goes by the manager's release, which ``GET /`` tells too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.enums import SessionStatus as S
from backendai_sdk.errors import ConfigError, NotSupported, UnsupportedServer, WireError
from backendai_sdk.models.server import ServerInfo

__all__ = [
    "API_VERSIONS",
    "batch_steps_lose_output",
    "known_statuses",
    "negotiate",
    "proxy_cuts_at_the_end",
    "require",
    "tells_exit_codes",
    "tells_upload_failures",
    "terminal_takes_input",
]

# The versions whose request bodies this SDK writes, oldest first.
API_VERSIONS = ("v7.20230615", "v8.20240315", "v8.20240915", "v9.20250722")

# What a manager that does not tell its release is taken for.
_ASSUMED = {
    "v7.20230615": (23, 9, 0),
    "v8.20240315": (24, 3, 0),
    "v8.20240915": (24, 9, 0),
    "v9.20250722": (25, 19, 0),
}

_SINCE: dict[str, tuple[int, int, int]] = {
    "convert_to_image()": (24, 3, 0),
    "priority": (24, 9, 0),
    "batch_timeout": (25, 3, 0),
}


def negotiate(answer: object, *, wanted: str | None = None, endpoint: str = "") -> ServerInfo:
    """Read the answer of ``GET /`` and settle the version: the newest that both sides speak.

    Args:
        answer: the decoded JSON.
        wanted: a version that the user insists on.

    Raises:
        WireError: the answer is not a manager's.
        ConfigError: this SDK does not speak the *wanted* version.
        UnsupportedServer: the server is too old, or older than the *wanted* version.
    """
    match answer:
        case {"version": str(offered), **rest}:
            manager = excerpt(rest.get("manager") or "")
        case _:
            raise WireError(
                f"{endpoint or 'the endpoint'} answers JSON, but not as a Backend.AI manager does: "
                "'version' is missing. Check `endpoint`."
            )
    spoken = [v for v in API_VERSIONS if _key(v) <= _key(offered)]
    if not spoken:
        raise UnsupportedServer(
            f"the server{_named(manager)} speaks API {offered}; this SDK needs {API_VERSIONS[0]} (release 23.09) "
            "or newer: upgrade the server"
        )
    if wanted is not None and wanted not in API_VERSIONS:
        raise ConfigError(
            f"api_version: {wanted!r} is none that this SDK speaks ({', '.join(API_VERSIONS)}); leave it out to "
            "have it negotiated"
        )
    if wanted is not None and _key(wanted) > _key(offered):
        raise UnsupportedServer(
            f"api_version={wanted!r} was asked for, but the server{_named(manager)} speaks {offered} at most: "
            "leave api_version out to have it negotiated"
        )
    version = wanted or spoken[-1]
    release = _release(manager) or _ASSUMED.get(version, (23, 9, 0))
    return ServerInfo(
        api_version=version, server_version=offered, manager=manager, release=release, endpoint=endpoint
    )


def require(feature: str, server: ServerInfo) -> None:
    """Raise ``NotSupported`` if *server* is older than the release that brought *feature*."""
    since = _SINCE[feature]
    if server.release < since:
        advice = "" if feature.endswith("()") else ": leave it out"
        raise NotSupported(
            f"{feature} needs a server of release {since[0]}.{since[1]:02d} or newer; "
            f"this one is {server.manager or server.server_version}{advice}"
        )


def batch_steps_lose_output(server: ServerInfo) -> bool:
    """Whether agents of that release drop what a batch step writes before the next call (PROTOCOL §4.1)."""
    return (24, 9, 14) <= server.release < (25, 0, 0) or server.release >= (25, 11, 0)


def tells_exit_codes(server: ServerInfo) -> bool:
    """Whether events of that release carry the exit code of a batch session's command (PROTOCOL §5.1, §10)."""
    return server.release < (25, 13, 0)


def tells_upload_failures(server: ServerInfo) -> bool:
    """Whether that release says so when an agent cannot store an uploaded file (seen: 23.9.10 does, 26.9.6 not)."""
    return server.release < (24, 3, 0)


def proxy_cuts_at_the_end(server: ServerInfo) -> bool:
    """Whether the end of an app's connection may come without a closing frame, as from 23.09.

    26.9 closes with a code, as PROTOCOL §2.3 says that all do; for what is in between, a cut is taken for the
    end too, because a reset in its place loses what the local end has not read yet.
    """
    return server.release < (26, 9, 0)


def terminal_takes_input(server: ServerInfo) -> bool:
    """Whether the server's own terminal takes what is typed and shows what is written (PROTOCOL §4.3).

    Up to 25.8 the first key ends it; from 25.19 on it is connected to the interpreter instead of a terminal,
    and shows nothing.
    """
    return (25, 9, 1) <= server.release < (25, 19, 0)


_STATUS_SINCE: Mapping[S, tuple[int, int, int]] = {
    S.PREPARED: (25, 3, 0),
    S.CREATING: (25, 3, 0),
    S.DEPRIORITIZING: (26, 8, 0),
    S.RESERVED: (26, 8, 0),
    S.PREEMPTED: (26, 8, 0),
    S.RESCHEDULING: (26, 8, 0),
}

# Container statuses that DESIGN lists among the active ones; no release read has them for sessions.
_NEVER_SESSION_STATUSES = frozenset({S.RESIZING, S.SUSPENDED})


@lru_cache(maxsize=16)
def known_statuses(server: ServerInfo) -> frozenset[S]:
    """The session statuses that *server* accepts in a listing; others would fail the query."""
    return frozenset(
        s for s in S if s not in _NEVER_SESSION_STATUSES and _STATUS_SINCE.get(s, (0, 0, 0)) <= server.release
    )


def _key(version: str) -> tuple[int, str]:
    match = re.fullmatch(r"v(\d{1,9})\.(\d{8})", version)
    if match is None:
        raise WireError(f"cannot read the server's API version {version!r}: expected the form 'v7.20230615'")
    return int(match[1]), match[2]


def _release(manager: str) -> tuple[int, int, int] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", manager)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _named(manager: str) -> str:
    return f" (release {manager})" if manager else ""
