"""Why a session does not run yet: from what is known to reasons and a verdict (PROTOCOL §3.3).

Releases before 26.9 note down what the scheduler thinks; that is taken at its word, and only the verdict is worked
out.  26.9 notes down nothing: what follows with certainty from limits, dependencies and the start time is said, and
nothing else.  "Never" and "busy" are only said where they are sure; a guess would be worse than "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from backendai_sdk._wire.situation import Scheduling, Situation, read_scheduling, requested
from backendai_sdk._wire.statuses import phase_of
from backendai_sdk.enums import (
    ClusterMode,
    Phase,
    ReasonKind,
    SessionResult,
    SessionStatus,
    SessionType,
    Verdict,
)
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.explanation import Explanation, PendingReason
from backendai_sdk.models.session import SessionInfo, SessionRef
from backendai_sdk.models.slots import ByteSize, ResourceSlots

__all__ = ["explain", "looks_at"]

Amount: TypeAlias = Decimal | ByteSize
# The scheduler's names for its checks; those of quotas end alike, and newer releases have more of them.
_KINDS = {
    "reserved_time": ReasonKind.START_TIME,
    "dependencies": ReasonKind.DEPENDENCIES,
    "concurrency": ReasonKind.CONCURRENCY,
    "pending_session_count_limit": ReasonKind.QUOTA,
}
_QUOTA = "_resource_limit"
_NO_ROOM = "no-available-instances"
_IN_PARENTHESES = re.compile(r"\(([^()]*=[^()]*)\)")
# Statuses that do not count as running for a key's limits (PROTOCOL §3.1).
_NOT_COUNTED = frozenset({SessionStatus.TERMINATING, SessionStatus.TERMINATED, SessionStatus.CANCELLED})


def looks_at(row: SessionInfo) -> frozenset[str]:
    """Which facts besides the row say more about it: names of attributes of ``Situation``."""
    if phase_of(row.status) != Phase.QUEUED:
        return frozenset()
    told = read_scheduling(row)
    kinds = {_kind(name) for name, _ in told.failed}
    if row.status_info == _NO_ROOM:
        kinds.add(ReasonKind.RESOURCES)
    if not kinds:
        return frozenset({"dependencies", "own", "limits", "max_sessions", "agents"})
    facts = set()
    if ReasonKind.DEPENDENCIES in kinds:
        facts.add("dependencies")
    if ReasonKind.CONCURRENCY in kinds:
        facts.add("own")
    if ReasonKind.RESOURCES in kinds:
        facts |= {"own", "limits", "agents"}
    return frozenset(facts)


def explain(situation: Situation) -> Explanation:
    """All that can be said about a session's waiting."""
    row = situation.row
    told = read_scheduling(row)
    state = phase_of(row.status)
    reasons: tuple[PendingReason, ...] = ()
    verdict: Verdict | None = None
    if state == Phase.ENDED:
        reasons = _failure(told)
    elif state == Phase.QUEUED:
        reasons = tuple(_told(situation, told)) or tuple(_derived(situation))
        verdict = _together(reasons)
    elif state != Phase.RUNNING:
        reasons = _pull(row)
        verdict = Verdict.BUSY
    return Explanation(
        session_id=row.id,
        session_name=row.name or None,
        state=state,
        status=row.status,
        status_info=row.status_info or None,
        status_changed=row.status_changed or None,
        verdict=verdict,
        reasons=reasons,
        passed=told.passed if state == Phase.QUEUED else (),
        retries=told.retries,
        last_try=told.last_try,
        extra=told.raw,
    )


def _together(reasons: Iterable[PendingReason]) -> Verdict:
    verdicts = {reason.verdict for reason in reasons}
    if Verdict.NEVER in verdicts:
        return Verdict.NEVER
    return Verdict.BUSY if verdicts == {Verdict.BUSY} else Verdict.UNKNOWN


def _kind(name: str) -> ReasonKind:
    return ReasonKind.QUOTA if name.endswith(_QUOTA) else _KINDS.get(name, ReasonKind.OTHER)


def _failure(told: Scheduling) -> tuple[PendingReason, ...]:
    if told.error is None:
        return ()
    return (
        PendingReason(kind=ReasonKind.FAILURE, message=told.error, verdict=Verdict.NEVER, source="server"),
    )


