"""The GraphQL schema: the part of the real one that clients of sessions use, with the real names and formats.

Assumes that resolvers only read records in memory. Fields that hold JSON are strings with a JSON document in them,
enumerations are upper-case names, times are ISO 8601: as on the wire of the real server.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import attrs
from graphql import GraphQLError, GraphQLSchema, build_schema

from . import slots
from .minilang import MinilangError, compile_filter, sort_rows
from .views import (
    CONTAINER_COLUMNS,
    SESSION_COLUMNS,
    account_view,
    agent_view,
    container_view,
    group_view,
    image_view,
    no_such_image,
    session_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphql import GraphQLResolveInfo

    from .accounts import Account
    from .minilang import Getter
    from .records import SessionRecord
    from .releases import Release
    from .server import ServerState

    Info = GraphQLResolveInfo[Any]

__all__ = ["Context", "make_schema"]

_TYPES: Final = """
scalar UUID
scalar JSONString
scalar DateTime
scalar BigInt

type Queries {
  compute_session_list(limit: Int!, offset: Int!, filter: String, order: String, domain_name: String,
    group_id: String, access_key: String, status: String): ComputeSessionList
  compute_session(id: UUID!): ComputeSession
  compute_container_list(limit: Int!, offset: Int!, filter: String, order: String, session_id: ID!,
    role: String): ComputeContainerList
  compute_container(container_id: ID!): ComputeContainer
  images(is_installed: Boolean, is_operation: Boolean): [Image]
  image(reference: String!, architecture: String = "x86_64"): Image
  keypair(domain_name: String, access_key: String): KeyPair
  keypair_resource_policy(name: String): KeyPairResourcePolicy
  user(domain_name: String, email: String): User
  groups(domain_name: String, is_active: Boolean): [Group]
  groups_by_name(name: String!, domain_name: String): [Group]
  group(id: UUID!, domain_name: String): Group
  domain(name: String): Domain
  scaling_groups_for_user_group(user_group: String!, is_active: Boolean): [ScalingGroup]
  agent_list(limit: Int!, offset: Int!, filter: String, order: String, scaling_group: String,
    status: String): AgentList
}

type ComputeSessionList { items: [ComputeSession]! total_count: Int! }
type ComputeContainerList { items: [ComputeContainer]! total_count: Int! }
type AgentList { items: [Agent]! total_count: Int! }

type ComputeSession {
  id: ID session_id: UUID main_kernel_id: UUID main_kernel_role: String tag: String name: String type: String
  image: String architecture: String registry: String cluster_template: String cluster_mode: String
  cluster_size: Int domain_name: String group_name: String group_id: UUID agent_ids: [String] agents: [String]
  user_email: String full_name: String user_id: UUID access_key: String created_user_email: String
  created_user_id: UUID status: String status_info: String status_data: JSONString status_changed: DateTime
  status_history: JSONString created_at: DateTime terminated_at: DateTime starts_at: DateTime
  scheduled_at: DateTime startup_command: String result: String commit_status: String
  abusing_reports: [JSONString] idle_checks: JSONString resource_opts: JSONString scaling_group: String
  service_ports: JSONString mounts: [String] vfolder_mounts: [String] occupying_slots: JSONString
  occupied_slots: JSONString num_queries: BigInt inference_metrics: JSONString
  containers: [ComputeContainer] dependencies: [ComputeSession] %(more)s
}

type ComputeContainer {
  id: ID idx: Int role: String hostname: String cluster_idx: Int local_rank: Int cluster_role: String
  cluster_hostname: String session_id: UUID image: String architecture: String registry: String status: String
  status_changed: DateTime status_info: String status_data: JSONString created_at: DateTime
  terminated_at: DateTime starts_at: DateTime scheduled_at: DateTime abusing_report: JSONString agent: String
  agent_addr: String container_id: String resource_opts: JSONString occupied_slots: JSONString
  live_stat: JSONString last_stat: JSONString preopen_ports: [Int]
}

type ResourceLimit { key: String min: String max: String }
type KVPair { key: String value: String }
type Image {
  id: UUID name: String humanized_name: String tag: String registry: String architecture: String is_local: Boolean
  digest: String labels: [KVPair] aliases: [String] size_bytes: BigInt resource_limits: [ResourceLimit]
  supported_accelerators: [String] installed: Boolean installed_agents: [String] hash: String
}

