"""When a session had which status, and what it waits for, as servers tell it (PROTOCOL §2.3, §3.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from backendai_sdk._wire.gql import data_of
from backendai_sdk._wire.scalars import Mismatch, excerpt, read_datetime
from backendai_sdk._wire.structure import structure
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import SessionNotFound, WireError
from backendai_sdk.models.dependency import DependencyNode

__all__ = ["history_body", "read_graph", "read_history", "read_listed_history"]

_HISTORY = "query($id: UUID!) { compute_session(id: $id) { status_history } }"
_DEEPEST = 100


def history_body(session_id: str) -> dict[str, object]:
    """The GraphQL query for the history.

    Every release answers it, also for sessions that have ended; the REST endpoint came with 25.9, for live ones.
    """
    return {"query": _HISTORY, "variables": {"id": session_id}}


def read_listed_history(answer: object, *, session_id: str) -> dict[SessionStatus, datetime]:
    """Read the answer to :func:`history_body`.

    Raises:
        SessionNotFound: there is no such session, or this key may not see it.
    """
    row = data_of(answer).get("compute_session")
    if row is None:
        raise SessionNotFound(f"there is no session {session_id}, or this key may not see it", status=404)
    match row:
        case {"status_history": None}:
            return {}
        case {"status_history": str(text)}:
            try:
                return read_history(json.loads(text))
            except (ValueError, RecursionError):
                raise WireError(f"the status history is not JSON: {text[:200]}") from None
        case {"status_history": history}:
            return read_history(history)
    raise WireError(f"the answer has no status history: {excerpt(row)}")


def read_history(history: object) -> dict[SessionStatus, datetime]:
    """Read statuses and times, in the order of time."""
    if not isinstance(history, Mapping):
        raise WireError(f"the status history is not an object: {excerpt(history)}")
    found: dict[SessionStatus, datetime] = {}
    for status, when in history.items():
        try:
            found[SessionStatus(status)] = read_datetime(when)
        except (Mismatch, ValueError, TypeError):
            raise WireError(f"the status history has no time for {status}: {excerpt(when)}") from None
    return dict(sorted(found.items(), key=lambda item: item[1]))


def read_graph(answer: object) -> DependencyNode:
    """Read a dependency graph; statuses come as ``"KernelStatus.RUNNING"``, an absent time as ``"None"``."""
    return structure(DependencyNode, _plain(answer, _DEEPEST), where="dependency-graph")


def _plain(node: object, depth: int) -> object:
    if not isinstance(node, Mapping) or depth == 0:
        return node
    plain = dict(node)
    plain["status"] = excerpt(node.get("status", "")).rpartition(".")[2]
    if node.get("status_changed") == "None":
        plain["status_changed"] = None
    children = node.get("depends_on")
    plain["depends_on"] = (
        [_plain(child, depth - 1) for child in children] if isinstance(children, list) else []
    )
    return plain
