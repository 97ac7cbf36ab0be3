"""The body of an upload as aiohttp takes it: made in a thread, block by block, since it reads files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from backendai_sdk._wire.multipart import Form
from backendai_sdk._wire.request import Part

__all__ = ["FormBody"]


class FormBody:
    """A multipart body for one attempt.

    Attributes:
        error: why it could not be made to its end: aiohttp says only that sending failed.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._form = Form(parts)
        self.error: Exception | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that describe the body; with its length, it is not sent in chunks."""
        return {"Content-Type": self._form.content_type, "Content-Length": str(self._form.size)}

    async def stream(self) -> AsyncIterator[bytes]:
        """The body, block by block."""
        blocks = self._form.blocks()
        try:
            while block := await asyncio.to_thread(next, blocks, b""):
                yield block
        except Exception as exc:
            self.error = exc
            raise
