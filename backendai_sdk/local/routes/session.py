"""One session: what it is, what became of it, its end. Assumes look-ups by name or id among the caller's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local import slots
from backendai_sdk.local.creation import session_name_field
from backendai_sdk.local.params import Field, boolean, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import owner_of, state_of

from ._route import Route

if TYPE_CHECKING:
    from backendai_sdk.local.records import SessionRecord
    from backendai_sdk.local.releases import Release
    from backendai_sdk.local.server import ServerState

__all__ = ["ROUTES", "idle_checks", "own_session"]

_OWNER: Final = Field(("owner_access_key",), nullable(string()), None)


def own_session(request: web.Request) -> SessionRecord:
    """The caller's live session that the path names."""
    return state_of(request).find(request.match_info["session_name"], owner_of(request).access_key)


def idle_checks(session: SessionRecord, state: ServerState) -> dict[str, Any]:
    """How long each checker still lets the session be."""
    remaining: float | None = None
    if session.status == "RUNNING" and state.sessions.idle_timeout > 0 and session.type != "batch":
        remaining = max(state.sessions.idle_timeout - state.sessions.idle_seconds(session), 0.0)
    return {
        "session_lifetime": {"remaining": None, "remaining_time_type": "expire_after", "extra": None},
        "network_timeout": {"remaining": remaining, "remaining_time_type": "expire_after", "extra": None},
    }


async def info(request: web.Request) -> web.Response:
    state = state_of(request)
    session = own_session(request)
    if state.release.info_500:
        raise Problem.internal()
    return web.json_response(_info(session, state))


def _info(session: SessionRecord, state: ServerState) -> dict[str, Any]:
    """The session as this endpoint shows it: half of it is `str()` of server-side Python values."""
    release, kernel = state.release, session.main
    age = int((state.clock.now() - session.created_at).total_seconds() * 1000)
    requested = slots.python_repr(session.requested_slots, release.info_decimals)
    occupying = "{}"
    if not release.occupying_slots_always and session.occupies:
        occupying = slots.python_repr(session.requested_slots, release.info_decimals)
    shown: dict[str, Any] = {"age": age} if release.info_age_first else {}
    shown |= {
        "domainName": session.domain,
        "groupId": str(session.group_id),
        "userId": str(session.owner.user_id),
        "lang": session.image.canonical,
        "image": session.image.canonical,
        "architecture": session.architecture,
        "registry": session.image.registry,
        "tag": (session.tag or "") if release.blank_tag else session.tag,
        "containerId": str(kernel.container_id),
        "occupiedSlots": slots.python_repr(kernel.slots, release.info_decimals),
        "occupyingSlots": occupying,
        "requestedSlots": requested,
        "occupiedShares": "{}",
        "environ": str(session.environ),
        "resourceOpts": str(session.resource_opts),
        "status": session.status,
        "statusInfo": str(session.status_info),
        "statusData": session.status_data,
        "age": age,
        "creationTime": _time(session.created_at, release),
        "terminationTime": _time(session.terminated_at, release) if session.terminated_at else None,
        "numQueriesExecuted": session.num_queries,
        "lastStat": None,
        "idleChecks": idle_checks(session, state),
    }
    return shown


def _time(moment: Any, release: Release) -> str:
    return str(moment.isoformat()) if release.info_iso_time else str(moment)


async def restart(request: web.Request) -> web.Response:
    state = state_of(request)
    if state.release.restart_501:
        msg = "Session restart is no longer supported. Terminate the session and enqueue a new one instead."
        raise Problem.not_implemented(msg)
    params = await read(request, [_OWNER])
    owner = state.act_for(owner_of(request), params["owner_access_key"])
    session = state.find(request.match_info["session_name"], owner.access_key)
    if session.status != "RUNNING":
        raise Problem.internal()
    await state.sessions.restart(session)
    return web.Response(status=204)


async def destroy(request: web.Request) -> web.Response:
    state = state_of(request)
    release = state.release
    fields = [
        Field(("forced",), boolean, default=False),
        Field(("recursive",), boolean, default=False),
        _OWNER,
    ]
    params = await read(request, fields)
    owner = state.act_for(owner_of(request), params["owner_access_key"])
    reference = request.match_info["session_name"]
    session = state.find(reference, owner.access_key, dead=release.destroy_finds_dead)
    forced, recursive = params["forced"], params["recursive"]
    doomed = [*_dependents(session, state), session] if recursive else [session]
    if release.new_destroy:
        statuses = [_destroy_new(s, state, forced=forced) for s in doomed]
        changed = [status for status in statuses if status is not None]
        return web.json_response({"stats": {"status": changed[-1]} if changed else {}})
    if not recursive:
        return web.json_response({"stats": await _destroy_old(session, state, forced=forced)})
    results = []
    for one in doomed:
        try:
            results.append(await _destroy_old(one, state, forced=forced))
        except Problem as problem:
            if problem.status not in {403, 404}:
                raise
    return web.json_response(results)


def _dependents(session: SessionRecord, state: ServerState) -> list[SessionRecord]:
    """Live sessions that wait for `session`, directly or not, the last in line first."""
    found: dict[Any, SessionRecord] = {}
    queue = [session]
    while queue:
        current = queue.pop(0)
        for other in state.sessions:
            if other.is_live and other.id not in found and current.id in other.dependencies:
                found[other.id] = other
                queue.append(other)
    return list(found.values())[::-1]


