"""The web application: routes, and what happens to every request before and after its handler.

Assumes the real server's order of checks: unknown path or method, API version, signature, rate limit, and
only then whether somebody is signed in at all. Every route exists twice, as itself (signed requests) and under
`/func/` (requests with the web server's cookie).
"""

from __future__ import annotations

import ipaddress
import logging
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web
from yarl import URL

from . import auth, routes, webserver
from .faults.middleware import inject
from .problems import Problem
from .server import STATE, begin_visit, state_of, visit_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from .accounts import Account
    from .server import ServerState, Visit

__all__ = ["build_app"]

log = logging.getLogger(__name__)

_MAX_BODY: Final = 64 * 1024 * 1024


def build_app(state: ServerState) -> web.Application:
    """The application that serves `state`."""
    app = web.Application(middlewares=[inject, _answer_problems, _admit], client_max_size=_MAX_BODY)
    app[STATE] = state
    app.on_response_prepare.append(_stamp)
    for route in routes.ROUTES:
        for method in route.methods:
            for path in route.paths:
                app.router.add_route(method, path, route.handler)
                app.router.add_route(method, webserver.PREFIX + path, route.handler)
    webserver.add_routes(app)
    return app


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer. The date is the cluster clock's, so that a wrong clock shows."""
    visit = visit_of(request)
    if webserver.is_own(request.path, None if visit is None else visit.account):
        response.headers.popall("Server", None)  # it does not say what it is
    else:
        response.headers["Server"] = "BackendAI"
    response.headers["Date"] = format_datetime(state_of(request).clock.shown(), usegmt=True)
    budget = None if visit is None else visit.budget
    release = state_of(request).release
    ordinary = response.status < 400 and isinstance(response, web.Response)
    if budget is not None and (ordinary or release.ratelimit_on_errors):
        response.headers.update(budget.headers(with_reset=release.ratelimit_reset))


@web.middleware
async def _answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render what a handler raised. Nothing leaves this server as a bare traceback page."""
    release = state_of(request).release
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response(release)
    except web.HTTPMethodNotAllowed as error:
        return Problem.method_not_allowed(",".join(sorted({*error.allowed_methods, "OPTIONS"}))).response(
            release
        )
    except web.HTTPNotFound:
        return Problem.url_not_found(request.path).response(release)
    except web.HTTPRequestEntityTooLarge:
        return Problem.invalid_params("Too large request body").response(release)
    except web.HTTPException as error:
        return Problem(error.status, "generic-error", error.reason).response(release)
    except (ConnectionError, TimeoutError) as error:
        log.debug("%s %s: %r", request.method, request.path, error)
        return Problem.internal().response(release)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return Problem.internal().response(release)


@web.middleware
async def _admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Decide whether the request reaches its handler, and as whose."""
    state = state_of(request)
    if not state.any_host:
        _check_host(request)
    if request.match_info.http_exception is not None:
        raise request.match_info.http_exception
    visit = begin_visit(request, _api_version(request, state))
    route = routes.BY_HANDLER.get(request.match_info.handler)
    if route is None:  # the web server's own pages
        return await handler(request)
    proxied = request.path.startswith(webserver.PREFIX + "/")
    if route.auth:
        visit.account = webserver.account_of(request) if proxied else _signer(request, state)
    _count(visit, state)
    if route.auth and (visit.account is None or (route.superadmin and not visit.account.is_admin)):
        raise Problem.auth_failed("Unauthorized access")
    if route.alters and state.manager_status != "running":
        raise Problem.frozen()
    return await handler(request)


def _check_host(request: web.Request) -> None:
    """Refuse names that are not this machine's own: a web page must not reach us under a name of its choice."""
    try:
        host = URL(f"http://{request.host}").host or ""
    except ValueError:
        host = ""
    if host == "localhost" or host.endswith(".localhost"):
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise Problem.forbidden("The local cluster answers only to loopback host names.")


def _api_version(request: web.Request, state: ServerState) -> str:
    version = request.headers.get("X-BackendAI-Version") or request.headers.get("X-Sorna-Version")
    if version is None:
        return "v5.20191215"
    if version not in state.release.accepted_versions:
        raise Problem.bad_request("Unsupported API version.")
    return version


def _signer(request: web.Request, state: ServerState) -> Account | None:
    """The account whose key signed this request; `None` when nothing is signed."""
    date = auth.check_date(request.headers, state.clock.shown())
    given = auth.parse_authorization(request.headers.get("Authorization"))
    if given is None:
        return None
    account = state.accounts.by_access_key(given.access_key)
    if account is None:
        raise Problem.auth_failed(state.release.unknown_key_msg)
    expected = auth.signature_of(
        sign_method=given.sign_method,
        secret_key=account.keypair.secret_key,
        method=request.method,
        raw_path=request.raw_path,
        host=request.host,
        content_type=request.content_type,
        headers=request.headers,
        date=date,
    )
    if not auth.same(given.signature, expected):
        raise Problem.auth_failed(state.release.mismatch_msg)
    return account


def _count(visit: Visit, state: ServerState) -> None:
    """Take the request from its subject's budget."""
    limiter = state.limiter
    if visit.account is None:
        limit = limiter.anonymous_limit
        counted = state.release.anonymous_limited
        visit.budget = limiter.hit("anonymous", limit) if counted else limiter.untouched(limit)
        return
    budget = limiter.hit(visit.account.access_key, limiter.limit)
    if budget.exceeded:
        raise Problem.rate_limited()
    visit.budget = budget