type KeyPair {
  user_id: String full_name: String access_key: String secret_key: String is_active: Boolean is_admin: Boolean
  resource_policy: String created_at: DateTime last_used: DateTime rate_limit: Int num_queries: Int user: UUID
  projects: [String] concurrency_used: Int
}
type KeyPairResourcePolicy {
  name: String created_at: DateTime default_for_unspecified: String total_resource_slots: JSONString
  max_concurrent_sessions: Int max_containers_per_session: Int idle_timeout: BigInt max_session_lifetime: Int
  allowed_vfolder_hosts: JSONString
}
type User {
  id: ID uuid: UUID username: String email: String full_name: String is_active: Boolean status: String
  domain_name: String role: String created_at: DateTime groups: [Group]
}
type Group {
  id: UUID name: String description: String is_active: Boolean created_at: DateTime domain_name: String
  total_resource_slots: JSONString allowed_vfolder_hosts: JSONString integration_id: String
}
type Domain { name: String description: String is_active: Boolean created_at: DateTime total_resource_slots: JSONString }
type ScalingGroup { name: String description: String is_active: Boolean scheduler: String }
type Agent {
  id: ID status: String scaling_group: String available_slots: JSONString occupied_slots: JSONString addr: String
  architecture: String version: String schedulable: Boolean region: String
}

schema { query: Queries }
"""


@attrs.frozen
class Context:
    """What a resolver may know."""

    state: ServerState
    account: Account


def make_schema(release: Release) -> GraphQLSchema:
    """The schema as `release` has it."""
    more = "requested_slots: JSONString" if release.requested_slots_field else ""
    if release.priority:
        more += " priority: Int"
    schema = build_schema(_TYPES % {"more": more}, assume_valid=True)
    queries = schema.query_type
    if queries is None:
        raise RuntimeError("the schema has no query type")
    for name, resolve in _RESOLVERS.items():
        queries.fields[name].resolve = resolve
    return schema


def _context(info: Info) -> Context:
    context: Context = info.context
    return context


def _visible(context: Context, access_key: str | None, domain_name: str | None) -> list[SessionRecord]:
    """The sessions that the caller may list, the newest change first."""
    state, account = context.state, context.account
    if not account.is_admin:
        if access_key not in {None, account.access_key} or domain_name not in {None, "default"}:
            raise GraphQLError("Forbidden operation.")
        access_key = account.access_key
    rows = [s for s in state.sessions if access_key is None or s.access_key == access_key]
    rows.reverse()
    rows.sort(key=lambda s: max(s.created_at, s.terminated_at or s.created_at), reverse=True)
    return rows


def _select(
    rows: Sequence[Any], columns: Mapping[str, Getter], filter: str | None, order: str | None
) -> Sequence[Any]:
    try:
        if filter:
            test = compile_filter(filter, columns)
            rows = [row for row in rows if test(row)]
        if order:
            rows = sort_rows(rows, order, columns)
    except MinilangError as error:
        raise GraphQLError(str(error)) from None
    return rows


def _page(
    rows: Sequence[Any], limit: int, offset: int, view: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    return {"items": [view(row) for row in rows[offset : offset + limit]], "total_count": len(rows)}


def _compute_session_list(
    _root: object,
    info: Info,
    limit: int,
    offset: int,
    filter: str | None = None,
    order: str | None = None,
    domain_name: str | None = None,
    group_id: str | None = None,
    access_key: str | None = None,
    status: str | None = None,
) -> dict[str, Any]:
    context = _context(info)
    rows: Sequence[SessionRecord] = _visible(context, access_key, domain_name)
    if status is not None:
        wanted = status.split(",")
        for name in wanted:
            if name not in context.state.release.statuses:
                raise GraphQLError(repr(name))
        rows = [row for row in rows if row.status in wanted]
    if group_id is not None:
        rows = [row for row in rows if str(row.group_id) == group_id]
    rows = _select(rows, SESSION_COLUMNS, filter, order)
    return _page(rows, limit, offset, lambda row: session_view(row, context.state))


def _compute_session(_root: object, info: Info, id: str) -> dict[str, Any] | None:
    context = _context(info)
    row = _session(context, id)
    return None if row is None else session_view(row, context.state, detail=True)


def _session(context: Context, session_id: str) -> SessionRecord | None:
    try:
        row = context.state.sessions.records.get(uuid.UUID(str(session_id)))
    except ValueError:
        raise GraphQLError(f"Expected a UUID: {session_id!r}") from None
    if row is None or not (context.account.is_admin or row.access_key == context.account.access_key):
        return None
    return row


def _compute_container_list(
    _root: object,
    info: Info,
    limit: int,
    offset: int,
    session_id: str,
    filter: str | None = None,
    order: str | None = None,
    role: str | None = None,
) -> dict[str, Any]:
    context = _context(info)
    session = _session(context, session_id)
    if session is None:
        return {"items": [], "total_count": 0}
    rows: Sequence[Any] = [(session, kernel) for kernel in session.kernels if role in {None, kernel.role}]
    rows = _select(rows, CONTAINER_COLUMNS, filter, order)
    return _page(rows, limit, offset, lambda row: container_view(row[0], row[1], context.state))


def _compute_container(_root: object, info: Info, container_id: str) -> dict[str, Any] | None:
    context = _context(info)
    for session in _visible(context, None, None):
        for kernel in session.kernels:
            if str(kernel.id) == container_id:
                return container_view(session, kernel, context.state)
    return None


def _images(
    _root: object,
    info: Info,
    is_installed: bool | None = None,
    is_operation: bool | None = None,  # noqa: ARG001 - all images here are of one kind
) -> list[dict[str, Any]]:
    state = _context(info).state
    views = [image_view(image, state) for image in state.images]
    return [view for view in views if is_installed is None or view["installed"] is is_installed]


def _image(_root: object, info: Info, reference: str, architecture: str = "x86_64") -> dict[str, Any]:  # noqa: ARG001
    state = _context(info).state
    image = state.images.find(reference)
    if image is None:
        raise no_such_image(reference, state.release)
    return image_view(image, state)


def _account(context: Context, matches: Callable[[Account], bool] | None) -> Account | None:
    """One account by a test; another's only for a superadmin."""
    if matches is None or matches(context.account):
        return context.account
    if not context.account.is_admin:
        raise GraphQLError("Forbidden operation.")
    return next((account for account in context.state.accounts if matches(account)), None)