def _pull(row: SessionInfo) -> tuple[PendingReason, ...]:
    if row.status != SessionStatus.PULLING:
        return ()
    message = (
        f"the image {row.image} is being fetched by the agent" if row.image else "its image is being fetched"
    )
    return (
        PendingReason(kind=ReasonKind.IMAGE_PULL, message=message, verdict=Verdict.BUSY, source="server"),
    )


# --- what the scheduler says ---------------------------------------------------------------------------------


def _told(situation: Situation, told: Scheduling) -> Iterable[PendingReason]:
    row = situation.row
    for name, message in told.failed:
        yield _of_check(situation, name, message or name)
    if row.status_info == _NO_ROOM:
        yield _no_room(situation, told.message or "no agent has room for it now", "server")
    elif not told.failed and told.error is not None:
        yield PendingReason(kind=ReasonKind.OTHER, message=told.error, source="server", name=row.status_info)


def _of_check(situation: Situation, name: str, message: str) -> PendingReason:
    kind = _kind(name)
    reason = partial(PendingReason, kind=kind, message=message, source="server", name=name or None)
    match kind:
        case ReasonKind.START_TIME:
            return reason(verdict=Verdict.BUSY, until=situation.row.starts_at or None)
        case ReasonKind.DEPENDENCIES:
            return _waits_for(situation, message, "server", name)
        case ReasonKind.CONCURRENCY:
            return reason(verdict=Verdict.BUSY, sessions=_refs(_counted(situation)))
        case ReasonKind.QUOTA:
            needed, limit = requested(situation.row), _slots_in(message)
            # What is needed exceeds a limit by itself, or only together with what is used now.
            return reason(verdict=_by_limit(needed, limit), needed=needed, limit=limit)
    return reason()


def _by_limit(needed: ResourceSlots | None, limit: ResourceSlots | None) -> Verdict:
    if needed is None or limit is None:
        return Verdict.UNKNOWN
    return Verdict.NEVER if _exceeding(needed, limit) else Verdict.BUSY


def _slots_in(message: str) -> ResourceSlots | None:
    """The limit at the end of a message, as in ``"… is exceeded. (cpu=1 mem=1g)"``."""
    found = _IN_PARENTHESES.search(message)
    if found is None:
        return None
    try:
        return ResourceSlots.parse(found[1])
    except InvalidArgument:
        return None


# --- what follows, where it says nothing ---------------------------------------------------------------------


def _derived(situation: Situation) -> Iterable[PendingReason]:
    row = situation.row
    # Only what was asked for: some releases put the time at which it began to run here.
    if row.starts_at and row.starts_at > situation.now:
        yield PendingReason(
            kind=ReasonKind.START_TIME,
            message=f"it is not to start before {row.starts_at.isoformat()}",
            verdict=Verdict.BUSY,
            until=row.starts_at,
        )
    if _unfinished(situation):
        names = ", ".join(f"{other.name} ({other.status})" for other in _unfinished(situation))
        yield _waits_for(situation, f"it waits for the success of {names}", "derived", None)
    running = _counted(situation)
    if situation.max_sessions and len(running) >= situation.max_sessions:
        yield PendingReason(
            kind=ReasonKind.CONCURRENCY,
            message=f"the key may run {situation.max_sessions} sessions at once, and runs {len(running)}",
            verdict=Verdict.BUSY,
            sessions=_refs(running),
        )
    yield from _beyond_limits(situation)


def _beyond_limits(situation: Situation) -> Iterable[PendingReason]:
    needed, limits = requested(situation.row), situation.limits
    if needed is None:
        return
    over = [limit for limit in limits.allowed if _exceeding(needed, limit)] if limits else []
    if over:
        yield PendingReason(
            kind=ReasonKind.QUOTA,
            message=f"it asks for {needed}, and the most that is allowed is {_finite(over[0])}",
            verdict=Verdict.NEVER,
            needed=needed,
            limit=over[0],
        )
    elif limits and limits.remaining is not None and _exceeding(needed, limits.remaining):
        left = limits.remaining
        yield PendingReason(
            kind=ReasonKind.QUOTA,
            message=f"it asks for {needed}, and of what is allowed {_finite(left)} is left",
            verdict=Verdict.BUSY if limits.allowed else Verdict.UNKNOWN,
            needed=needed,
            limit=left,
        )
    fits = _fits_an_agent(situation, needed)
    left_in_group = limits.group_remaining if limits else None
    if left_in_group is not None and _exceeding(needed, left_in_group):
        message = f"it asks for {needed}, and its resource group has {_finite(left_in_group)} left"
        yield _no_room(situation, message, "derived")
    elif fits is False:
        yield _no_room(situation, f"it asks for {needed}, and no agent has as much", "derived")


