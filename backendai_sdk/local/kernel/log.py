"""The container log of a session: everything its programs wrote, both streams merged, the oldest forgotten first."""

from __future__ import annotations

from collections import deque

LIMIT = 1024 * 1024
_MAX_CHUNKS = 1024


class Log:
    """Text that grows at its end and is cut at its beginning, so that a chatty program costs constant memory."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[str] = deque()
        self._size = 0

    def write(self, text: str) -> None:
        """Appends text."""
        self._chunks.append(text)
        self._size += len(text)
        while self._size - len(self._chunks[0]) >= self._limit:
            self._size -= len(self._chunks.popleft())
        if len(self._chunks) > _MAX_CHUNKS:
            self._join()

    def __str__(self) -> str:
        """The last characters written, at most the limit."""
        self._join()
        return self._chunks[0][-self._limit :] if self._chunks else ""

    def _join(self) -> None:
        # A million single characters are kept as one text, not as a million objects.
        if len(self._chunks) > 1:
            self._chunks = deque(["".join(self._chunks)])
