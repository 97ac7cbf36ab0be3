"""What kinds of answers there are among the captures: those that the SDK reads, and those that it does not use.

Each capture is of exactly one kind; a test holds that. A kind that the SDK has no use for yet says why, and its
captures are looked at only as far as is needed to know that they are what they seem.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs

from .capture import Capture


@attrs.frozen
class Kind:
    """A kind of answer; `unused` is the reason why the SDK does not read it."""

    name: str
    claims: Callable[[Capture], bool]
    unused: str = ""


def kind_of(capture: Capture) -> Kind:
    """The one kind of a capture."""
    (kind,) = kinds_of(capture)
    return kind


def kinds_of(capture: Capture) -> list[Kind]:
    return [kind for kind in KINDS if kind.claims(capture)]


def _ok(method: str, pattern: str, status: int | None = None) -> Callable[[Capture], bool]:
    """A successful answer to such a request."""
    compiled = re.compile(pattern)

    def claims(c: Capture) -> bool:
        return (
            c.answer is not None
            and (c.answer.status == status if status else c.answer.status < 400)
            and c.sent.method in method.split("|")
            and compiled.fullmatch(c.sent.path) is not None
        )

    return claims


def _failed(c: Capture) -> bool:
    return c.answer is not None and c.answer.status >= 400 and not c.sent.path.startswith("/server/")


def _graphql(test: Callable[[dict[str, Any]], bool]) -> Callable[[Capture], bool]:
    asked = _ok("POST", "/admin/gql")

    def claims(c: Capture) -> bool:
        return asked(c) and c.answer is not None and test(c.answer.json)

    return claims


def _rows(answer: dict[str, Any]) -> bool:
    data = answer.get("data") or {}
    return not answer.get("errors") and bool(
        data.get("compute_session") or data.get("compute_session_list", {}).get("items")
    )


def _images(answer: dict[str, Any]) -> bool:
    data = answer.get("data") or {}
    return bool(data.get("images") or data.get("image"))


_NAME = r"(?!_/)[^/]+"
_SESSION = rf"/session/{_NAME}"
_LATER = "the SDK has no such call yet"
_OTHER = "another service or another part of a manager, which the SDK has no calls for yet"

KINDS: tuple[Kind, ...] = (
    # --- what the SDK reads -------------------------------------------------------------------------------
    Kind("server", _ok("GET", "/")),
    Kind("ping", _ok("POST", "/auth")),
    Kind("problem", lambda c: _failed(c) and c.answer is not None and bool(c.answer.body)),
    Kind("bodiless problem", lambda c: _failed(c) and c.answer is not None and not c.answer.body),
    Kind("created", _ok("POST", "/session", 201)),
    Kind("destroyed", _ok("DELETE", _SESSION)),
    Kind("run", _ok("POST", _SESSION)),
    Kind("logs", _ok("GET", f"{_SESSION}/logs")),
    Kind("done", lambda c: any(_ok(*what, 204)(c) for what in _DONE)),
    Kind("events", _ok("GET", "/events/session")),
    Kind("sessions", _graphql(_rows)),
    Kind("images", _graphql(_images)),
    Kind("refused query", _graphql(lambda answer: bool(answer.get("errors")))),
    Kind("commit status", _ok("GET", f"{_SESSION}/commit")),
    Kind("commit begun", _ok("POST", f"{_SESSION}/commit", 201)),
    Kind("image begun", _ok("POST", f"{_SESSION}/imagify")),
    Kind("task events", _ok("GET", "/events/background-task")),
    Kind("sign-in", lambda c: c.sent.path == "/server/login"),
    # --- what it does not use -----------------------------------------------------------------------------
    Kind(
        "no answer",
        lambda c: c.answer is None,
        "a batch run of which 26.9 loses the end; the SDK sends all steps as one command to such servers",
    ),
    Kind("info", _ok("GET", _SESSION), "half of it is Python reprs: the SDK reads the list query instead"),
    Kind(
        "run over WebSocket", _ok("GET", rf"/stream/session/{_NAME}/execute"), "the SDK runs code over REST"
    ),
    Kind(
        "other query",
        _graphql(lambda answer: not answer.get("errors") and not _rows(answer) and not _images(answer)),
        "types that the SDK does not ask for, and a look-up that it does by listing",
    ),
    Kind(
        "older GraphQL path",
        _ok("POST", "/admin/graphql"),
        "the SDK asks /admin/gql, which all releases have",
    ),
    Kind("match", _ok("GET", "/session/_/match"), "it finds names only, and only whole ones: match() lists"),
    Kind("listing of files", _ok("GET", f"{_SESSION}/files"), _LATER),
    Kind("download", _ok("GET|POST", f"{_SESSION}/download"), _LATER),
    Kind("single download", _ok("GET|POST", f"{_SESSION}/download_single"), _LATER),
    Kind("completion", _ok("POST", f"{_SESSION}/complete"), _LATER),
    Kind("apps", _ok("GET", rf"/stream/session/{_NAME}/apps"), _LATER),
    Kind("started app", _ok("POST", f"{_SESSION}/start-service"), _LATER),
    Kind("stopped app", _ok("POST", f"{_SESSION}/shutdown-service"), _LATER),
    Kind("app or terminal over WebSocket", _ok("GET", rf"/stream/session/{_NAME}/(httpproxy|pty)"), _LATER),
    Kind("status history", _ok("GET", f"{_SESSION}/status-history"), _LATER),
    Kind("dependency graph", _ok("GET", f"{_SESSION}/dependency-graph"), _LATER),
    Kind(
        "empty report",
        _ok("GET", f"{_SESSION}/(direct-access-info|abusing-report)"),
        "always empty for ordinary sessions",
    ),
    Kind("role", _ok("GET", "/auth/role"), "the SDK does nothing that depends on it"),
    Kind("manager", _ok("GET", "/manager/(status|announcement)"), _OTHER),
    Kind("settings", _ok("GET", "/config/.*"), _OTHER),
    Kind("resources", _ok("GET|POST", "/(resource|scaling-groups).*"), _OTHER),
    Kind("folders", _ok("GET|POST|DELETE", "/folders.*"), _OTHER),
    Kind("storage proxy", _ok("GET|HEAD|OPTIONS|PATCH", "/(upload|download)"), _OTHER),
    Kind("app coordinator", _ok("GET", "/v2/proxy/.*"), _OTHER),
    Kind("REST v2", _ok("GET|POST", "/v2/sessions/.*"), "it has no way to run code, so v1 stays needed"),
    Kind(
        "web server's pages",
        _ok("POST", "/server/(login-check|logout)"),
        "a cookie is dropped, not given back",
    ),
)

_DONE = (
    ("POST", f"{_SESSION}/rename"),
    ("POST", f"{_SESSION}/interrupt"),
    ("POST", f"{_SESSION}/upload"),
    ("PATCH", _SESSION),
)
