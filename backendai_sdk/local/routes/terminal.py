"""The server's own terminal, over a WebSocket. It works on no release that is played here, as seen on real ones.

It is connected to the wrong place and shows nothing; up to 25.8 the first key that is typed ends it. The app `ttyd`
is a terminal that works.
"""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import WSMsgType, web

from backendai_sdk.local.server import state_of

from ._route import Route
from .execution import running_kernel
from .session import own_session

__all__ = ["ROUTES"]

_HEARTBEAT: Final = 30.0
_MAX_MESSAGE: Final = 16 << 20


async def pty(request: web.Request) -> web.StreamResponse:
    state, session = state_of(request), own_session(request)
    running_kernel(session)
    socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, heartbeat=_HEARTBEAT)
    await socket.prepare(request)
    async for message in socket:
        kind = _kind(message.data) if message.type is WSMsgType.TEXT else None
        if kind == "restart":
            await state.sessions.restart(session)
        elif kind == "stdin" and state.release.pty_ends_at_first_key:
            break
    await socket.close()
    return socket


def _kind(text: str) -> Any:
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame.get("type") if isinstance(frame, dict) else None


ROUTES: Final = (Route(("GET",), ("/stream/session/{session_name}/pty",), pty),)
