"""The parts of a ``multipart/mixed`` answer, read as they come (PROTOCOL §2.3, download)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from backendai_sdk._transport.mapping import mapped
from backendai_sdk._wire.multipart import BLOCK
from backendai_sdk._wire.request import Request
from backendai_sdk.errors import ProtocolError

__all__ = ["PartReader", "PartStream"]


class PartStream:
    """The parts of one answer, one after the other; each must be read before the next.

    Raises:
        ConnectionLost, RequestTimeout: the answer did not come to its end.
        ProtocolError: it is no multipart message, or parts are nested.
    """

    def __init__(self, answer: aiohttp.ClientResponse, request: Request, timeout: float | None) -> None:
        self._answer = answer
        self._request = request
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[AsyncIterator[bytes]]:
        where = f"{self._request.method} {self._request.path}"
        if not self._answer.content_type.startswith("multipart/"):
            raise ProtocolError(
                f"{where}: the server answers {self._answer.content_type}, not parts",
                method=self._request.method,
                path=self._request.path,
            )
        with self._readable():
            reader = aiohttp.MultipartReader.from_response(self._answer)
        while True:
            with self._readable():
                part = await reader.next()
            if part is None:
                return
            if not isinstance(part, aiohttp.BodyPartReader):
                raise self._unreadable("a part has parts of its own")
            yield self._blocks(part)

    async def _blocks(self, part: aiohttp.BodyPartReader) -> AsyncIterator[bytes]:
        while not part.at_eof():
            with self._readable():
                block = await part.read_chunk(BLOCK)
            if block:
                yield bytes(block)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Around aiohttp's reader, which meets what is malformed with errors of many kinds."""
        try:
            with mapped(self._request, self._timeout):
                yield
        except (ValueError, AssertionError, TypeError, HttpProcessingError) as exc:
            raise self._unreadable(exc) from exc

    def _unreadable(self, why: object) -> ProtocolError:
        method, path = self._request.method, self._request.path
        return ProtocolError(
            f"{method} {path}: the parts of the answer cannot be read: {why}", method=method, path=path
        )


PartReader: TypeAlias = Callable[[PartStream], Awaitable[None]]
"""What takes the parts of an answer; called anew for each attempt."""
