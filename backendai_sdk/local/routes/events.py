"""The stream of session events. Assumes that a stream has no end of its own and no past: it tells what happens
from now on to sessions the caller may see.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local.accounts import GROUP
from backendai_sdk.local.params import Field, Invalid, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import owner_of, state_of

from ._route import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from backendai_sdk.local.accounts import Account
    from backendai_sdk.local.events import Event
    from backendai_sdk.local.releases import Release
    from backendai_sdk.local.server import ServerState

__all__ = ["ROUTES"]

_PING: Final = b": ping\r\n\r\n"
_LOOK: Final = 1.0  # how often to see whether the reader is still there


def _uuid(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise Invalid("cannot convert value to UUID") from None


def _fields(release: Release) -> list[Field]:
    if release.typed_sources:
        return [
            Field(("sessionName", "session_name"), string(), "*"),
            Field(("ownerAccessKey",), nullable(string()), None),
            Field(("sessionId",), nullable(_uuid), None),
            Field(("groupName",), string(), "*"),
            Field(("scope",), string(), "*"),
        ]
    return [
        Field(("sessionName", "name"), string(), "*"),
        Field(("ownerAccessKey",), nullable(string()), None),
        Field(("sessionId",), nullable(_uuid), None),
        Field(("groupName", "group"), string(), "*"),
        Field(("scope",), string(), "*"),
    ]


async def session_events(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    params = await read(request, _fields(state.release))
    wants = _wants(params, state, owner_of(request))
    with state.hub.listen(wants) as listener:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            },
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        next_ping = state.clock.monotonic() + state.ping_interval
        try:
            while request.transport is not None and not request.transport.is_closing():
                wait = min(max(next_ping - state.clock.monotonic(), 0.0), _LOOK)
                text = await listener.get(wait)
                if text is not None:
                    await response.write(text)
                elif listener.closed:
                    break
                elif state.clock.monotonic() >= next_ping:
                    await response.write(_PING)
                    next_ping = state.clock.monotonic() + state.ping_interval
        except ConnectionError:
            pass  # the reader has gone, which is how every such stream ends
    return response


def _wants(params: dict[str, Any], state: ServerState, account: Account) -> Callable[[Event], bool]:
    """Which events this stream carries."""
    release = state.release
    owner_key: str | None = params["ownerAccessKey"]
    if owner_key is not None and owner_key != account.access_key and not account.is_admin:
        raise Problem.forbidden("You are not allowed to access other users' sessions.")
    scopes = _scopes(params["scope"], release)
    if params["groupName"] not in {"*", GROUP}:
        if release.error_codes:
            raise Problem(404, "project-not-found", "No such project.", code="project_read_not-found")
        raise Problem.not_found("user group (or project)", code="group_read_not-found")
    name: str | None = None if params["sessionName"] == "*" else params["sessionName"]
    session_id: uuid.UUID | None = params["sessionId"] if release.event_session_id_filters else None
    if session_id is not None:
        name = None
    elif name is not None and release.event_unknown_name_404:
        # The name is looked up once, here: the stream then follows that session's id.
        session_id = state.find(name, owner_key or account.access_key, dead=False).id
        name = None
    key = owner_key or (account.access_key if name is not None else None)

    def wants(event: Event) -> bool:
        session = event.session
        if event.scope not in scopes:
            return False
        if not account.is_admin and session.owner.user_id != account.user_id:
            return False
        if key is not None and session.access_key != key:
            return False
        if session_id is not None and session.id != session_id:
            return False
        return name is None or session.event_name == name

    return wants


def _scopes(text: str, release: Release) -> frozenset[str]:
    every = frozenset({"session", "kernel"})
    if text == "*":
        return every
    asked = frozenset(text.split(",")) if release.event_comma_scopes else frozenset({text})
    if not asked <= every:
        raise Problem.invalid_params("Input validation error", {"scope": "Invalid scope"})
    return asked


ROUTES: Final = (Route(("GET",), ("/events/session",), session_events),)
