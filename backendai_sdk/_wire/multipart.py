"""The body of an upload: a multipart form made block by block, its length known before the first one.

Names are sent as they are, because servers keep what they are sent (PROTOCOL §2.3, upload).  So names must
not hold what ends a quoted string: see :func:`backendai_sdk._wire.paths.upload_name`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backendai_sdk._wire.request import Part

__all__ = ["BLOCK", "Form"]

# Small enough for a handful of transfers at once within 4 MiB, large enough that a hop to a thread is cheap.
BLOCK = 64 * 1024


class Form:
    """A ``multipart/form-data`` body.

    Attributes:
        size: its length in bytes.
    """

    def __init__(self, parts: Sequence[Part], *, boundary: str = "") -> None:
        self._boundary = boundary or secrets.token_hex(16)
        self._parts = [(part, self._head(part.filename)) for part in parts]
        self._end = f"--{self._boundary}--\r\n".encode("ascii")
        self.size = sum(len(head) + part.size + 2 for part, head in self._parts) + len(self._end)

    @property
    def content_type(self) -> str:
        """The header that names the boundary."""
        return f"multipart/form-data; boundary={self._boundary}"

    def blocks(self) -> Iterator[bytes]:
        """The body from its beginning, in blocks of about ``BLOCK`` bytes; reads the files, so it may block."""
        gathered = bytearray()
        for piece in self._pieces():
            if gathered and len(gathered) + len(piece) > BLOCK:
                yield bytes(gathered)
                gathered.clear()
            if len(piece) >= BLOCK:
                yield bytes(piece)
            else:
                gathered += piece
        yield bytes(gathered)

    def _pieces(self) -> Iterator[bytes | memoryview]:
        for part, head in self._parts:
            yield head
            yield from part.blocks()
            yield b"\r\n"
        yield self._end

    def _head(self, filename: str) -> bytes:
        lines = (
            f"--{self._boundary}",
            f'Content-Disposition: form-data; name="src"; filename="{filename}"',
            "Content-Type: application/octet-stream",
            "",
            "",
        )
        return "\r\n".join(lines).encode()
