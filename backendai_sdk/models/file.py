"""Files of a session: what a listing tells of each, and what a transfer came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Literal, TypeAlias

import attrs

__all__ = ["FileEntry", "FilePath", "FileTransfer", "TransferProgress"]

FilePath: TypeAlias = str | PurePath
"""A path as arguments take it: text, or one of :mod:`pathlib`."""

FileKind = Literal["file", "folder", "link", "other"]

_KINDS: Mapping[str, FileKind] = {"-": "file", "d": "folder", "l": "link"}


@attrs.frozen(kw_only=True)
class FileEntry:
    """One file or folder in a session.

    Attributes:
        name: its name in its folder.
        path: relative to the session's work folder, with ``/`` between the parts.
        mode: type and permissions as ``ls -l`` shows them: ``"-rw-r--r--"``.
        size: in bytes.
        mtime: the last change of its content, an aware time; ``None`` if the server does not tell.
        ctime: the last change of its status, likewise.
        atime: the last access, likewise.
    """

    name: str
    path: str
    mode: str = "----------"
    size: int = 0
    mtime: datetime | None = None
    ctime: datetime | None = attrs.field(default=None, repr=False)
    atime: datetime | None = attrs.field(default=None, repr=False)

    @property
    def kind(self) -> FileKind:
        """``"file"``, ``"folder"``, ``"link"`` or ``"other"`` (a device, a pipe, a socket)."""
        return _KINDS.get(self.mode[:1], "other")

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.kind == "folder"

    @property
    def is_file(self) -> bool:
        """Whether it is an ordinary file."""
        return self.kind == "file"


@attrs.frozen(kw_only=True)
class FileTransfer:
    """What an upload or a download came to.

    Attributes:
        files: how many files were carried.
        bytes: how much was in them.
    """

    files: int = 0
    bytes: int = 0


@attrs.frozen(kw_only=True)
class TransferProgress:
    """How far a transfer is.

    Attributes:
        files, bytes: what has arrived.
        total_files, total_bytes: what there is to carry.
        file: one of the files that arrived last.
    """

    files: int
    bytes: int
    total_files: int
    total_bytes: int
    file: str = ""

    @property
    def done(self) -> bool:
        """Whether everything has arrived."""
        return self.files >= self.total_files
