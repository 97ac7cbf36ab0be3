"""What the server remembers: sessions and their kernels, as plain mutable records.

Assumes that only the cluster's own loop thread changes them. A record knows its values and how long it has
had them; what may happen next is decided in `lifecycle`, how it looks on the wire in `routes` and `schema`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs

from . import slots

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from .accounts import Account
    from .apps import SessionApps
    from .images import Image
    from .kernel import Kernel
    from .slots import Slots

__all__ = ["DEAD", "NOT_OCCUPYING", "KernelRecord", "SessionRecord", "SessionSnapshot", "Signal"]

DEAD: Final = frozenset({"TERMINATED", "CANCELLED"})
NOT_OCCUPYING: Final = DEAD | {"PENDING"}


class Signal:
    """Wakes everyone who waits, each time something changes."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self) -> None:
        """Return at the next change."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


@attrs.define(eq=False, kw_only=True)
class KernelRecord:
    """One container of a session, as the server would list it; only the main one really runs."""

    id: uuid.UUID
    role: str  # "main" | "sub"
    idx: int  # per role, from 1
    local_rank: int
    slots: Slots
    shmem: int
    status: str = "PENDING"
    status_info: str | None = None
    status_data: dict[str, Any] | None = None
    status_changed: datetime
    created_at: datetime
    terminated_at: datetime | None = None
    scheduled_at: datetime | None = None
    starts_at: datetime | None = None
    agent: str | None = None
    container_id: str | None = None

    @property
    def hostname(self) -> str:
        return f"{self.role}{self.idx}"


@attrs.define(eq=False, kw_only=True)
class SessionRecord:
    """One session, alive or dead."""

    id: uuid.UUID
    name: str
    owner: Account
    image: Image
    type: str  # "interactive" | "batch" | "inference" | "system"
    created_at: datetime
    status_changed: datetime
    kernels: list[KernelRecord]
    domain: str
    group: str
    group_id: uuid.UUID
    scaling_group: str
    work_dir: Path
    architecture: str = "x86_64"
    cluster_mode: str = "single-node"
    tag: str | None = None
    priority: int = 10
    environ: dict[str, str] = attrs.field(factory=dict, repr=False)
    mounts: list[str] = attrs.field(factory=list)
    preopen_ports: list[int] = attrs.field(factory=list)
    agent_list: list[str] | None = None
    startup_command: str | None = None
    bootstrap_script: str | None = None
    batch_timeout: float | None = None
    dependencies: list[uuid.UUID] = attrs.field(factory=list)
    starts_at: datetime | None = None

    status: str = "PENDING"
    status_info: str | None = None
    status_data: dict[str, Any] | None = None
    status_history: dict[str, datetime] = attrs.field(factory=dict)
    scheduled_at: datetime | None = None
    terminated_at: datetime | None = None
    result: str = "UNDEFINED"
    num_queries: int = 0
    event_name: str = ""  # what events call it; some releases keep the old name after a rename
    eligible_at: float = 0.0  # monotonic time of the first scheduling attempt

    kernel: Kernel | None = None
    apps: SessionApps | None = None
    committing: bool = False
    running_since: float = 0.0  # monotonic
    last_logs: str = ""
    driver: asyncio.Task[None] | None = None
    changed: Signal = attrs.field(factory=Signal)

    @property
    def main(self) -> KernelRecord:
        return self.kernels[0]

    @property
    def access_key(self) -> str:
        return self.owner.access_key

    @property
    def is_live(self) -> bool:
        return self.status not in DEAD

    @property
    def occupies(self) -> bool:
        return self.status not in NOT_OCCUPYING

    @property
    def requested_slots(self) -> Slots:
        return slots.add(kernel.slots for kernel in self.kernels)

    @property
    def resource_opts(self) -> dict[str, dict[str, int]]:
        options = {kernel.hostname: {"shmem": kernel.shmem} for kernel in self.kernels}
        # The real one comes out of a jsonb column, which has the shorter keys first: sub1 before main1.
        return dict(sorted(options.items(), key=lambda item: (len(item[0]), item[0])))

    @property
    def service_ports(self) -> list[dict[str, Any]] | None:
        """The raw items the server keeps; nothing before the session has run.

        `sshd` and `ttyd` are what every real session lists; here there is no `sshd`. Pre-opened ports are this
        machine's own ports: a program in the session really can listen there. Other apps get a port of the
        machine when they are started.
        """
        if "RUNNING" not in self.status_history:
            return None
        ports = [("sshd", "tcp", 2200), ("ttyd", "http", 7681)]
        ports += [(app.name, app.protocol, app.port) for app in self.image.apps]
        ports += [(str(port), "preopen", port) for port in self.preopen_ports]
        started = {} if self.apps is None else self.apps.ports
        return [
            {
                "name": name,
                "protocol": protocol,
                "host_ports": [started.get(name, port)],
                "is_inference": False,
                "container_ports": [port],
            }
            for name, protocol, port in ports
        ]

    @property
    def public_ports(self) -> list[dict[str, Any]]:
        return [
            {"name": item["name"], "protocol": item["protocol"], "ports": item["container_ports"]}
            for item in self.service_ports or []
        ]

    def move(
        self, status: str, now: datetime, *, info: str | None = None, data: dict[str, Any] | None = None
    ) -> None:
        """Take on `status` and tell whoever waits. Kernels follow."""
        self.status = status
        self.status_info = info
        self.status_data = data
        self.status_changed = now
        self.status_history[status] = now
        for kernel in self.kernels:
            kernel.status = status
            kernel.status_info = info
            kernel.status_data = data
            kernel.status_changed = now
        self.changed.fire()

    def snapshot(self) -> SessionSnapshot:
        return SessionSnapshot(
            id=str(self.id),
            name=self.name,
            access_key=self.access_key,
            type=self.type,
            image=self.image.canonical,
            status=self.status,
            status_info=self.status_info,
            status_data=self.status_data,
            status_history=dict(self.status_history),
            result=self.result,
            agents=tuple(sorted({kernel.agent for kernel in self.kernels if kernel.agent})),
            requested_slots=slots.as_text(self.requested_slots),
            cluster_size=len(self.kernels),
            tag=self.tag,
            num_queries=self.num_queries,
            created_at=self.created_at,
            terminated_at=self.terminated_at,
            work_dir=self.work_dir,
        )


@attrs.frozen(kw_only=True)
class SessionSnapshot:
    """A session at one moment, for assertions; changing it changes nothing."""

    id: str
    name: str
    access_key: str
    type: str
    image: str
    status: str
    status_info: str | None
    status_data: Mapping[str, Any] | None
    status_history: Mapping[str, datetime]
    result: str
    agents: tuple[str, ...]
    requested_slots: Mapping[str, str]
    cluster_size: int
    tag: str | None
    num_queries: int
    created_at: datetime
    terminated_at: datetime | None
    work_dir: Path

    @property
    def is_live(self) -> bool:
        return self.status not in DEAD
