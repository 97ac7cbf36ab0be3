"""The web server in front of a manager: logging in with a password, then a cookie instead of a signature.

Assumes one process for both: `/func/…` leads straight to the manager's handlers, which see who is logged in.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from .problems import Problem
from .server import state_of

if TYPE_CHECKING:
    from .accounts import Account

__all__ = ["COOKIE", "PREFIX", "account_of", "add_routes", "is_own"]

PREFIX: Final = "/func"
COOKIE: Final = "AIOHTTP_SESSION"
_SESSION_HEADER: Final = "X-BackendAI-SessionID"
_MAX_AGE: Final = 604800


def account_of(request: web.Request) -> Account:
    """Who is logged in with the cookie of this request."""
    account = state_of(request).logins.get(request.cookies.get(COOKIE, ""))
    if account is None:
        raise Problem(401, "auth-failed", "Unauthorized access", by_web_server=True)
    return account


def is_own(path: str, account: Account | None) -> bool:
    """Whether the web server answers `path` by itself: its own pages, and refusing who is not logged in."""
    return path.startswith("/server/") or (path.startswith(PREFIX) and account is None)


def _facts(account: Account) -> dict[str, Any]:
    return {"access_key": account.access_key, "role": account.role, "status": "active"}


async def _credentials(request: web.Request) -> tuple[str, str]:
    try:
        given = await request.json()
        username, password = given["username"], given["password"]
    except (ValueError, KeyError, TypeError):
        title = "Missing or invalid API parameters."
        raise Problem(400, "invalid-api-params", title, by_web_server=True) from None
    return str(username), str(password)


async def login(request: web.Request) -> web.Response:
    state = state_of(request)
    if request.cookies.get(COOKIE, "") in state.logins:
        raise Problem(400, "generic-bad-request", "You have already logged in.", by_web_server=True)
    account = state.accounts.by_login(*await _credentials(request))
    token = uuid.uuid4().hex
    if account is not None:
        state.logins[token] = account
        response = web.json_response({"authenticated": True, "data": _facts(account)})
    else:
        problem = {
            "type": "https://api.backend.ai/probs/auth-failed",
            "title": "Credential/signature mismatch.",
            "details": "User credential mismatch.",
        }
        status = state.release.login_failure_status
        response = web.json_response({"authenticated": False, "data": problem}, status=status)
    response.headers[_SESSION_HEADER] = token
    response.set_cookie(COOKIE, token, max_age=_MAX_AGE, path="/", httponly=True)
    return response


async def login_check(request: web.Request) -> web.Response:
    token = request.cookies.get(COOKIE, "")
    account = state_of(request).logins.get(token)
    data = None if account is None else _facts(account)
    return web.json_response({"authenticated": account is not None, "data": data, "session_id": token})


async def logout(request: web.Request) -> web.Response:
    state_of(request).logins.pop(request.cookies.get(COOKIE, ""), None)
    response = web.Response(status=state_of(request).release.logout_status)
    response.del_cookie(COOKIE, path="/")
    return response


async def ping(request: web.Request) -> web.Response:
    release = state_of(request).release
    return web.json_response({"version": release.api_version, "manager": release.manager})


def add_routes(app: web.Application) -> None:
    """The web server's own pages."""
    app.router.add_post("/server/login", login)
    app.router.add_post("/server/login-check", login_check)
    app.router.add_post("/server/logout", logout)
    app.router.add_get(f"{PREFIX}/ping", ping)
    app.router.add_get(PREFIX, ping)
