"""Running code over a WebSocket: one run for each connection. Assumes the handshake was signed as any request is.

Frames are as captured from real servers: the run's parameters as JSON first, answers without a run id, input as bare
text. A client that goes away in the middle interrupts its code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import Any, Final

from aiohttp import WSMsgType, web

from backendai_sdk.local.kernel import Kernel, RunBusy

from ._route import Route
from .execution import running_kernel
from .session import own_session

__all__ = ["ROUTES"]

_FLUSH: Final = 0.2
_HEARTBEAT: Final = 30.0
_MAX_MESSAGE: Final = 16 << 20
_CLOSING: Final = 5.0  # a finished run leaves closing to the client, for as long
_SHOWN: Final = ("status", "console", "exitCode", "options", "files")


async def stream_execute(request: web.Request) -> web.StreamResponse:
    session = own_session(request)
    kernel = running_kernel(session)
    socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, heartbeat=_HEARTBEAT)
    await socket.prepare(request)
    frames: asyncio.Queue[str | None] = asyncio.Queue()
    reader = asyncio.ensure_future(_read(socket, frames))
    try:
        params = _parameters(await frames.get())
        session.num_queries += 1
        await _run(socket, kernel, params, frames, reader)
    except _Refused as refusal:
        with contextlib.suppress(ConnectionError):
            await socket.send_json({"status": "error", "msg": str(refusal)})
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await asyncio.wait([reader])
        reader.cancel()
        await asyncio.wait([reader])
        await socket.close()
    return socket


class _Refused(Exception):
    """The run cannot be started or went wrong on the server's side; the text goes to the client."""


def _parameters(frame: str | None) -> dict[str, Any]:
    try:
        params = json.loads(frame or "")
    except ValueError as error:
        raise _Refused(f"Invalid API parameters: {error!r}") from None
    if not isinstance(params, dict) or params.get("mode") not in {"query", "batch"}:
        raise _Refused(
            "BackendError: <InvalidStreamMode(400): Invalid or missing stream mode parameter. "
            "(mode has an invalid value.)>"
        )
    return params


async def _run(
    socket: web.WebSocketResponse,
    kernel: Kernel,
    params: dict[str, Any],
    frames: asyncio.Queue[str | None],
    reader: asyncio.Future[None],
) -> None:
    run_id = secrets.token_hex(8)
    mode, code, options = params["mode"], str(params.get("code") or ""), params.get("options")
    while True:
        try:
            result = await kernel.execute(run_id, mode, code, options, flush_timeout=_FLUSH)
        except RunBusy:
            raise _Refused("BackendError: <KernelExecutionFailed(500): agent-timeout>") from None
        if reader.done() and result["status"] != "finished":
            await _abandon(kernel, run_id)
            return
        with contextlib.suppress(ConnectionError):
            await socket.send_json({key: result[key] for key in _SHOWN})
        if result["status"] in {"finished", "exec-timeout"}:
            return
        mode, code, options = "continue", "", None
        if result["status"] == "waiting-input":
            if (text := await frames.get()) is None:
                await _abandon(kernel, run_id)
                return
            mode, code = "input", text


async def _abandon(kernel: Kernel, run_id: str) -> None:
    """Interrupt a run whose client has gone, and fetch its end: until then no other run gets its turn."""
    with contextlib.suppress(TimeoutError, RunBusy):
        async with asyncio.timeout(_CLOSING):
            status = ""
            while status not in {"finished", "exec-timeout"}:
                await kernel.interrupt()
                result = await kernel.execute(run_id, "continue", "", None, flush_timeout=_FLUSH)
                status = result["status"]


async def _read(socket: web.WebSocketResponse, frames: asyncio.Queue[str | None]) -> None:
    """Hand on what the client sends; `None` when it has gone."""
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            frames.put_nowait(message.data)
    frames.put_nowait(None)


ROUTES: Final = (Route(("GET",), ("/stream/session/{session_name}/execute",), stream_execute),)
