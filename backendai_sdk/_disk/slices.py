"""A stretch of a local file as a part of an upload: read anew for each attempt, watched for changes, hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import attrs

from backendai_sdk._wire.multipart import BLOCK
from backendai_sdk._wire.request import FilePart
from backendai_sdk.errors import FileTransferError

__all__ = ["BytesSlice", "FileSlice", "Slice", "identity"]

Identity = tuple[int, int, int, int]


def identity(path: str) -> Identity:
    """What tells that a file is the same as before: where it is, its size, its time.

    Raises:
        FileTransferError: it cannot be read any more.
    """
    try:
        return _identity(os.stat(path))
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _identity(facts: os.stat_result) -> Identity:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


@attrs.define(kw_only=True)
class FileSlice:
    """Some bytes of a file.

    Attributes:
        filename: what the part is called.
        size: how many bytes.
        digest: the SHA-256 of what was read last, in hexadecimal.
    """

    filename: str
    path: str
    offset: int = 0
    size: int
    before: Identity | None = None
    digest: str = ""

    def blocks(self) -> Iterator[bytes]:
        """Read it, block by block.

        Raises:
            FileTransferError: it cannot be read, or was changed since it was looked at.
        """
        check = hashlib.sha256()
        left = self.size
        try:
            with open(self.path, "rb", buffering=0) as file:
                facts = os.fstat(file.fileno())
                self._same(facts, self.before or _identity(facts))
                file.seek(self.offset)
                while left:
                    block = file.read(min(BLOCK, left))
                    if not block:
                        break
                    left -= len(block)
                    check.update(block)
                    yield block
                self._same(os.fstat(file.fileno()), _identity(facts))
        except OSError as exc:
            raise _unreadable(self.path, exc) from exc
        if left:
            raise _changed(self.path)
        self.digest = check.hexdigest()

    def _same(self, facts: os.stat_result, before: Identity) -> None:
        whole = self.before is None and facts.st_size != self.size
        if _identity(facts) != before or whole:
            raise _changed(self.path)


@attrs.frozen(kw_only=True)
class BytesSlice(FilePart):
    """Some bytes of memory; ``digest`` is their SHA-256."""

    @property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


Slice = FileSlice | BytesSlice


def _changed(path: str) -> FileTransferError:
    return FileTransferError(
        f"{path!r} was changed while it was read: upload it again when it is complete", file=path
    )


def _unreadable(path: str, exc: OSError) -> FileTransferError:
    return FileTransferError(f"{path!r} cannot be read: {exc.strerror or exc}", file=path)
