"""A WebSocket inside of something that carries bytes: to a web app in a session, through the server's proxy.

Nothing here is signed and nothing goes to the network: one end of a socket pair is what aiohttp takes for its
connection, the other end is the caller's to carry.  So no port is opened that other users of the machine
could connect to.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp

from backendai_sdk._transport.websocket import WebSocket, upgrade, upgrading_session
from backendai_sdk._wire.request import Request
from backendai_sdk.errors import StreamInterrupted

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

__all__ = ["InnerWebSocket"]


class _Pair(aiohttp.BaseConnector):
    """Connects by taking a socket that is connected already; for one connection."""

    def __init__(self, near: socket.socket) -> None:
        super().__init__(force_close=True)
        self._near = near

    async def _create_connection(self, *_: object, **__: object) -> ResponseHandler:
        # As aiohttp's own connector for Unix sockets does it.
        _transport, protocol = await asyncio.get_running_loop().create_connection(
            self._factory, sock=self._near
        )
        return protocol


class InnerWebSocket:
    """The WebSocket of a web app, over bytes that somebody else carries: ``far`` is the end to carry."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self._near = near
        self._http = aiohttp.ClientSession(connector=_Pair(near))
        # Closed with the one above; dropped before, it would complain that it was not.
        self._upgrading: aiohttp.ClientSession | None = None

    async def open(
        self, path: str, *, subprotocol: str, timeout: float | None, silence: float | None
    ) -> WebSocket:
        """Make the handshake with the app.

        Raises:
            StreamInterrupted: it did not come about.
        """
        request = Request(method="GET", path=path, signed=False)
        session = self._upgrading = upgrading_session(self._http, connect=timeout)
        headers = {"Sec-WebSocket-Protocol": subprotocol}
        try:
            return await upgrade(
                session, request, f"http://localhost{path}", headers, timeout=timeout, silence=silence
            )
        except (aiohttp.ClientError, OSError) as exc:  # TimeoutError is an OSError
            raise StreamInterrupted(
                f"the app in the session did not answer: {str(exc) or type(exc).__name__}"
            ) from exc

    async def close(self) -> None:
        """Let go of both ends."""
        await self._http.close()
        self._near.close()
        self.far.close()
