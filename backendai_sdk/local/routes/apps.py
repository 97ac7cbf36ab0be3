"""Apps of a session: list, start, stop, and connections to them through WebSockets.

Assumes the answers of the real server; its app proxy, which is a program of its own there, is a single page here: it
tells the address of an app for a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from backendai_sdk.local.apps import LaunchFailed
from backendai_sdk.local.lifecycle import BEFORE_RUNNING
from backendai_sdk.local.params import Field, Invalid, integer, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route
from .session import own_session

if TYPE_CHECKING:
    from backendai_sdk.local.records import SessionRecord

__all__ = ["ROUTES"]

_HEARTBEAT: Final = 30.0
_MAX_MESSAGE: Final = 16 << 20
_CHUNK: Final = 64 * 1024


def _json_text(value: Any) -> Any:
    try:
        return json.loads(string()(value))
    except ValueError:
        raise Invalid("value is not valid JSON") from None


_SERVICE: Final = (
    Field(("app", "service"), string()),
    Field(("port",), nullable(integer(least=1024, most=65535)), None),
    Field(("envs",), nullable(_json_text), None),
    Field(("arguments",), nullable(_json_text), None),
)
_TOKEN: Final = Field(("login_session_token",), nullable(string(blank=True)), None)


async def apps(request: web.Request) -> web.Response:
    session = own_session(request)
    ports = [] if session.status in BEFORE_RUNNING else session.public_ports
    return web.json_response(ports, dumps=json.dumps)


async def start_service(request: web.Request) -> web.Response:
    params = await read(request, (*_SERVICE, _TOKEN), source="body")
    session = own_session(request)
    port = await _launch(session, params)
    state = state_of(request)
    token = secrets.token_urlsafe(32)
    state.app_tokens[token] = f"http://127.0.0.1:{port}/"
    return web.json_response({"token": token, "wsproxy_addr": f"{request.scheme}://{request.host}"})


async def proxy_add(request: web.Request) -> web.Response:
    """What the app proxy answers to whoever shows a token."""
    address = state_of(request).app_tokens.get(request.match_info["token"])
    if address is None:
        raise Problem.url_not_found(request.path)
    return web.json_response({"code": 200, "url": address})


async def shutdown_service(request: web.Request) -> web.Response:
    params = await read(request, [Field(("service_name",), string())])
    session = own_session(request)
    if session.apps is not None:
        await session.apps.stop(params["service_name"])
    return web.Response(status=204)


async def proxy(request: web.Request) -> web.StreamResponse:
    """A TCP connection to an app, carried in binary frames."""
    session = own_session(request)
    port = await _launch(session, await read(request, _SERVICE))
    answer = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, heartbeat=_HEARTBEAT)
    await answer.prepare(request)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        await _end(request, answer, 1013 if isinstance(error, ConnectionRefusedError) else 1011)
        return answer
    up, down = asyncio.ensure_future(_up(answer, writer)), asyncio.ensure_future(_down(reader, answer))
    try:
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Closed only when nobody reads or writes any more, or the code of the end would be lost.
        ends = [task for task in (down, up) if task.done()]
        for task in (up, down):
            task.cancel()
        await asyncio.wait([up, down])
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await _end(request, answer, ends[0].result() if ends else 1001)
    return answer


async def _end(request: web.Request, answer: web.WebSocketResponse, code: int) -> None:
    if state_of(request).release.proxy_cuts and request.transport is not None:
        request.transport.close()  # what was written before is still sent
    else:
        await answer.close(code=code)


async def _up(answer: web.WebSocketResponse, writer: asyncio.StreamWriter) -> int:
    """Carry what the client sends; the code of the end."""
    try:
        async for message in answer:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data)
                await writer.drain()
    except ConnectionError:
        return 1011
    return 1000


async def _down(reader: asyncio.StreamReader, answer: web.WebSocketResponse) -> int:
    try:
        while chunk := await reader.read(_CHUNK):
            await answer.send_bytes(chunk)
    except ConnectionError:
        return 1011
    return 1001


async def _launch(session: SessionRecord, params: dict[str, Any]) -> int:
    """Start the app that is meant; the port of this machine that it listens on."""
    name, wanted = params["app"], params["port"]
    item = next((i for i in session.service_ports or () if i["name"] == name), None)
    if item is None or session.apps is None:
        raise Problem.not_found("app service", f"{session.name}:{name}", code="app-service_read_not-found")
    if wanted is not None and wanted not in item["container_ports"]:
        raise Problem.invalid_params(
            f"Application {name} of session {session.id} does not have the port number {wanted}."
        )
    if item["protocol"] == "preopen":
        return int(item["container_ports"][0])
    try:
        return await session.apps.start(name, params["envs"], params["arguments"])
    except LaunchFailed as failure:
        code = "backendai_generic_internal-error"
        raise Problem(
            500,
            "internal-server-error",
            "Internal server error.",
            "Failed to launch the app service",
            code=code,
            data=str(failure),
        ) from None


ROUTES: Final = (
    Route(("GET",), ("/stream/session/{session_name}/apps",), apps),
    Route(("POST",), ("/session/{session_name}/start-service",), start_service),
    Route(("POST",), ("/session/{session_name}/shutdown-service",), shutdown_service),
    Route(
        ("GET",),
        ("/stream/session/{session_name}/tcpproxy", "/stream/session/{session_name}/httpproxy"),
        proxy,
    ),
    Route(("GET",), ("/v2/proxy/{token}/{session_name}/add",), proxy_add, auth=False),
)
