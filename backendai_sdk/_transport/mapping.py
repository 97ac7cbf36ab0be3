"""Exceptions of aiohttp turned into ours, at this single place: by whether the server can have seen the request."""

from __future__ import annotations

from types import TracebackType
from typing import TypedDict

import aiohttp

from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.request import Request
from backendai_sdk.errors import ConnectError, ConnectionLost, ProtocolError, RequestTimeout, TransportError

__all__ = ["Where", "mapped", "said"]


class Where(TypedDict):
    """Which request an error is about."""

    method: str
    path: str


class mapped:  # noqa: N801 - read as a statement: `with mapped(request, timeout):`
    """A block whose aiohttp exceptions become ours.  A class, because every request passes here.

    Args:
        timeout: the time limit that holds in the block, for the message, and *option*, its name, if not the request's.
    """

    __slots__ = ("_option", "_request", "_timeout")

    def __init__(self, request: Request, timeout: float | None, *, option: str = "") -> None:
        self._request = request
        self._timeout = timeout
        self._option = option or request.limited_by

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, aiohttp.ClientError | OSError):  # TimeoutError is an OSError
            raise _ours(exc, self._request, self._timeout, self._option) from exc


def _ours(
    exc: aiohttp.ClientError | OSError, request: Request, timeout: float | None, option: str
) -> TransportError:
    """The error of ours that *exc* stands for: by whether the server can have seen the request."""
    where = Where(method=request.method, path=request.path)
    what = f"{request.method} {request.path}"
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return ConnectError(
                f"{what}: no connection within {limit('timeouts.connect', None)}: is `endpoint` right, and "
                f"is the server up? If it is only slow: {more_time('timeouts.connect')}",
                **where,
            )
        case TimeoutError():
            return RequestTimeout(
                f"{what}: no complete answer within {limit(option, timeout)}; the server may still act on it; "
                f"{more_time(option)}",
                **where,
            )
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return ConnectError(
                f"{what}: the server's certificate was not accepted: {said(exc)}. Install its authority's "
                "certificate, or set verify_ssl=False if you trust it for other reasons",
                **where,
            )
        case aiohttp.ClientConnectorError():
            return ConnectError(
                f"{what}: cannot connect to {exc.host}:{exc.port}: {said(exc.os_error)}; is `endpoint` right, "
                "and is the server up?",
                **where,
            )
        case aiohttp.ClientOSError() if _never_written(exc, request):
            return ConnectError(
                f"{what}: the server closed the connection before the request was sent", **where
            )
        case aiohttp.InvalidURL():
            return ProtocolError(f"{what}: the address cannot be used: {exc}", **where)
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return ConnectionLost(
                f"{what}: the connection broke before the answer was complete: {said(exc)}; the server may have "
                "acted on it",
                **where,
            )
        case aiohttp.WSServerHandshakeError():
            return ProtocolError(f"{what}: the WebSocket handshake went wrong: {exc.message}", **where)
        case aiohttp.ClientResponseError():
            return ProtocolError(f"{what}: the answer is not HTTP: {exc.message}", **where)
    return ConnectionLost(f"{what}: {said(exc)}", **where)


def _never_written(exc: aiohttp.ClientError | OSError, request: Request) -> bool:
    """Whether the body of a JSON request has surely not left: what came before it, no server can act on.

    So it is when a server closes a connection that was kept open, just as it is taken for the next request.
    """
    cause = exc.__cause__
    # aiohttp says "Connection lost" instead if it may have been written.
    closing = isinstance(cause, aiohttp.ClientConnectionResetError) and "closing transport" in str(cause)
    return closing and request.json is not None and not request.files


def said(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