# --- what single reasons mean --------------------------------------------------------------------------------


def _unfinished(situation: Situation) -> tuple[SessionInfo, ...]:
    others = situation.dependencies or ()
    return tuple(other for other in others if other.result != SessionResult.SUCCESS)


def _waits_for(situation: Situation, message: str, source: str, name: str | None) -> PendingReason:
    """A dependency counts once its result is SUCCESS (PROTOCOL §3.1); only batch sessions have a result."""
    others = _unfinished(situation)
    verdict = Verdict.BUSY if others else Verdict.UNKNOWN
    if lost := [o for o in others if o.status.is_dead or o.type == SessionType.INTERACTIVE]:
        verdict = Verdict.NEVER
        how = ", ".join(
            f"{o.name} has ended without it"
            if o.status.is_dead
            else f"{o.name} is interactive and has no result"
            for o in lost
        )
        message = f"{message} {how}" if message.endswith((".", ")")) else f"{message}: {how}"
    return PendingReason(
        kind=ReasonKind.DEPENDENCIES,
        message=message,
        verdict=verdict,
        source="server" if source == "server" else "derived",
        name=name,
        sessions=_refs(others),
    )


def _no_room(situation: Situation, message: str, source: str) -> PendingReason:
    needed = requested(situation.row)
    fits = None if needed is None else _fits_an_agent(situation, needed)
    verdict = {True: Verdict.BUSY, False: Verdict.NEVER, None: Verdict.UNKNOWN}[fits]
    return PendingReason(
        kind=ReasonKind.RESOURCES,
        message=message,
        verdict=verdict,
        source="server" if source == "server" else "derived",
        needed=needed,
        limit=situation.limits.group_remaining if situation.limits else None,
    )


def _fits_an_agent(situation: Situation, needed: ResourceSlots) -> bool | None:
    """Whether some agent could take it if it were empty; ``None`` if that cannot be known.

    Administrators may see the agents.  For others, what their own sessions hold on one agent now is proof that it
    is at least that large; that it is not larger cannot be known.
    """
    row = situation.row
    part = needed
    if row.cluster_mode == ClusterMode.MULTI_NODE and row.cluster_size:
        part = ResourceSlots.from_wire(
            {name: str(Decimal(amount) / row.cluster_size) for name, amount in needed.items()}
        )
    if situation.agents is not None:
        return any(not _exceeding(part, agent, known=True) for agent in situation.agents)
    held: dict[str, dict[str, Decimal]] = {}
    for other in situation.own or ():
        agents = other.agent_ids or ()
        if other.scaling_group == row.scaling_group and len(agents) == 1 and other.occupying_slots:
            sums = held.setdefault(agents[0], {})
            for name, amount in other.occupying_slots.items():
                sums[name] = sums.get(name, Decimal()) + Decimal(amount)
    return True if any(not _exceeding(part, sums, known=True) for sums in held.values()) else None


def _exceeding(
    needed: Mapping[str, Amount], limit: Mapping[str, Amount], *, known: bool = False
) -> tuple[str, ...]:
    """The slots of which more is needed than the limit says; a slot that it does not name is free, or none if *known*."""
    free = Decimal() if known else Decimal("Infinity")
    over = []
    for name, amount in needed.items():
        most = Decimal(limit.get(name, free))
        if not most.is_nan() and Decimal(amount) > most:
            over.append(name)
    return tuple(over)


def _finite(slots: ResourceSlots) -> ResourceSlots:
    """Without the slots that are unlimited or hidden."""
    return ResourceSlots.from_wire(
        {name: amount for name, amount in slots.to_wire().items() if Decimal(amount).is_finite()}
    )


def _counted(situation: Situation) -> tuple[SessionInfo, ...]:
    """The key's sessions that count as running."""
    return tuple(
        other
        for other in situation.own or ()
        if phase_of(other.status) != Phase.QUEUED and other.status not in _NOT_COUNTED
    )


def _refs(rows: Iterable[SessionInfo]) -> tuple[SessionRef, ...]:
    return tuple(SessionRef(id=row.id, name=row.name, status=row.status) for row in rows)
