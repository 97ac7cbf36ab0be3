"""One attempt of one request over aiohttp.

Assumes that the caller has made the headers, and that the URL is encoded: it goes onto the wire byte by byte
as it was signed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import aiohttp
from yarl import URL

from backendai_sdk._transport.body import FormBody
from backendai_sdk._transport.mapping import Where, mapped, said
from backendai_sdk._transport.parts import PartReader, PartStream
from backendai_sdk._transport.websocket import Refused, Upgraded, upgrade, upgrading_session
from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk._wire.multipart import BLOCK
from backendai_sdk._wire.request import Request, Response
from backendai_sdk.config import Config
from backendai_sdk.errors import ProtocolError, StreamInterrupted, TransportError

__all__ = ["ByteStream", "Connection"]

# A complete answer larger than this is refused; larger things come as streams.
MAX_BODY = 64 * 2**20


class Connection:
    """The pool of connections of one client session, bound to the event loop and the process that made it."""

    def __init__(self, config: Config) -> None:
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self._timeouts = config.timeouts
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the gate bounds what is under way
                # Below the servers' 30 s, so that a connection is not reused while its server closes it.
                keepalive_timeout=20,
                ssl=True if config.verify_ssl else _unverified(),
            ),
            # A web server's sign-in cookie; also for an address without a name, as 127.0.0.1.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            auto_decompress=True,
        )
        # aiohttp would send some requests again by itself: with the old date, uncounted, whatever the retry policy.
        self._http._retry_connection = False
        self._upgrading: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def forget_cookies(self) -> None:
        """Forget a sign-in that the server does not accept any more."""
        self._http.cookie_jar.clear()

    async def send(
        self, request: Request, url: str, headers: Mapping[str, str], *, timeout: float | None
    ) -> Response:
        """Send *request* once and read the whole answer, whatever its status.

        Raises:
            TransportError: one of its subclasses, by whether the server can have acted on the request.
        """
        form = FormBody(request.files) if request.files else None
        try:
            with mapped(request, timeout):
                answer = await self._http.request(
                    request.method,
                    URL(url, encoded=True),
                    data=request.encoded if form is None else form.stream(),
                    headers=headers if form is None else {**headers, **form.headers},
                    skip_auto_headers=("Content-Type",) if request.json is None and form is None else None,
                    allow_redirects=False,
                    timeout=_limits(timeout, self._timeouts.connect),
                )
                if form is None and answer.content.is_eof():
                    # All of it came with its headers, as most answers do: the connection is free again already.
                    body = answer.content.read_nowait()
                else:
                    async with answer:
                        body = await _read(answer, request)
        except TransportError:
            if form is not None and form.error is not None:
                raise form.error from form.error.__cause__
            raise
        return Response(status=answer.status, headers=answer.headers, body=body, endpoint=_origin(url))

    async def fetch(
        self,
        request: Request,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout: float | None,
        read: PartReader,
    ) -> Response:
        """Send *request* once; *read* takes the parts of a successful answer as they come.

        Raises:
            TransportError: as :meth:`send`; whatever *read* raises.
        """
        with mapped(request, timeout):
            answer = await self._http.request(
                request.method,
                URL(url, encoded=True),
                data=request.encoded,
                headers=headers,
                allow_redirects=False,
                timeout=_limits(timeout, self._timeouts.connect),
                read_bufsize=BLOCK // 2,  # of each of several answers at once
            )
        async with answer:
            body = b""
            if answer.status == 200:
                await read(PartStream(answer, request, timeout))
            else:
                with mapped(request, timeout):
                    body = await _read(answer, request)
            return Response(status=answer.status, headers=answer.headers, body=body, endpoint=_origin(url))

    async def upgrade(
        self, request: Request, url: str, headers: Mapping[str, str], *, timeout: float | None
    ) -> Response:
        """Ask once for a WebSocket: an ``Upgraded`` with the open one in it, or the answer that refuses it.

        Raises:
            TransportError: as :meth:`send`.
        """
        if self._upgrading is None:
            self._upgrading = upgrading_session(self._http, connect=self._timeouts.connect)
        with mapped(request, timeout):
            try:
                socket = await upgrade(
                    self._upgrading, request, url, headers, timeout=timeout, silence=self._timeouts.silence
                )
            except Refused as answer:
                return Response(
                    status=answer.status, headers=answer.headers, body=answer.body, endpoint=_origin(url)
                )
        return Upgraded(status=101, headers={}, body=b"", endpoint=_origin(url), socket=socket)

    @asynccontextmanager
    async def stream(
        self, request: Request, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[Response, ByteStream]]:
        """Send *request* once; the body is read piece by piece. For an error status, the body is in the response."""
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.silence
        )
        with mapped(request, self._timeouts.silence, option="timeouts.silence"):
            answer = await self._http.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                timeout=limits,
            )
        async with answer:
            body = b""
            if answer.status != 200:
                with mapped(request, self._timeouts.silence, option="timeouts.silence"):
                    body = await _read(answer, request)
            response = Response(
                status=answer.status, headers=answer.headers, body=body, endpoint=_origin(url)
            )
            yield response, ByteStream(answer, request, self._timeouts.silence)


class ByteStream:
    """The body of an answer, piece by piece; its end is the server's."""

    def __init__(self, answer: aiohttp.ClientResponse, request: Request, silence: float | None) -> None:
        self._answer = answer
        self._request = request
        self._silence = silence

    async def __aiter__(self) -> AsyncIterator[bytes]:
        where = Where(method=self._request.method, path=self._request.path)
        content = self._answer.content
        try:
            while True:
                if not (chunk := content.read_nowait()):  # what is here already needs no time limit
                    # Besides aiohttp's own limit, which it takes away when it meets chunks that are no HTTP.
                    async with asyncio.timeout(self._silence):
                        chunk = await content.readany()
                if not chunk:
                    return
                yield chunk
        except TimeoutError:
            raise StreamInterrupted(
                f"{self._request.method} {self._request.path}: no sign of life for "
                f"{limit('timeouts.silence', self._silence)}; {more_time('timeouts.silence')}",
                **where,
            ) from None
        except (aiohttp.ClientError, OSError) as exc:
            raise StreamInterrupted(
                f"{self._request.method} {self._request.path}: the stream was cut: {said(exc)}", **where
            ) from exc


@lru_cache(maxsize=16)
def _limits(total: float | None, connect: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=connect)


async def _read(answer: aiohttp.ClientResponse, request: Request) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise ProtocolError(
                f"{request.method} {request.path}: the answer is larger than {MAX_BODY >> 20} MiB",
                status=answer.status,
                method=request.method,
                path=request.path,
            )
    return bytes(body)


@lru_cache(maxsize=16)
def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
