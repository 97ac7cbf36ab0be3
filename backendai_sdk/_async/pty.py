"""A terminal in a session."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from backendai_sdk._async._terminals import choose, open_server_terminal, open_ttyd
from backendai_sdk._async._tidy import tidy
from backendai_sdk._deadline import clamp
from backendai_sdk._wire.terminal import ServerFrames, TtydFrames, size_argument
from backendai_sdk.errors import InvalidArgument, UsageError

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._transport.websocket import WebSocket

__all__ = ["AsyncPty", "Via"]

Via = Literal["auto", "server", "ttyd"]

_FIRST_SIGN = 5.0


class AsyncPty:
    """A terminal in a session: a context manager, and inside it an iterator over what the terminal shows.

    What is sent is typed, what is received is what the screen gets, escape sequences included; both are bytes,
    and a character of several bytes may come in two pieces.  The iteration ends when the shell does.  Leaving
    the block closes the terminal, as closing its window would.

    Attributes:
        via: once it is open, ``"ttyd"`` (a shell, by the app that every ordinary image has) or ``"server"`` (the
            server's own terminal, where it works).
    """

    _handle: ClassVar[bool] = True

    def __init__(self, session: AsyncComputeSession, rows: int, cols: int, via: Via) -> None:
        if via not in {"auto", "server", "ttyd"}:
            raise InvalidArgument(f"via: {via!r} is none of 'auto', 'server', 'ttyd'", argument="via")
        self._session = session
        self._size = size_argument(rows, cols)
        self._socket: WebSocket | None = None
        self._frames: type[ServerFrames | TtydFrames] = ServerFrames
        self._opened = AsyncExitStack()
        self._shown = b""
        self._entered = False
        self._ended = False
        self.via: Via = via

    def __repr__(self) -> str:
        rows, cols = self._size
        return f"<AsyncPty {rows}x{cols} in {self._session.name}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("this terminal was entered before; call pty() again")
        self._entered = True
        try:
            self.via = await choose(self._session, self.via)
            if self.via == "ttyd":
                self._socket = await open_ttyd(self._session, self._opened)
                self._frames = TtydFrames
                await self._socket.send(TtydFrames.hello(*self._size))
                await self._first_sign()
            else:
                self._socket = await open_server_terminal(self._session, self._opened)
                await self.resize(*self._size)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        socket = self._open()
        if self._shown:
            shown, self._shown = self._shown, b""
            return shown
        while not self._ended:
            if data := await self._receive(socket):
                return data
        raise StopAsyncIteration

    async def send(self, data: bytes) -> None:
        """Type something.

        Args:
            data: what a keyboard would send: Enter is the byte 13, Ctrl-C is 3, Ctrl-D is 4.

        Raises:
            StreamInterrupted: the terminal is gone.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidArgument(
                f"data: {type(data).__name__} are no bytes; encode text first", argument="data"
            )
        socket = self._open()
        if data:
            await socket.send(self._frames.stdin(bytes(data)))

    async def resize(self, rows: int, cols: int) -> None:
        """Tell the terminal's size in characters to what runs in it.

        Raises:
            InvalidArgument: these are no sizes.
        """
        size = size_argument(rows, cols)
        await self._open().send(self._frames.resize(*size))
        self._size = size

    def _open(self) -> WebSocket:
        if self._socket is None:
            raise UsageError("enter the terminal first, and use it inside: async with cs.pty() as terminal")
        return self._socket

    async def _receive(self, socket: WebSocket) -> bytes:
        frame = await socket.receive()
        if frame is None:
            self._ended = True
            return b""
        return self._frames.output(frame)

    async def _first_sign(self) -> None:
        """Wait until the terminal shows something: what is typed before its program listens may be thrown away."""
        socket = self._open()
        try:
            async with asyncio.timeout(clamp(_FIRST_SIGN)):
                while not self._shown and not self._ended:
                    self._shown = await self._receive(socket)
        except TimeoutError:
            clamp(None)

    async def _close(self) -> None:
        self._socket, self._ended = None, True
        session = self._session
        what = f"the terminal of {session.name} could not be closed"
        await tidy(session._client, self._opened.aclose(), what=what, session=session.info)
