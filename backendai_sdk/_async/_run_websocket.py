"""A run over a WebSocket: answers come by themselves, every 0.2 s at least (PROTOCOL §4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from backendai_sdk._deadline import clamp
from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.run_frames import first_frame, read_frame
from backendai_sdk.errors import StreamInterrupted

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk._transport.websocket import WebSocket

__all__ = ["WebSocketChannel"]


class WebSocketChannel:
    """One connection for one run.  A server whose client goes away interrupts the code by itself."""

    run_id = ""  # servers keep it to themselves

    def __init__(self, client: Client, session_id: str) -> None:
        self._client = client
        self._path = path("/stream/session/{}/execute", session_id)
        self._stack = AsyncExitStack()
        self._socket: WebSocket | None = None
        self.started: bool = False

    async def start(self, mode: str, code: str, options: Mapping[str, object]) -> Mapping[str, object]:
        socket = await self._stack.enter_async_context(
            self._client.websocket(Request(method="GET", path=self._path))
        )
        self._socket, self.started = socket, True
        await self._send(first_frame(mode, code, options))
        return await self.poll()

    async def poll(self) -> Mapping[str, object]:
        if self._socket is None:
            raise StreamInterrupted("the WebSocket of the run was never opened", path=self._path)
        frame = await (self._socket.receive() if self._socket.ready else self._wait_for(self._socket))
        if frame is None:
            code = self._socket.close_code
            raise StreamInterrupted(f"the server closed the WebSocket (code {code})", path=self._path)
        return read_frame(frame, path=self._path)

    async def _wait_for(self, socket: WebSocket) -> str | bytes | None:
        silence = self._client.config.timeouts.silence
        try:
            async with asyncio.timeout(clamp(silence)):
                return await socket.receive()
        except TimeoutError:
            clamp(None)  # says so if it was an enclosing deadline() that ran out
            raise StreamInterrupted(
                f"the server said nothing for {limit('timeouts.silence', silence)}; {more_time('timeouts.silence')}",
                path=self._path,
            ) from None

    async def answer(self, text: str) -> Mapping[str, object]:
        await self._send(text)
        return await self.poll()

    async def close(self) -> None:
        await self._stack.aclose()

    async def _send(self, frame: str) -> None:
        assert self._socket is not None  # noqa: S101 - an answer follows a question
        seconds = self._client.config.timeouts.request
        try:
            async with asyncio.timeout(clamp(seconds)):
                await self._socket.send(frame)
        except TimeoutError:
            clamp(None)
            raise StreamInterrupted(
                f"the server does not take what is sent within {limit('timeouts.request', seconds)}; "
                f"{more_time('timeouts.request')}",
                path=self._path,
            ) from None
