"""What ``status=`` means: the named sets, single statuses and lists of them (DESIGN §2, PROTOCOL §3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from backendai_sdk._wire.versions import known_statuses
from backendai_sdk.enums import Phase
from backendai_sdk.enums import SessionStatus as S
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.server import ServerInfo

__all__ = ["STATUS_SETS", "phase_of", "status_argument"]

STATUS_SETS: dict[str, tuple[S, ...]] = {
    "active": (
        S.PENDING,
        S.DEPRIORITIZING,
        S.RESERVED,
        S.SCHEDULED,
        S.PREPARING,
        S.PREPARED,
        S.PULLING,
        S.CREATING,
        S.RUNNING,
        S.RUNNING_DEGRADED,
        S.RESTARTING,
        S.RESIZING,
        S.SUSPENDED,
        S.PREEMPTED,
        S.RESCHEDULING,
        S.TERMINATING,
        S.ERROR,
    ),
    "running": (S.PREPARING, S.PULLING, S.CREATING, S.RUNNING, S.RUNNING_DEGRADED),
    "dead": (S.CANCELLED, S.TERMINATED),
}
STATUS_SETS["all"] = STATUS_SETS["active"] + STATUS_SETS["dead"]

_PHASES = {
    S.PENDING: Phase.QUEUED,
    S.DEPRIORITIZING: Phase.QUEUED,
    S.RESERVED: Phase.QUEUED,
    S.PREEMPTED: Phase.QUEUED,
    S.RESCHEDULING: Phase.QUEUED,
    S.SCHEDULED: Phase.SCHEDULED,
    S.PULLING: Phase.PULLING,
    S.RUNNING: Phase.RUNNING,
    S.RUNNING_DEGRADED: Phase.RUNNING,
    S.TERMINATING: Phase.ENDED,
    S.TERMINATED: Phase.ENDED,
    S.CANCELLED: Phase.ENDED,
    S.ERROR: Phase.ENDED,
}


def phase_of(status: S) -> Phase:
    """The coarse phase that a status belongs to; unknown statuses count as preparing."""
    return _PHASES.get(status, Phase.PREPARING)


def parse_status(status: str | Iterable[str]) -> tuple[S, ...]:
    """The statuses that *status* names, in the order given, each once.

    Raises:
        InvalidArgument: a name is neither a set nor a status; the nearest spelling is offered.
    """
    names = [status] if isinstance(status, str) else list(status)
    names = [part.strip() for name in names for part in str(name).split(",")]
    if not any(names):
        raise InvalidArgument(
            "status: nothing was given; use 'active', 'running', 'dead', 'all' or statuses", argument="status"
        )
    found: dict[S, None] = {}
    members = S.__members__
    for name in names:
        if name in members:
            # First of all: `SessionStatus.RUNNING` is that status, and "running" the set.
            found[S[name]] = None
        elif name.lower() in STATUS_SETS:
            found.update(dict.fromkeys(STATUS_SETS[name.lower()]))
        elif name.upper() in members:
            found[S[name.upper()]] = None
        else:
            words = [*STATUS_SETS, *members]
            near = get_close_matches(name.upper(), [w.upper() for w in words], 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise InvalidArgument(
                f"status: {name!r} is not a session status{hint} Allowed: {', '.join(words)}",
                argument="status",
            )
    return tuple(found)


def status_argument(status: str | Iterable[str], server: ServerInfo) -> str:
    """The list query's ``status`` value: the names that *server* knows, comma-joined.

    Raises:
        InvalidArgument: as :func:`parse_status`; or no status asked for is known to that release.
    """
    asked = parse_status(status)
    known = known_statuses(server)
    sent = [s.value for s in asked if s in known]
    if not sent:
        raise InvalidArgument(
            f"status: {', '.join(s.value for s in asked)} does not exist on this server ({server.manager})",
            argument="status",
        )
    return ",".join(sent)
