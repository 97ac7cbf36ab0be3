"""Records as GraphQL shows them: one function per type, and the columns that filters and orders may name.

Assumes the default resolver of graphql-core: a value is taken from the mapping, a callable is called when its field
is asked for (so that what costs or fails is done only then).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from graphql import GraphQLError

from . import slots
from .images import MIB, USUAL_SHMEM, Image, as_reference
from .minilang import Member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .accounts import Account
    from .minilang import Getter
    from .records import KernelRecord, SessionRecord
    from .releases import Release
    from .scheduler import Agent
    from .server import ServerState

__all__ = [
    "CONTAINER_COLUMNS",
    "SESSION_COLUMNS",
    "account_view",
    "agent_view",
    "container_view",
    "group_view",
    "image_view",
    "no_such_image",
    "session_view",
]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _agents(session: SessionRecord) -> list[str] | None:
    """Each agent once; null while none is chosen."""
    chosen = dict.fromkeys(kernel.agent for kernel in session.kernels if kernel.agent)
    return list(chosen) or None


def session_view(session: SessionRecord, state: ServerState, *, detail: bool = False) -> dict[str, Any]:
    """A session. `detail` is the look-up of one, which has faults of its own in some releases."""
    from .routes.session import idle_checks

    release = state.release
    main = session.main
    occupying = (
        slots.as_text(session.requested_slots) if session.occupies or release.occupying_slots_always else {}
    )
    group = session.group[:1] if detail and release.detail_group_name_cut else session.group
    requested = _json(slots.as_text(session.requested_slots))

    def dependencies(_info: object) -> list[dict[str, Any]]:
        if session.dependencies and release.dependencies_error is not None:
            raise GraphQLError(release.dependencies_error or repr(session.dependencies[0]))
        records = state.sessions.records
        return [session_view(records[d], state) for d in session.dependencies if d in records]

    return {
        "id": str(session.id),
        "session_id": str(session.id),
        "main_kernel_id": str(main.id),
        "main_kernel_role": {"inference": "INFERENCE", "system": "SYSTEM"}.get(session.type, "COMPUTE"),
        "tag": (session.tag or "") if release.blank_tag else session.tag,
        "name": session.name,
        "type": session.type.upper(),
        "image": session.image.canonical,
        "architecture": session.architecture,
        "registry": session.image.registry,
        "cluster_template": None,
        "cluster_mode": session.cluster_mode,
        "cluster_size": len(session.kernels),
        "domain_name": session.domain,
        "group_name": group,
        "group_id": str(session.group_id),
        "agent_ids": _agents(session),
        "agents": _agents(session),
        "user_email": session.owner.email,
        "full_name": session.owner.email.partition("@")[0],
        "user_id": str(session.owner.user_id),
        "access_key": session.access_key,
        "status": session.status,
        "status_info": session.status_info,
        "status_data": _json(session.status_data),
        "status_changed": _time(session.status_changed),
        "status_history": _json({name: _time(at) for name, at in session.status_history.items()}),
        "created_at": _time(session.created_at),
        "terminated_at": _time(session.terminated_at),
        "starts_at": _time(session.starts_at),
        "scheduled_at": _time(session.scheduled_at),
        "startup_command": session.startup_command if release.startup_command_listed else None,
        "result": session.result,
        "commit_status": "ongoing" if session.committing else "ready",
        "abusing_reports": [None] * len(session.kernels),
        "idle_checks": lambda _info: _json(idle_checks(session, state)),
        "resource_opts": _json(session.resource_opts),
        "scaling_group": session.scaling_group,
        "service_ports": _json(session.service_ports),
        "mounts": list(session.mounts),
        "vfolder_mounts": [],
        "occupying_slots": _json(occupying),
        "occupied_slots": _json(occupying),
        "requested_slots": requested,
        "num_queries": session.num_queries,
        "inference_metrics": None,
        "priority": session.priority,
        "containers": lambda _info: [container_view(session, kernel, state) for kernel in session.kernels],
        "dependencies": dependencies,
    }


def container_view(session: SessionRecord, kernel: KernelRecord, state: ServerState) -> dict[str, Any]:
    """A kernel of a session."""

    def abusing_report(_info: object) -> None:
        if state.release.container_abusing_report_broken:
            raise TypeError(
                "ComputeContainer.resolve_abusing_report() missing 1 required positional argument: 'access_key'",
            )

    return {
        "id": str(kernel.id),
        "idx": kernel.idx,
        "role": kernel.role,
        "hostname": kernel.hostname,
        "cluster_idx": kernel.idx,
        "local_rank": kernel.local_rank,
        "cluster_role": kernel.role,
        "cluster_hostname": kernel.hostname,
        "session_id": str(session.id),
        "image": session.image.canonical,
        "architecture": session.architecture,
        "registry": session.image.registry,
        "status": kernel.status,
        "status_changed": _time(kernel.status_changed),
        "status_info": kernel.status_info,
        "status_data": _json(kernel.status_data),
        "created_at": _time(kernel.created_at),
        "terminated_at": _time(kernel.terminated_at),
        "starts_at": _time(kernel.starts_at),
        "scheduled_at": _time(kernel.scheduled_at),
        "abusing_report": abusing_report,
        "agent": kernel.agent,
        "agent_addr": None if kernel.agent is None else "tcp://127.0.0.1:6001",
        "container_id": kernel.container_id,
        "resource_opts": _json({"shmem": kernel.shmem}),
        "occupied_slots": _json(slots.as_text(kernel.slots)),
        "live_stat": None,
        "last_stat": None,
        "preopen_ports": list(session.preopen_ports),
    }


def _size_text(size: int) -> str:
    """A size as labels of images have it: ``256m``."""
    return str(size) if size % MIB else f"{size // MIB}m"


def image_view(image: Image, state: ServerState) -> dict[str, Any]:
    min_mem = _size_text(image.min_mem)
    unlimited = "Infinity" if state.release.image_limits_infinite else None
    limits = [
        {"key": "cpu", "min": str(image.min_cpu), "max": unlimited},
        {"key": "mem", "min": min_mem, "max": unlimited},
    ]
    digest = f"sha256:{hashlib.sha256(image.canonical.encode()).hexdigest()}"
    labels = {
        "ai.backend.features": "query batch uid-match user-input",
        "ai.backend.resource.min.cpu": str(image.min_cpu),
        "ai.backend.resource.min.mem": min_mem,
        "ai.backend.role": "COMPUTE",
        "ai.backend.service-ports": ",".join(f"{app.name}:{app.protocol}:{app.port}" for app in image.apps),
        **dict(image.labels),
    }
    if image.shmem != USUAL_SHMEM:
        labels["ai.backend.resource.preferred.shmem"] = _size_text(image.shmem)
    return {
        "id": None,
        "name": image.name,
        "humanized_name": image.name,
        "tag": image.tag,
        "registry": image.registry,
        "architecture": image.architecture,
        "is_local": False,
        "digest": digest,
        "labels": [{"key": key, "value": value} for key, value in labels.items()],
        "aliases": list(image.aliases),
        "size_bytes": 0,
        "resource_limits": limits,
        "supported_accelerators": [name for name in state.agents.slot_types if "." in name] or [""],
        "installed": not image.needs_pull,
        "installed_agents": [] if image.needs_pull else [agent.id for agent in state.agents.agents],
        "hash": digest,
    }


def no_such_image(reference: str, release: Release) -> GraphQLError:
    """What a release says of an image that it does not know."""
    message = "No such environment image."
    if release.entity_not_found:
        return GraphQLError(message, extensions={"code": "image_read_not-found"})
    return GraphQLError(
        f"{message} (Unknown image references: ref:'{as_reference(reference)}', alias:'{reference}')"
    )


def account_view(account: Account, state: ServerState) -> dict[str, Any]:
    """A key pair. Its secret is never shown."""
    key = account.access_key
    running = sum(s.access_key == key and s.occupies for s in state.sessions)
    return {
        "user_id": account.email,
        "full_name": account.email.partition("@")[0],
        "access_key": key,
        "secret_key": None,
        "is_active": True,
        "is_admin": account.is_admin,
        "resource_policy": "default",
        "created_at": _time(account.created_at),
        "last_used": None,
        "rate_limit": state.limiter.limit,
        "num_queries": 0,
        "user": str(account.user_id),
        "projects": ["default"],
        "concurrency_used": running,
    }


def group_view(state: ServerState) -> dict[str, Any]:
    return {
        "id": str(state.accounts.group_id),
        "name": "default",
        "description": "",
        "is_active": True,
        "created_at": None,
        "domain_name": "default",
        "total_resource_slots": "{}",
        "allowed_vfolder_hosts": "{}",
        "integration_id": None,
    }


def agent_view(agent: Agent, state: ServerState) -> dict[str, Any]:
    return {
        "id": agent.id,
        "status": "ALIVE",
        "scaling_group": "default",
        "available_slots": _json(slots.as_text(state.agents.capacity[agent.id])),
        "occupied_slots": _json(slots.as_text(state.agents.taken[agent.id])),
        "addr": "tcp://127.0.0.1:6001",
        "architecture": "x86_64",
        "version": state.release.manager,
        "schedulable": True,
        "region": "local",
    }


SESSION_COLUMNS: Final[Mapping[str, Getter]] = {
    "id": lambda s: str(s.id),
    "type": lambda s: Member(s.type.upper()),
    "name": lambda s: s.name,
    "image": lambda s: s.image.canonical,
    "agent_ids": _agents,
    "agent_id": _agents,
    "agents": _agents,
    "domain_name": lambda s: s.domain,
    "user_email": lambda s: s.owner.email,
    "full_name": lambda s: s.owner.email.partition("@")[0],
    "access_key": lambda s: s.access_key,
    "scaling_group": lambda s: s.scaling_group,
    "cluster_mode": lambda s: Member(s.cluster_mode.upper().replace("-", "_")),
    "cluster_size": lambda s: len(s.kernels),
    "status": lambda s: Member(s.status),
    "status_info": lambda s: s.status_info,
    "result": lambda s: Member(s.result),
    "created_at": lambda s: s.created_at,
    "terminated_at": lambda s: s.terminated_at,
    "starts_at": lambda s: s.starts_at,
    "scheduled_at": lambda s: s.scheduled_at,
    "startup_command": lambda s: s.startup_command,
}

CONTAINER_COLUMNS: Final[Mapping[str, Getter]] = {
    "image": lambda row: row[0].image.canonical,
    "architecture": lambda row: row[0].architecture,
    "agent": lambda row: row[1].agent,
    "agent_addr": lambda row: None if row[1].agent is None else "tcp://127.0.0.1:6001",
    "cluster_idx": lambda row: row[1].idx,
    "local_rank": lambda row: row[1].local_rank,
    "cluster_role": lambda row: row[1].role,
    "cluster_hostname": lambda row: row[1].hostname,
    "status": lambda row: Member(row[1].status),
    "status_info": lambda row: row[1].status_info,
    "created_at": lambda row: row[1].created_at,
    "status_changed": lambda row: row[1].status_changed,
    "terminated_at": lambda row: row[1].terminated_at,
    "scheduled_at": lambda row: row[1].scheduled_at,
}
