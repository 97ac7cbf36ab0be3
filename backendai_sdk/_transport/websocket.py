"""A WebSocket to the server: opened like any other request, then messages both ways until one side closes.

The connection is looked after while nobody reads: the server's pings are answered, our own are sent, and a
connection without any sign of life is given up.  What arrives meanwhile waits in a short queue; when that is
full, reading pauses, and the server feels it as any sender does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self, TypedDict

import aiohttp
import attrs
from yarl import URL

from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.request import Request, Response
from backendai_sdk.errors import StreamInterrupted, UsageError

__all__ = ["Refused", "Upgraded", "WebSocket", "upgrade", "upgrading_session"]

# Servers accept messages of 16 MiB; what they send is bounded by their agents' records, several in one message.
_MAX_MESSAGE: Final = 64 * 2**20
# Messages that wait for whoever reads; beyond, reading pauses.
_QUEUE: Final = 32
# How long the other side may take to answer our closing.
_CLOSING: Final = 2.0
# Pings within one limit of silence, and how many of them must stay without an answer.
_PINGS: Final = 3


class _Where(TypedDict):
    """Which request an error is about."""

    method: str
    path: str


class Refused(aiohttp.ClientError):
    """The server answered something else than the upgrade that was asked for; with its whole answer."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        super().__init__(f"status {response.status}")
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.body = body


