"""A local file that appears whole or not at all: written under another name, renamed when it is complete."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from types import TracebackType
from typing import Self

from backendai_sdk.errors import FileExists, FileTransferError

__all__ = ["Target", "check_free"]


def check_free(path: str, *, overwrite: bool) -> None:
    """Raise if a file may not be put at *path*.

    Raises:
        FileExists: something is there, and *overwrite* is false.
        FileTransferError: a folder is there.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        raise FileTransferError(f"{path!r} is a folder: a file cannot take its place", file=path)
    if not overwrite and os.path.lexists(path):
        raise FileExists(f"{path!r} exists: give overwrite=True to replace it, or another to=", file=path)


class Target:
    """A file being written; leaving the block with an error removes what was written.

    Raises:
        FileTransferError: the disk is full, or the folder cannot be written to.
    """

    def __init__(self, path: str, *, overwrite: bool, mode: int = 0o666) -> None:
        self.path = path
        self._overwrite = overwrite
        self._mode = (mode & 0o777) | 0o600
        folder = os.path.dirname(path) or "."
        # A name of its own, not the file's with something added: that might be too long.
        self._temporary = os.path.join(folder, f".backendai-{secrets.token_hex(6)}.part")
        self._file = -1
        self._lock = threading.Lock()
        self._discarded = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.commit()
        else:
            self.discard()

    def open(self) -> None:
        """Make the temporary file, and the folders that it needs."""
        try:
            os.makedirs(os.path.dirname(self._temporary), exist_ok=True)
            flags = (
                os.O_CREAT
                | os.O_EXCL
                | os.O_WRONLY
                | getattr(os, "O_CLOEXEC", 0)
                | getattr(os, "O_BINARY", 0)
            )
            with self._lock:
                if not self._discarded:  # while a thread was about to open it
                    self._file = os.open(self._temporary, flags, self._mode)
        except OSError as exc:
            raise _unwritable(self.path, exc) from exc

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write at an offset."""
        view = memoryview(data)
        try:
            with self._lock:  # several pieces may arrive at once
                os.lseek(self._file, offset, os.SEEK_SET)
                while view:
                    view = view[os.write(self._file, view) :]
        except OSError as exc:
            raise _unwritable(self.path, exc) from exc

    def commit(self) -> None:
        """Give the file its name."""
        file, self._file = self._file, -1
        try:
            os.close(file)
            check_free(self.path, overwrite=self._overwrite)
            os.replace(self._temporary, self.path)
        except FileTransferError:
            self._remove()
            raise
        except OSError as exc:
            self._remove()
            raise _unwritable(self.path, exc) from exc

    def discard(self) -> None:
        """Close and remove what was written."""
        with self._lock:  # a thread may still write, or be about to open it
            self._discarded = True
            file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)


def _unwritable(path: str, exc: OSError) -> FileTransferError:
    return FileTransferError(
        f"{path!r} cannot be written: {exc.strerror or exc}; what was there before is untouched", file=path
    )
