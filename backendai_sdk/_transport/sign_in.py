"""Signing in at a web server, once for all who find that they are not (PROTOCOL §1.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from backendai_sdk._transport.connection import Connection
from backendai_sdk._transport.credentials import WebLogin
from backendai_sdk._wire.problems import json_of
from backendai_sdk._wire.request import Request, Response
from backendai_sdk.errors import AuthenticationError, BadRequest, WireError

__all__ = ["SignIns"]

Send: TypeAlias = Callable[[Request], Awaitable[Response]]


class SignIns:
    """The sign-ins of one client session.

    Attributes:
        count: how often was signed in, so that of several requests that find the sign-in expired one renews it.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = asyncio.Lock()

    def new_loop(self) -> None:
        """The event loop is another one from now on."""
        self._lock = asyncio.Lock()

    async def renew(self, login: WebLogin, connection: Connection, send: Send, *, seen: int) -> None:
        """Sign in, unless that was done since *seen* was read off ``count``.

        Raises:
            AuthenticationError: the web server does not accept username and password.
            WireError: its answer cannot be read.
        """
        async with self._lock:
            if self.count == seen:
                connection.forget_cookies()
                await _log_in(login, send)
                self.count += 1


async def _log_in(login: WebLogin, send: Send) -> None:
    request = login.login()
    try:
        response = await send(request)
    except BadRequest as exc:
        if "already logged in" not in f"{exc.title} {exc.msg}":
            raise
        return
    except AuthenticationError as exc:
        raise _refused(exc.data or exc.body, login, request) from exc
    # Most releases answer 200 even when they refuse (PROTOCOL §1.6).
    match json_of(response, method=request.method, path=request.path):
        case {"authenticated": True}:
            pass
        case {"authenticated": False, "data": why}:
            raise _refused(why, login, request)
        case _:
            raise WireError(
                "the web server's answer to the sign-in cannot be read: is `endpoint` a web server?"
            )


def _refused(why: object, login: WebLogin, request: Request) -> AuthenticationError:
    match why:
        case {"details": str(said)} | {"title": str(said)} | {"data": {"details": str(said)}}:
            pass
        case _:
            said = "no explanation"
    return AuthenticationError(
        f"the web server refused the sign-in of {login.username!r}: {said.rstrip('.')}; check username and "
        "password",
        status=401,
        type="auth-failed",
        msg=said,
        method=request.method,
        path=request.path,
    )