class _Handshake(aiohttp.ClientResponse):
    """The answer to a handshake.  aiohttp would follow redirects with our signature, and drop what a refusal says."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        await super().start(connection)
        if self.status != 101:
            raise Refused(self, await self.content.read(2**20))
        return self


@attrs.frozen(kw_only=True)
class Upgraded(Response):
    """The answer 101: from here on the connection is a WebSocket."""

    socket: WebSocket


def upgrading_session(http: aiohttp.ClientSession, *, connect: float | None) -> aiohttp.ClientSession:
    """A session for handshakes that shares connections and cookies with *http*, and need not be closed apart."""
    session = aiohttp.ClientSession(
        connector=http.connector,
        connector_owner=False,
        cookie_jar=http.cookie_jar,
        response_class=_Handshake,
        # The server takes the missing type for application/octet-stream, which is what was signed (PROTOCOL §1.2).
        skip_auto_headers=("Content-Type",),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
    )
    session._retry_connection = False
    return session


async def upgrade(
    http: aiohttp.ClientSession,
    request: Request,
    url: str,
    headers: Mapping[str, str],
    *,
    timeout: float | None,
    silence: float | None,
) -> WebSocket:
    """Make the handshake.

    Args:
        timeout: seconds for the handshake.
        silence: seconds without a sign of life after which the connection is given up.

    Raises:
        Refused: the server answered with something else.
        TimeoutError, aiohttp.ClientError, OSError: as they come.
    """
    async with asyncio.timeout(timeout):
        socket = await http.ws_connect(
            URL(url, encoded=True),
            headers=headers,
            max_msg_size=_MAX_MESSAGE,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING),  # pyright: ignore[reportCallIssue] - attrs, untyped
            autoping=False,  # pongs are signs of life, which aiohttp would keep to itself
        )
    return WebSocket(socket, request, silence)


class WebSocket:
    """An open WebSocket: a context manager that closes it.  One task may receive while others send."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, request: Request, silence: float | None
    ) -> None:
        self._socket = socket
        self._where = _Where(method=request.method, path=request.path)
        self._silence = silence
        # ``None`` says that nothing more comes.  The reader bounds it, so that its end always finds room.  No
        # asyncio.Queue, whose bookkeeping costs as much as reading a message.
        self._arrived: deque[str | bytes | None] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._error: StreamInterrupted | None = None
        self._closed = False
        self._reading = False
        loop = asyncio.get_running_loop()
        self._unanswered = 0  # pings since the last sign of life
        self._reader = loop.create_task(self._read(), name="backendai-sdk-websocket")
        self._pinger = loop.create_task(self._ping(), name="backendai-sdk-websocket-pings")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def close_code(self) -> int | None:
        """Why the other side closed: 1000 is an orderly end; ``None`` while it has not."""
        return self._socket.close_code if self._reader.done() else None

    async def receive(self) -> str | bytes | None:
        """Wait for the next message, text or binary; ``None`` once the other side has closed.

        May be cancelled and called again; nothing is lost.

        Raises:
            StreamInterrupted: the connection was cut, or gave no sign of life for ``timeouts.silence``.
            UsageError: it was closed on this side.
        """
        if self._closed:
            raise UsageError("this WebSocket was closed")
        while not self._arrived:
            self._news.clear()
            await self._news.wait()
        message = self._arrived.popleft()
        if message is None:
            self._arrived.append(None)  # for whoever asks again
            if self._error is not None:
                raise self._error
        self._room.set()
        return message

    @property
    def ready(self) -> bool:
        """Whether ``receive()`` would return, or raise, without waiting."""
        return bool(self._arrived)

    async def send(self, message: str | bytes) -> None:
        """Send one message: a text frame for ``str``, a binary one for ``bytes``.

        Raises:
            StreamInterrupted: the connection is gone; the other side may not have got the message.
            UsageError: it was closed on this side.
        """
        if self._closed:
            raise UsageError("this WebSocket was closed")
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError) as exc:
            raise self._error or self._interrupted(_said(exc)) from exc

    async def close(self, code: int = 1000) -> None:
        """Close it, and wait shortly for the other side to do so too. May be called again."""
        if not self._closed:
            self._closed = True
            self._error = self._error or self._interrupted("it was closed on this side")
        self._pinger.cancel()
        try:
            async with asyncio.timeout(2 * _CLOSING):
                await self._socket.close(code=code)
        except TimeoutError:
            pass  # the other side takes nothing any more
        finally:
            # Also when the closing is cancelled: no connection and no task stays behind.
            self._abort()
            self._reader.cancel()
            self._put(None)  # for who still waits in receive()
        await asyncio.wait([self._reader, self._pinger])

    # --- inside -----------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                while len(self._arrived) >= _QUEUE:
                    self._reading, self._unanswered = False, 0
                    self._room.clear()
                    await self._room.wait()
                self._reading = True
                message = await self._next()
                self._unanswered = 0
                match message.type:
                    case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                        self._put(message.data)
                    case aiohttp.WSMsgType.CLOSE:
                        return
                    case _:
                        cause = message.data
                        why = _said(cause) if isinstance(cause, Exception) else "the connection broke"
                        self._error = self._error or self._interrupted(why)
                        return
        except (aiohttp.ClientError, OSError) as exc:
            self._error = self._error or self._interrupted(_said(exc))
        finally:
            self._pinger.cancel()
            self._put(None)

    def _put(self, message: str | bytes | None) -> None:
        self._arrived.append(message)
        self._news.set()

    async def _next(self) -> aiohttp.WSMessage:
        """The next message that is none of the connection's own."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                self._unanswered = 0
            else:
                return message

    async def _ping(self) -> None:
        """Keep the connection alive, and give it up when nothing at all comes back."""
        if self._silence is None:
            return
        while True:
            await asyncio.sleep(self._silence / _PINGS)
            if not self._reading:
                continue  # nobody takes what came: that is no silence of the other side
            # Counted, not timed: after a pause of this whole program, an answer gets its chance to be read.
            if self._unanswered >= _PINGS:
                silent = limit("timeouts.silence", self._silence)
                self._error = self._interrupted(
                    f"no sign of life for {silent}; {more_time('timeouts.silence')}"
                )
                self._abort()
                self._reader.cancel()
                return
            self._unanswered += 1
            try:
                # A ping that cannot leave waits behind what the other side does not take.
                async with asyncio.timeout(self._silence):
                    await self._socket.ping()
            except (aiohttp.ClientError, OSError):
                continue  # the reader finds out

    def _abort(self) -> None:
        connection = self._socket._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._socket._response.close()

    def _interrupted(self, why: str) -> StreamInterrupted:
        return StreamInterrupted(
            f"{self._where['path']}: the WebSocket was interrupted: {why}", **self._where
        )


def _said(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
