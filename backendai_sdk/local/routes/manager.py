"""What the server says about itself: version, state, announcement, and who you are.

Assumes that these pages are read before anything else works, so they hold nothing that can fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local.params import REQUIRED, Field, boolean, member, nullable, read, string
from backendai_sdk.local.server import owner_of, state_of

from ._route import Route

if TYPE_CHECKING:
    from backendai_sdk.local.server import ServerState

__all__ = ["ROUTES"]


async def version(request: web.Request) -> web.Response:
    release = state_of(request).release
    return web.json_response({"version": release.api_version, "manager": release.manager})


async def auth_test(request: web.Request) -> web.Response:
    params = await read(
        request, [Field(("echo",), string(blank=True))], source="query" if request.method == "GET" else "body"
    )
    return web.json_response({"authorized": "yes", "echo": params["echo"]})


async def auth_role(request: web.Request) -> web.Response:
    params = await read(request, [Field(("group",), nullable(string()), None)])
    admin = owner_of(request).is_admin
    return web.json_response(
        {
            "global_role": "superadmin" if admin else "user",
            "domain_role": "user",
            "group_role": "user" if params["group"] else None,
        },
    )


def _active(state: ServerState) -> int:
    return sum(session.status == "RUNNING" for session in state.sessions)


async def get_status(request: web.Request) -> web.Response:
    state = state_of(request)
    major, _, day = state.release.api_version.removeprefix("v").partition(".")
    node: dict[str, Any] = {
        "id": "i-local-manager",
        "num_proc": 1,
        "service_addr": request.host,
        "heartbeat_timeout": 40.0,
        "ssl_enabled": False,
        "active_sessions": _active(state),
        "status": state.manager_status,
        "version": state.release.manager,
        "api_version": [int(major), day],
    }
    return web.json_response(
        {"nodes": [node], "status": state.manager_status, "active_sessions": _active(state)}
    )


async def put_status(request: web.Request) -> web.Response:
    fields = [
        Field(("status",), member("ManagerStatus", ("running", "frozen"))),
        Field(("force_kill",), boolean, default=False),
    ]
    params = await read(request, fields, source="body")
    state_of(request).manager_status = params["status"]
    return web.Response(status=204)


async def get_announcement(request: web.Request) -> web.Response:
    return web.json_response(state_of(request).announcement)


async def post_announcement(request: web.Request) -> web.Response:
    fields = [
        Field(("enabled",), boolean, default=False),
        Field(("message",), nullable(string(blank=True)), None),
    ]
    params = await read(request, fields, source="body")
    state_of(request).announcement = {"enabled": params["enabled"], "message": params["message"] or ""}
    return web.Response(status=204)


_AUTHORIZE: Final = (
    Field(("type",), member("AuthTokenTypes", ("keypair", "jwt"))),
    Field(("domain",), string()),
    Field(("username",), string()),
    Field(("password",), string(), REQUIRED),
)


ROUTES: Final = (
    Route(("GET",), ("/",), version, auth=False),
    Route(("GET", "POST"), ("/auth", "/auth/test"), auth_test),
    Route(("GET",), ("/auth/role",), auth_role),
    Route(("GET",), ("/manager/status",), get_status, auth=False),
    Route(("PUT",), ("/manager/status",), put_status, superadmin=True),
    Route(("GET",), ("/manager/announcement",), get_announcement, auth=False),
    Route(("POST",), ("/manager/announcement",), post_announcement, superadmin=True),
)