def _keypair(
    _root: object,
    info: Info,
    domain_name: str | None = None,  # noqa: ARG001
    access_key: str | None = None,
) -> dict[str, Any] | None:
    context = _context(info)
    account = _account(context, None if access_key is None else lambda a: a.access_key == access_key)
    return None if account is None else account_view(account, context.state)


def _user(
    _root: object,
    info: Info,
    domain_name: str | None = None,  # noqa: ARG001
    email: str | None = None,
) -> dict[str, Any] | None:
    context = _context(info)
    account = _account(context, None if email is None else lambda a: a.email == email)
    if account is None:
        return None
    return {
        "id": str(account.user_id),
        "uuid": str(account.user_id),
        "username": account.email.partition("@")[0],
        "email": account.email,
        "full_name": account.email.partition("@")[0],
        "is_active": True,
        "status": "active",
        "domain_name": "default",
        "role": account.role,
        "created_at": account.created_at.isoformat(),
        "groups": [group_view(context.state)],
    }


def _policy(_root: object, info: Info, name: str | None = None) -> dict[str, Any] | None:
    state = _context(info).state
    if name not in {None, "default"}:
        return None
    return {
        "name": "default",
        "created_at": None,
        "default_for_unspecified": "UNLIMITED",
        "total_resource_slots": json.dumps(slots.as_text(state.sessions.max_resources or {})),
        "max_concurrent_sessions": state.sessions.max_concurrent or 0,
        "max_containers_per_session": state.max_containers,
        "idle_timeout": int(state.sessions.idle_timeout),
        "max_session_lifetime": 0,
        "allowed_vfolder_hosts": "{}",
    }


def _groups(_root: object, info: Info, **given: Any) -> list[dict[str, Any]]:
    group = group_view(_context(info).state)
    fits = given.get("name", group["name"]) == group["name"] and given.get("is_active") is not False
    return [group] if fits else []


def _group(_root: object, info: Info, id: str, **_given: Any) -> dict[str, Any] | None:
    group = group_view(_context(info).state)
    return group if group["id"] == id else None


def _domain(_root: object, _info: Info, name: str | None = None) -> dict[str, Any] | None:
    if name not in {None, "default"}:
        return None
    return {
        "name": "default",
        "description": "",
        "is_active": True,
        "created_at": None,
        "total_resource_slots": "{}",
    }


def _scaling_groups(_root: object, _info: Info, **_given: Any) -> Iterable[dict[str, Any]]:
    return [{"name": "default", "description": "", "is_active": True, "scheduler": "fifo"}]


def _agent_list(_root: object, info: Info, limit: int, offset: int, **_given: Any) -> dict[str, Any]:
    context = _context(info)
    if not context.account.is_admin:
        raise GraphQLError("Forbidden operation. (superadmin privilege required)")
    rows = context.state.agents.agents
    return _page(rows, limit, offset, lambda agent: agent_view(agent, context.state))


_RESOLVERS: Final[Mapping[str, Callable[..., Any]]] = {
    "compute_session_list": _compute_session_list,
    "compute_session": _compute_session,
    "compute_container_list": _compute_container_list,
    "compute_container": _compute_container,
    "images": _images,
    "image": _image,
    "keypair": _keypair,
    "keypair_resource_policy": _policy,
    "user": _user,
    "groups": _groups,
    "groups_by_name": _groups,
    "group": _group,
    "domain": _domain,
    "scaling_groups_for_user_group": _scaling_groups,
    "agent_list": _agent_list,
}
