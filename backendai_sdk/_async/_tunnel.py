"""One TCP connection into a session, carried by the server's WebSocket proxy (PROTOCOL §2.3, tcpproxy).

Every binary message is a piece of the connection's bytes.  The proxy has no word for "I have said all that I
have to say": the end of what is sent cannot be passed on, and what comes from the app is carried on all the
same.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backendai_sdk._async._apps import raise_launch_failed
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.versions import proxy_cuts_at_the_end
from backendai_sdk.errors import BackendAIError, ConnectError, ServerError, StreamInterrupted

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk._transport.websocket import WebSocket

__all__ = ["carry", "reset", "tunnel_to"]

_CHUNK = 64 * 1024
# How long a connection whose local end has said everything may be without an answer.
LINGER = 60.0
_LAST_WORDS = 1.0
_RESET = struct.pack("ii", 1, 0)
# What the proxy closes with (PROTOCOL §2.3).
_REFUSED = 1013
_FAILED = 1011


@asynccontextmanager
async def tunnel_to(
    client: Client, session_id: str, params: Mapping[str, str | int]
) -> AsyncIterator[WebSocket]:
    """Have the server start the app, if it must, and connect to it; the tunnel is closed with the block.

    Raises:
        AgentError: the app could not be started.
        AppNotFound, SessionNotFound: there is no such thing.
        TransportError: the server cannot be reached.
    """
    opened = False
    try:
        request = Request(method="GET", path=path("/stream/session/{}/tcpproxy", session_id), params=params)
        async with client.websocket(request) as tunnel:
            opened = True
            yield tunnel
    except ServerError as exc:
        if opened:
            raise
        raise_launch_failed(exc, str(params["app"]))
        raise


async def carry(
    client: Client,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tunnel: WebSocket,
    failed: Callable[[BackendAIError], None] | None = None,
) -> None:
    """Carry bytes both ways until the app or this side ends; the local end is closed then.

    Reading on either side goes no faster than the other side takes it.

    Args:
        failed: told what will be raised, before the local end is reset.

    Raises:
        TransportError: the connection broke, or the app did not take it. The local end sees a reset then, so
            that it does not take a part for the whole.
    """
    cut_is_end = proxy_cuts_at_the_end(await client.server())
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    up = loop.create_task(_up(reader, tunnel), name="backendai-sdk-tunnel-up")
    down = loop.create_task(_down(tunnel, writer, heard, cut_is_end), name="backendai-sdk-tunnel-down")
    broken = True
    try:
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        if not down.done():
            if up.exception() is None:
                await _linger(down, heard)
            else:
                # Why the proxy has closed may not be read yet, behind what it said before.
                await asyncio.wait([down], timeout=_LAST_WORDS)
        _check(tunnel)
        # An app that has ended does not take what is still sent, which is no error.
        (down if down.done() else up).result()
        broken = False
    except OSError:
        pass  # this side has gone, which is its right
    except BackendAIError as exc:
        if failed is not None:
            failed(exc)
        raise
    finally:
        for task in (up, down):
            task.cancel()
        try:
            await asyncio.wait([up, down])
        finally:
            # Whatever is raised here: no connection stays behind.
            if broken:
                reset(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _up(reader: asyncio.StreamReader, tunnel: WebSocket) -> None:
    while chunk := await reader.read(_CHUNK):
        await tunnel.send(chunk)


async def _down(
    tunnel: WebSocket, writer: asyncio.StreamWriter, heard: asyncio.Event, cut_is_end: bool
) -> None:
    said = False
    try:
        while (message := await tunnel.receive()) is not None:
            said = True
            heard.set()
            if isinstance(message, bytes):
                writer.write(message)
                await writer.drain()
    except StreamInterrupted as exc:
        if not cut_is_end or "timeouts.silence" in str(exc):
            raise
        if not said:
            raise ConnectError(
                "the server's proxy ended the connection before the app said anything: does something listen on "
                "the app's port in the session?"
            ) from exc


async def _linger(down: asyncio.Task[None], heard: asyncio.Event) -> None:
    """The local end has sent all: wait for the app's last words, as long as it goes on speaking.

    A local end that is gone altogether looks the same, so this cannot be for ever.
    """
    while True:
        heard.clear()
        await asyncio.wait([down], timeout=LINGER)
        if down.done() or not heard.is_set():
            return


def _check(tunnel: WebSocket) -> None:
    """Raise if the proxy closed because it could not reach the app."""
    if tunnel.close_code == _REFUSED:
        raise ConnectError(
            "nothing listens on the app's port in the session (yet?): the connection was refused"
        )
    if tunnel.close_code == _FAILED:
        raise StreamInterrupted("the server's proxy lost its connection to the app")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the local end so that its peer sees an error, not an end. Nothing happens if it is closed."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    if not writer.is_closing():
        writer.transport.abort()
