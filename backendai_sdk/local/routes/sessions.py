"""Sessions as a whole: create one, match some, look at several. Assumes the checks of `creation`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local.creation import Existing, create_fields, new_session
from backendai_sdk.local.params import Field, Invalid, list_of, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import owner_of, state_of, visit_of

from ._route import Route

if TYPE_CHECKING:
    from backendai_sdk.local.records import SessionRecord

__all__ = ["ROUTES"]


async def create(request: web.Request) -> web.Response:
    state = state_of(request)
    release = state.release
    fields = create_fields(release)
    params = await read(request, fields, source="body")
    try:
        visit = visit_of(request)
        version = release.api_version if visit is None else visit.api_version
        session = new_session(state, owner_of(request), params, version)
    except Existing as existing:
        return web.json_response(_reused(existing.session, both=release.reuse_both_ports), status=201)
    state.sessions.enqueue(session)
    first = {name: field.names[0] for field in fields for name in field.names}
    status = session.status
    if not params[first["enqueueOnly"]]:
        seconds: float | None = params[first["maxWaitSeconds"]] or None
        if seconds is not None and release.wait_cap is not None:
            seconds = release.wait_cap  # seen in the source: any wait but the endless one ends there
        status = await state.sessions.wait_started(session, seconds)
        died = (
            status in {"CANCELLED", "TERMINATED", "TERMINATING"} and "RUNNING" not in session.status_history
        )
        if died and release.dead_during_wait_404:
            raise Problem.not_found(
                "session", "Session terminated during scheduling", code="session_read_not-found"
            )
    answer = {
        "sessionId": str(session.id),
        "sessionName": session.name,
        "status": status,
        "servicePorts": session.public_ports,
        "created": True,
    }
    return web.json_response(answer, status=201)


def _reused(session: SessionRecord, *, both: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "sessionId": str(session.id),
        "sessionName": session.name,
        "status": session.status,
        "service_ports": session.service_ports,
    }
    if both:
        answer["servicePorts"] = session.service_ports
    return answer | {"created": False}


async def match(request: web.Request) -> web.Response:
    params = await read(request, [Field(("id",), string())])
    found = state_of(request).matches(params["id"], owner_of(request).access_key, dead=True)
    return web.json_response(
        {"matches": [{"id": str(s.id), "name": s.name, "status": s.status} for s in found]}
    )


def _uuid(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise Invalid("cannot convert value to UUID") from None


async def task_logs(request: web.Request) -> web.Response:
    """Logs of a batch task from a folder called `.logs`, which nobody has here."""
    names: tuple[str, ...] = ("session_name", "sessionName", "task_id", "taskId")
    if state_of(request).release.typed_sources:
        names = ("kernel_id", *names)
    await read(request, [Field(names, _uuid)])
    raise Problem.not_found("vfolder", code="vfolder_read_not-found", data={"vfolder_name": ".logs"})


async def transit_status(request: web.Request) -> web.Response:
    state = state_of(request)
    if not state.release.transit_status:
        raise Problem.url_not_found(request.path)
    params = await read(
        request, [Field(("ids", "session_ids", "sessionIds", "SessionIds"), list_of(_uuid))], source="body"
    )
    found = [state.sessions.records.get(session_id) for session_id in params["ids"]]
    account = owner_of(request)
    mine = [s for s in found if s is not None and (account.is_admin or s.access_key == account.access_key)]
    return web.json_response({"session_status_map": {str(s.id): s.status for s in mine}})


ROUTES: Final = (
    Route(("POST",), ("/session", "/session/_/create"), create, alters=True),
    Route(("GET",), ("/session/_/match",), match),
    Route(("GET",), ("/session/_/logs",), task_logs),
    Route(("POST",), ("/session/_/transit-status",), transit_status, alters=True),
)