async def _destroy_old(session: SessionRecord, state: ServerState, *, forced: bool) -> dict[str, Any]:
    """End a session, and answer when it has ended: right after, it is not found any more."""
    status = session.status
    if status == "PENDING":
        state.sessions.cancel(session, "user-requested")
    elif status == "PULLING":
        raise Problem.forbidden("Cannot destroy sessions in pulling status")
    elif status in {"SCHEDULED", "PREPARING", "TERMINATING", "ERROR"} and not forced:
        raise Problem.forbidden("Cannot destroy sessions in scheduled/preparing/terminating/error status")
    elif status != "TERMINATING":
        state.sessions.terminate(session, "force-terminated" if forced else "user-requested")
        await state.sessions.wait_ended(session)
    return {"status": "terminated"}


def _destroy_new(session: SessionRecord, state: ServerState, *, forced: bool) -> str | None:
    if session.status == "PENDING":
        state.sessions.cancel(session, "user-requested")
        return "cancelled"
    if session.status in {"TERMINATED", "CANCELLED", "TERMINATING", "ERROR"}:
        return None
    immediate = forced and state.release.forced_is_immediate
    state.sessions.terminate(session, "force-terminated" if forced else "user-requested", immediate=immediate)
    return "terminated"


async def logs(request: web.Request) -> web.Response:
    state = state_of(request)
    fields = [Field(("owner_access_key", "ownerAccessKey"), nullable(string()), None)]
    if state.release.download_post:  # the same release that moved downloads also took a kernel's id here
        fields.append(Field(("kernel_id", "kernelId"), nullable(string()), None))
    params = await read(request, fields)
    owner = state.act_for(owner_of(request), params["owner_access_key"])
    session = state.find(request.match_info["session_name"], owner.access_key, dead=True)
    text = session.kernel.logs() if session.kernel is not None else session.last_logs
    return web.json_response({"result": {"logs": text}})


async def rename(request: web.Request) -> web.Response:
    state = state_of(request)
    params = await read(request, [session_name_field(state.release)], source="body")
    session = state.find(request.match_info["session_name"], owner_of(request).access_key)
    name = params["session_name"]
    if session.status != "RUNNING":
        raise Problem.invalid_params("Can't change name of not running session")
    other = state.live_named(name, session.access_key)
    if other is not None and other is not session:
        if state.release.rename_conflict:
            raise Problem.session_exists(str(other.id))
        raise Problem.invalid_params(f"Duplicate session name. Session(id:{other.id}) already has the name")
    session.name = name
    if state.release.rename_moves_events:
        session.event_name = name
    return web.Response(status=204)


async def interrupt(request: web.Request) -> web.Response:
    session = own_session(request)
    if session.kernel is None:
        raise Problem.internal()
    await session.kernel.interrupt()
    return web.Response(status=204)


async def dependency_graph(request: web.Request) -> web.Response:
    state = state_of(request)
    try:
        session = own_session(request)
    except Problem:
        if state.release.graph_unknown_404:
            raise
        raise Problem.internal() from None
    return web.json_response(_graph(session, state))


def _graph(session: SessionRecord, state: ServerState) -> dict[str, Any]:
    """The chain of first dependencies, which is all that the real endpoint follows."""
    first = [state.sessions.records[d] for d in session.dependencies[:1] if d in state.sessions.records]
    fresh = session.status == "PENDING"
    return {
        "session_id": str(session.id),
        "session_name": session.name,
        "status": f"KernelStatus.{session.status}",
        "status_changed": "None" if fresh else str(session.status_changed),
        "depends_on": [_graph(other, state) for other in first],
    }


async def status_history(request: web.Request) -> web.Response:
    state = state_of(request)
    if not state.release.status_history:
        raise Problem.url_not_found(request.path)
    await read(request, [_OWNER])
    session = own_session(request)
    history = {status: moment.isoformat() for status, moment in session.status_history.items()}
    return web.json_response({"result": history} if state.release.status_history_wrapped else history)


async def direct_access_info(request: web.Request) -> web.Response:
    own_session(request)
    return web.json_response({})


async def abusing_report(request: web.Request) -> web.Response:
    own_session(request)
    return web.json_response({})


ROUTES: Final = (
    Route(("GET",), ("/session/{session_name}",), info),
    Route(("PATCH",), ("/session/{session_name}",), restart),
    Route(("DELETE",), ("/session/{session_name}",), destroy),
    Route(("GET",), ("/session/{session_name}/logs",), logs),
    Route(("POST",), ("/session/{session_name}/rename",), rename, alters=True),
    Route(("POST",), ("/session/{session_name}/interrupt",), interrupt),
    Route(("GET",), ("/session/{session_name}/dependency-graph",), dependency_graph),
    Route(("GET",), ("/session/{session_name}/status-history",), status_history),
    Route(("GET",), ("/session/{session_name}/direct-access-info",), direct_access_info),
    Route(("GET",), ("/session/{session_name}/abusing-report",), abusing_report, alters=True),
)
