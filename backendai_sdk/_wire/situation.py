"""What may be asked to find out why a session waits, and how the answers are read (PROTOCOL §2.3, §3.3, §8.3).

Every release answers the queries here; what a key may not see, or a server does not tell, is ``None``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime

import attrs

from backendai_sdk._wire.gql import data_of
from backendai_sdk._wire.scalars import Mismatch, excerpt, read_datetime
from backendai_sdk.errors import WireError
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.slots import ResourceSlots

__all__ = [
    "OTHERS_FIELDS",
    "Limits",
    "Scheduling",
    "Situation",
    "agents_body",
    "key_body",
    "limits_body",
    "policy_body",
    "read_agents",
    "read_key",
    "read_limits",
    "read_policy",
    "read_scheduling",
    "requested",
    "row_fields",
    "session_ids_in",
]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = "query { keypair { access_key } }"
_POLICY = "query { keypair_resource_policy { max_concurrent_sessions } }"
_AGENTS = (
    'query($group: String) { agent_list(limit: 1000, offset: 0, scaling_group: $group, status: "ALIVE") '
    "{ items { available_slots schedulable } } }"
)
# What matters of sessions that the explained one waits for, or that use what it needs.
OTHERS_FIELDS = ("id", "name", "type", "status", "result", "scaling_group", "agent_ids", "occupying_slots")


@attrs.frozen(kw_only=True)
class Scheduling:
    """What the scheduler has noted down about a session (PROTOCOL §3.3).

    Attributes:
        message: why there was no room.
        failed: names and messages of checks that failed.
        error: what a start, or the scheduler itself, failed with.
    """

    message: str | None = None
    failed: tuple[tuple[str, str], ...] = ()
    passed: tuple[str, ...] = ()
    retries: int | None = None
    last_try: datetime | None = None
    error: str | None = None
    raw: Mapping[str, object] = attrs.field(factory=dict, eq=False)


@attrs.frozen(kw_only=True)
class Limits:
    """What the key may use, uses, and what its resource group has left."""

    allowed: tuple[ResourceSlots, ...] = ()  # of the key, of its project
    remaining: ResourceSlots | None = None
    group_remaining: ResourceSlots | None = None


@attrs.frozen(kw_only=True)
class Situation:
    """A session and all that was found out about what it waits for.

    Attributes:
        dependencies: the sessions it depends on, as far as the server names them.
        own: active sessions of its key.
        max_sessions: how many the key may run at once; 0 is no limit.
        agents: what the agents of its resource group have in all; only administrators may ask.
    """

    row: SessionInfo
    now: datetime
    dependencies: tuple[SessionInfo, ...] | None = None
    own: tuple[SessionInfo, ...] | None = None
    limits: Limits | None = None
    max_sessions: int | None = None
    agents: tuple[ResourceSlots, ...] | None = None


def row_fields(server: ServerInfo) -> tuple[str, ...]:
    """The fields of the session itself. What it asks for has a field of its own from 24.03 on (PROTOCOL §2.5)."""
    fields = (
        *(
            "id",
            "name",
            "type",
            "image",
            "status",
            "status_info",
            "status_changed",
            "status_data",
            "starts_at",
        ),
        *("access_key", "group_name", "scaling_group", "cluster_mode", "cluster_size", "occupying_slots"),
    )
    return (*fields, "requested_slots") if server.release >= (24, 3, 0) else fields


def requested(row: SessionInfo) -> ResourceSlots | None:
    """What the session asks for in all; 23.09 tells it as what it occupies, also while it waits (seen)."""
    told = row.extra.get("requested_slots")
    try:
        slots = row.occupying_slots if told is None else ResourceSlots.from_wire(told)
    except WireError:
        return None
    return slots or None


def read_scheduling(row: SessionInfo) -> Scheduling:
    """Read ``status_data``, which may be null, an object, or one as JSON in a string."""
    data = row.extra.get("status_data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            return Scheduling()
    if not isinstance(data, Mapping):
        return Scheduling()
    noted = data.get("scheduler")
    noted = noted if isinstance(noted, Mapping) else {}
    retries = noted.get("retries")
    return Scheduling(
        message=_text(noted.get("msg")),
        failed=tuple(
            (_text(p.get("name")) or "", _text(p.get("msg")) or "")
            for p in _objects(noted, "failed_predicates")
        ),
        passed=tuple(str(p["name"]) for p in _objects(noted, "passed_predicates") if p.get("name")),
        retries=retries if isinstance(retries, int) else None,
        last_try=_time(noted.get("last_try")),
        error=_error(data.get("error")),
        raw=data,
    )


def _objects(noted: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    found = noted.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _error(error: object) -> str | None:
    match error:
        case {"collection": [*errors]}:
            return "; ".join(filter(None, map(_error, errors))) or None
        case {"repr": str(text)} | {"name": str(text)}:
            return text
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    try:
        return read_datetime(value)
    except Mismatch:
        return None


def session_ids_in(text: str) -> tuple[str, ...]:
    """The session ids that a message names, each once."""
    return tuple(dict.fromkeys(_UUID.findall(text)))


def key_body() -> dict[str, object]:
    """The GraphQL query for the key that asks."""
    return {"query": _KEY, "variables": {}}


def read_key(answer: object) -> str | None:
    """Read the answer to :func:`key_body`."""
    match data_of(answer):
        case {"keypair": {"access_key": str(key)}}:
            return key
    return None


def policy_body() -> dict[str, object]:
    """The GraphQL query for the own key's limit on sessions."""
    return {"query": _POLICY, "variables": {}}


def read_policy(answer: object) -> int | None:
    """Read the answer to :func:`policy_body`."""
    match data_of(answer):
        case {"keypair_resource_policy": {"max_concurrent_sessions": int(limit)}}:
            return limit
    return None


def agents_body(scaling_group: str | None) -> dict[str, object]:
    """The GraphQL query for the agents of a resource group."""
    return {"query": _AGENTS, "variables": {"group": scaling_group}}


def read_agents(answer: object) -> tuple[ResourceSlots, ...] | None:
    """Read the answer to :func:`agents_body`."""
    match data_of(answer):
        case {"agent_list": {"items": list(items)}}:
            return tuple(
                ResourceSlots.from_wire(item["available_slots"])
                for item in items
                if item.get("available_slots") and item.get("schedulable") is not False
            )
    return None


def limits_body(row: SessionInfo) -> dict[str, object]:
    """The body of ``POST /resource/check-presets`` for the place where the session is to run."""
    return {"group": row.group_name or "default", "scaling_group": row.scaling_group}


def read_limits(answer: object, *, scaling_group: str | None) -> Limits:
    """Read the answer of ``POST /resource/check-presets``. Limits that are hidden come as ``NaN`` (PROTOCOL §8.3)."""
    if not isinstance(answer, Mapping):
        raise WireError(f"the answer has no limits: {excerpt(answer)}")
    groups = answer.get("scaling_groups")
    match groups if isinstance(groups, Mapping) else {}:
        case {**named} if isinstance(group := named.get(scaling_group), Mapping) and group.get("remaining"):
            left = group["remaining"]
        case _:
            left = answer.get("scaling_group_remaining")
    return Limits(
        allowed=tuple(
            ResourceSlots.from_wire(answer[key] or {})
            for key in ("keypair_limits", "group_limits")
            if key in answer
        ),
        remaining=None
        if "keypair_remaining" not in answer
        else ResourceSlots.from_wire(answer["keypair_remaining"] or {}),
        group_remaining=None if left is None else ResourceSlots.from_wire(left),
    )
