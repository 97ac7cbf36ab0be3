"""Everything one server knows, in one place that handlers can reach.

Assumes one `ServerState` per running cluster, made on and used from the cluster's loop thread.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import attrs
from aiohttp import web

from .problems import Problem
from .records import DEAD
from .tasks import BackgroundTasks

if TYPE_CHECKING:
    from pathlib import Path

    from graphql import GraphQLSchema

    from .accounts import Account, Accounts
    from .clock import Clock
    from .events import EventHub
    from .faults.faults import Faults
    from .images import Catalogue
    from .lifecycle import Lifecycle
    from .limiter import Budget, RateLimiter
    from .records import SessionRecord
    from .releases import Release
    from .scheduler import Agents

__all__ = ["STATE", "ServerState", "Visit", "begin_visit", "owner_of", "state_of", "visit_of"]

_MATCHES: Final = 10


@attrs.define(eq=False, kw_only=True)
class ServerState:
    """The server's state and the look-ups that every route needs."""

    release: Release
    clock: Clock
    faults: Faults
    accounts: Accounts
    agents: Agents
    images: Catalogue
    hub: EventHub
    sessions: Lifecycle
    limiter: RateLimiter
    schema: GraphQLSchema
    work_dir: Path
    ping_interval: float = 15.0
    max_containers: int = 3
    any_host: bool = False  # answer under whatever name a client has for this machine
    manager_status: str = "running"
    announcement: dict[str, Any] = attrs.field(factory=lambda: {"enabled": False, "message": ""})
    logins: dict[str, Account] = attrs.field(factory=dict, repr=False)  # cookie → who
    tasks: BackgroundTasks = attrs.field(factory=BackgroundTasks)
    app_tokens: dict[str, str] = attrs.field(factory=dict, repr=False)  # token → address of an app

    def matches(self, reference: str, access_key: str, *, dead: bool) -> list[SessionRecord]:
        """Sessions of one key by id or exact name, newest first."""

        def visible(session: SessionRecord) -> bool:
            return session.access_key == access_key and (dead or session.status not in DEAD)

        try:
            by_id = self.sessions.records.get(uuid.UUID(reference))
        except ValueError:
            by_id = None
        if by_id is not None and visible(by_id):
            return [by_id]
        found = [s for s in self.sessions if s.name == reference and visible(s)]
        return found[::-1][:_MATCHES]

    def find(self, reference: str, access_key: str, *, dead: bool = False) -> SessionRecord:
        """The one session meant, or the problem that the server answers with."""
        found = self.matches(reference, access_key, dead=dead)
        if not found:
            raise Problem.no_session(reference, self.release)
        if len(found) > 1:
            raise Problem.too_many_sessions(
                [
                    {
                        "id": str(s.id),
                        "name": s.name,
                        "status": s.status,
                        "created_at": s.created_at.isoformat(),
                    }
                    for s in found
                ],
            )
        return found[0]

    def live_named(self, name: str, access_key: str) -> SessionRecord | None:
        found = (s for s in self.sessions if s.name == name and s.access_key == access_key and s.is_live)
        return next(found, None)

    def act_for(self, requester: Account, owner_access_key: str | None) -> Account:
        """Whose sessions a request is about, when it may name another owner."""
        if owner_access_key is None or owner_access_key == requester.access_key:
            return requester
        owner = self.accounts.by_access_key(owner_access_key)
        if owner is None:
            raise Problem.invalid_params("Unknown owner access key")
        if not requester.is_admin:
            raise Problem.forbidden("Only admins can perform operations on behalf of other users.")
        return owner


@attrs.define
class Visit:
    """What is found out about one request before its handler sees it."""

    api_version: str
    account: Account | None = None
    budget: Budget | None = None


STATE: Final = web.AppKey("STATE", ServerState)
# aiohttp 3.14 warns about plain keys, and older versions have no others.
_VISIT: Final[Any] = web.RequestKey("visit", Visit) if hasattr(web, "RequestKey") else "visit"


def state_of(request: web.Request) -> ServerState:
    return request.app[STATE]


def visit_of(request: web.Request) -> Visit | None:
    """What is known of the request; nothing for one that was refused early."""
    visit: Visit | None = request.get(_VISIT)
    return visit


def begin_visit(request: web.Request, api_version: str) -> Visit:
    visit = Visit(api_version)
    request[_VISIT] = visit
    return visit


def owner_of(request: web.Request) -> Account:
    """Who signed this request, or is logged in with its cookie."""
    visit = visit_of(request)
    if visit is None or visit.account is None:
        raise Problem.auth_failed("Unauthorized access")
    return visit.account
