"""Asking for a session's apps, starting and stopping them (PROTOCOL §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from backendai_sdk._wire.apps import app_parameters, read_access, read_apps
from backendai_sdk._wire.request import Request, path
from backendai_sdk.errors import AgentError, APIError, ServerError, ServiceUnavailable, SessionNotFound

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.app import App, AppAccess

__all__ = ["list_apps", "raise_launch_failed", "start_app", "stop_app"]

# What is kept of an error that gets a better text.
_KEPT = (
    "status",
    "type",
    "title",
    "msg",
    "data",
    "error_code",
    "agent_details",
    "method",
    "path",
    "body",
    "attempts",
)


async def list_apps(session: AsyncComputeSession) -> tuple[App, ...]:
    """The session's apps.

    Raises:
        SessionNotReady: it does not run, so it has none.
    """
    request = Request(method="GET", path=path("/stream/session/{}/apps", session.id), idempotent=True)
    try:
        apps = read_apps(await session._client.json(request))
    except (SessionNotFound, ServerError) as exc:
        await session._explain_not_running(exc)
        raise
    if not apps:
        await session._explain_not_running(None)
    return apps


async def start_app(
    session: AsyncComputeSession,
    name: str,
    *,
    port: int | None,
    env: Mapping[str, str] | None,
    args: Mapping[str, object] | None,
) -> AppAccess:
    """Start an app and get what opens it at the server's app proxy."""
    body = app_parameters(name, port=port, env=env, args=args)
    # Starting it again starts nothing and gives another token.
    request = Request(
        method="POST", path=path("/session/{}/start-service", session.id), json=body, idempotent=True
    )
    try:
        return read_access(await session._client.json(request), app=name)
    except ServiceUnavailable as exc:
        if "coordinator" in (exc.msg or "").lower():
            exc.add_note("This cluster has no app proxy; forward_port() does without one.")
        raise
    except (SessionNotFound, ServerError) as exc:
        raise_launch_failed(exc, name)
        await session._explain_not_running(exc)
        raise


def raise_launch_failed(exc: APIError, app: str) -> None:
    """Raise what it means that the server could not start an app; return if that is not what it said."""
    if "launch the app service" not in (exc.msg or ""):
        return
    raise AgentError(
        f"the app {app!r} could not be started in the session: {exc.data or exc.msg}. Is it installed in the image? "
        "The session's logs() may say more",
        **{name: getattr(exc, name) for name in _KEPT},
    ) from exc


async def stop_app(session: AsyncComputeSession, name: str) -> None:
    """End an app."""
    app_parameters(name)
    # Releases read it from different places (PROTOCOL §2.3).
    params = {"service_name": name}
    request = Request(
        method="POST",
        path=path("/session/{}/shutdown-service", session.id),
        params=params,
        json=params,
        idempotent=True,
    )
    try:
        await session._client.send(request)
    except (SessionNotFound, ServerError) as exc:
        await session._explain_not_running(exc)
        raise
