"""Which waiting session may start now, and where: the decision alone.

Assumes first come, first served within a priority; a session that does not fit does not hold up a smaller
one behind it. Slots are accounted, not enforced (the memory limit of a session is, by its kernel).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from . import slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from .records import KernelRecord, SessionRecord
    from .slots import Slots

__all__ = ["Agent", "Agents", "Verdict", "judge", "queue_order"]

_PREDICATES: Final = (
    "reserved_time",
    "dependencies",
    "concurrency",
    "keypair_resource_limit",
    "user_resource_limit",
    "user_group_resource_limit",
    "domain_resource_limit",
)
_NO_QUOTA: Final = frozenset({"PENDING", "TERMINATED", "CANCELLED", "TERMINATING"})


@attrs.frozen
class Agent:
    """A machine of the cluster, with what it has to give."""

    id: str = "i-local-01"
    cpu: int = 16
    mem: int | str = "64g"
    accelerators: Mapping[str, int | str | Decimal] = attrs.field(
        factory=lambda: {"cuda.shares": 4, "cuda.device": 2}
    )

    @property
    def slots(self) -> Slots:
        given = {"cpu": self.cpu, "mem": self.mem, **self.accelerators}
        return {name: slots.parse_amount(name, amount) for name, amount in given.items()}


class Agents:
    """The agents and what is taken of each."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        if not agents:
            raise ValueError("a cluster needs at least one agent")
        self.agents = tuple(agents)
        self.capacity: dict[str, Slots] = {agent.id: agent.slots for agent in agents}
        if len(self.capacity) != len(agents):
            raise ValueError("two agents have the same id")
        self.taken: dict[str, Slots] = {agent.id: {} for agent in agents}

    @property
    def slot_types(self) -> dict[str, str]:
        """Every known slot and its unit."""
        names = slots.add(self.capacity.values())
        return {name: "bytes" if name == "mem" else "count" for name in names}

    def free(self, agent_id: str) -> Slots:
        taken = self.taken[agent_id]
        return {name: amount - taken.get(name, Decimal()) for name, amount in self.capacity[agent_id].items()}

    def place(self, session: SessionRecord) -> bool:
        """Reserve room for every kernel of `session`, all of them or none."""
        choices = [a.id for a in self.agents if session.agent_list is None or a.id in session.agent_list]
        if session.cluster_mode == "single-node":
            together = session.requested_slots
            agent = next((a for a in choices if slots.fits(together, self.free(a))), None)
            placed = {kernel.id: agent for kernel in session.kernels}
        else:
            room = {agent_id: self.free(agent_id) for agent_id in choices}
            placed = {}
            for kernel in session.kernels:
                agent = next((a for a in choices if slots.fits(kernel.slots, room[a])), None)
                placed[kernel.id] = agent
                if agent is not None:
                    room[agent] = {n: v - kernel.slots.get(n, Decimal()) for n, v in room[agent].items()}
        if any(agent is None for agent in placed.values()):
            return False
        for kernel in session.kernels:
            kernel.agent = placed[kernel.id]
        self._account(session.kernels, 1)
        return True

    def release(self, session: SessionRecord) -> None:
        """Give back what `session` had reserved."""
        self._account(session.kernels, -1)

    def _account(self, kernels: Iterable[KernelRecord], sign: int) -> None:
        for kernel in kernels:
            if kernel.agent is None:
                continue
            taken = self.taken[kernel.agent]
            for name, amount in kernel.slots.items():
                taken[name] = taken.get(name, Decimal()) + sign * amount


@attrs.frozen
class Verdict:
    """Why a session may not start yet; both empty when it may be placed."""

    failed: tuple[tuple[str, str], ...]

    @property
    def failed_predicates(self) -> list[dict[str, str]]:
        return [{"name": name, "msg": msg} for name, msg in self.failed]

    @property
    def passed_predicates(self) -> list[dict[str, str]]:
        failed = {name for name, _ in self.failed}
        return [{"name": name} for name in _PREDICATES if name not in failed]


def queue_order(session: SessionRecord) -> tuple[int, datetime]:
    """The key by which waiting sessions are tried."""
    return -session.priority, session.created_at


def judge(
    session: SessionRecord,
    sessions: Mapping[UUID, SessionRecord],
    *,
    now: datetime,
    max_concurrent: int | None,
    max_resources: Slots | None = None,
) -> Verdict:
    """Hold `session` against everything but room."""
    failed: list[tuple[str, str]] = []
    if session.type == "batch" and session.starts_at is not None and session.starts_at > now:
        failed.append(("reserved_time", "Before start time"))
    waiting = [sessions[d] for d in session.dependencies if d in sessions and sessions[d].result != "SUCCESS"]
    if waiting:
        names = ", ".join(f"{other.name} ({other.id})" for other in waiting)
        failed.append(("dependencies", f"Waiting dependency sessions to finish as success. ({names})"))
    mine = [s for s in sessions.values() if s.access_key == session.access_key and s.status not in _NO_QUOTA]
    if max_concurrent is not None and len(mine) >= max_concurrent:
        failed.append(("concurrency", f"You cannot run more than {max_concurrent} concurrent sessions"))
    if max_resources is not None:
        used = slots.add(s.requested_slots for s in (*mine, session))
        if any(used.get(name, Decimal()) > most for name, most in max_resources.items()):
            limit = slots.humanize(max_resources)
            failed += [
                ("keypair_resource_limit", f"Your keypair resource quota is exceeded. ({limit})"),
                ("user_resource_limit", f"Your main-keypair resource quota is exceeded. ({limit})"),
            ]
    return Verdict(tuple(failed))


def scheduler_data(
    previous: Mapping[str, Any] | None,
    verdict: Verdict,
    *,
    now: datetime,
    msg: str | None = None,
) -> dict[str, Any]:
    """The `status_data` of a session that stays in the queue."""
    before = (previous or {}).get("scheduler", {})
    data: dict[str, Any] = {} if msg is None else {"msg": msg}
    data |= {
        "retries": before.get("retries", 0) + 1,
        "last_try": now.isoformat(),
        "failed_predicates": verdict.failed_predicates,
        "passed_predicates": verdict.passed_predicates,
    }
    return {"scheduler": data}
