"""The two ways to a terminal (PROTOCOL §4.3, §9.30).

The server's own does not work on most releases.  ttyd is an app that every ordinary image has: a web server with
a shell, reached through the server's proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from backendai_sdk._async._apps import list_apps
from backendai_sdk._async._tunnel import carry, tunnel_to
from backendai_sdk._deadline import without_deadline
from backendai_sdk._transport.inner import InnerWebSocket
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.terminal import TtydFrames
from backendai_sdk._wire.versions import terminal_takes_input
from backendai_sdk.errors import BackendAIError, NotSupported, ServerError, SessionNotFound

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._async.pty import Via
    from backendai_sdk._transport.websocket import WebSocket

__all__ = ["choose", "open_server_terminal", "open_ttyd"]

_TTYD = "ttyd"


async def choose(session: AsyncComputeSession, via: Via) -> Via:
    """Which of the two it is.

    Raises:
        NotSupported: the one that was asked for does not work, or neither does.
        SessionNotReady: the session does not run.
    """
    has_ttyd = any(app.name == _TTYD for app in await list_apps(session))
    server = await session._client.server()
    release = server.manager or server.server_version
    if via != "server" and has_ttyd:
        return "ttyd"
    if via != "ttyd" and terminal_takes_input(server):
        return "server"
    no_own = f"the own terminal of this server ({release}) does not work"
    no_app = f"the session {session.name} has no app {_TTYD!r}"
    reason = {"server": no_own, "ttyd": no_app}.get(via, f"{no_own}, and {no_app}")
    raise NotSupported(f"no terminal: {reason}")


async def open_server_terminal(session: AsyncComputeSession, opened: AsyncExitStack) -> WebSocket:
    """The server's own terminal; what has to be closed afterwards goes onto *opened*."""
    request = Request(method="GET", path=path("/stream/session/{}/pty", session.id))
    try:
        return await opened.enter_async_context(session._client.websocket(request))
    except (SessionNotFound, ServerError) as exc:
        await session._explain_not_running(exc)
        raise


async def open_ttyd(session: AsyncComputeSession, opened: AsyncExitStack) -> WebSocket:
    """The session's ttyd; likewise.

    Raises:
        AgentError: it could not be started.
        StreamInterrupted: it did not answer as ttyd does.
    """
    timeouts = session._client.config.timeouts
    tunnel = await opened.enter_async_context(tunnel_to(session._client, session.id, {"app": _TTYD}))
    inner = InnerWebSocket()
    opened.push_async_callback(inner.close)
    reader, writer = await asyncio.open_connection(sock=inner.far)
    carrying = asyncio.get_running_loop().create_task(
        carry(session._client, reader, writer, tunnel), name="backendai-sdk-pty", context=without_deadline()
    )
    opened.push_async_callback(_end, carrying)
    socket = await inner.open(
        TtydFrames.path,
        subprotocol=TtydFrames.subprotocol,
        timeout=timeouts.request,
        silence=timeouts.silence,
    )
    opened.push_async_callback(socket.close)
    return socket


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        # A connection that broke has been seen by whoever read from it.
        with contextlib.suppress(BackendAIError):
            task.result()
