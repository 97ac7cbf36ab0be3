"""Tars of a session unpacked safely: nothing gets outside its target, and nothing but files, folders and links.

A tar is spooled to a temporary file first (servers send at most 1 MiB of it) and read from there with the
standard library.  Links are made last, so that nothing is ever written through one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Protocol

import attrs

from backendai_sdk._disk.target import Target, check_free
from backendai_sdk._wire.multipart import BLOCK
from backendai_sdk.errors import FileTransferError

__all__ = ["MAX_SPOOL", "FileSink", "FolderSink", "MemorySink", "PieceSink", "Sink", "Spool", "Taken"]

# Servers send at most 1 MiB; some pad the end of a tar.
MAX_SPOOL = (1 << 20) + (64 << 10)


@attrs.frozen
class Taken:
    """What came out of a tar."""

    files: int = 0
    bytes: int = 0
    # Links: their path in the tar's folder, and what they point at.
    links: tuple[tuple[str, str], ...] = ()


class Sink(Protocol):
    """Where the tar of one path in the session goes; ``take()`` may be called again if it failed."""

    @property
    def path(self) -> str: ...

    def take(self, tar: IO[bytes]) -> Taken: ...


class Spool:
    """A temporary file that takes one tar after the other."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._size = 0

    def write(self, data: bytes, *, path: str) -> None:
        """Add to the tar.

        Raises:
            FileTransferError: it is larger than servers send, or the disk is full.
        """
        self._size += len(data)
        if self._size > MAX_SPOOL:
            raise FileTransferError(
                f"{path!r}: the server sends more than the 1 MiB that it may; nothing of it was unpacked",
                file=path,
            )
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as exc:
            raise FileTransferError(
                f"no temporary file can be written in {tempfile.gettempdir()}: {exc.strerror or exc}",
                file=path,
            ) from exc

    def unpack(self, sink: Sink) -> Taken:
        """Give the tar to *sink* and forget it."""
        try:
            self._file.seek(0)
            return sink.take(self._file)
        finally:
            self.clear()

    def clear(self) -> None:
        """Forget what was written."""
        self._size = 0
        with contextlib.suppress(OSError):
            self._file.seek(0)
            self._file.truncate()

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


@attrs.frozen(kw_only=True)
class FileSink:
    """One file, to a local path."""

    path: str
    target: str
    overwrite: bool

    def take(self, tar: IO[bytes]) -> Taken:
        with _opened(tar, self.path) as archive:
            member = _only(archive, self.path)
            if member.issym() or member.islnk():
                return Taken(files=1, links=((posixpath.basename(self.path), member.linkname),))
            _save(archive, member, self.target, overwrite=self.overwrite)
            return Taken(files=1, bytes=member.size)


@attrs.frozen(kw_only=True)
class PieceSink:
    """One piece of a file, to its place in it."""

    path: str
    target: Target
    offset: int
    size: int
    digest: str

    def take(self, tar: IO[bytes]) -> Taken:
        check = hashlib.sha256()
        with _opened(tar, self.path) as archive:
            member = _only(archive, self.path)
            offset = self.offset
            for block in _content(archive, member):
                check.update(block)
                if offset - self.offset + len(block) <= self.size:
                    self.target.write(block, offset)
                offset += len(block)
        if (member.size, check.hexdigest()) != (self.size, self.digest):
            raise FileTransferError(f"a piece of {self.target.path!r} was damaged on its way", file=self.path)
        return Taken(bytes=member.size)


@attrs.frozen(kw_only=True)
class MemorySink:
    """One piece of a file, to its place in memory."""

    path: str
    target: bytearray
    offset: int
    size: int
    digest: str

    def take(self, tar: IO[bytes]) -> Taken:
        with _opened(tar, self.path) as archive:
            member = _only(archive, self.path)
            data = b"".join(_content(archive, member))
        if (len(data), hashlib.sha256(data).hexdigest()) != (self.size, self.digest):
            raise FileTransferError(f"a piece of {self.path!r} was damaged on its way", file=self.path)
        self.target[self.offset : self.offset + self.size] = data
        return Taken(bytes=len(data))


@attrs.frozen(kw_only=True)
class FolderSink:
    """A folder with everything in it, to a local folder."""

    path: str
    target: str
    overwrite: bool

    def take(self, tar: IO[bytes]) -> Taken:
        files = size = 0
        links: list[tuple[str, str]] = []
        with _opened(tar, self.path) as archive:
            for member in archive:
                inside = self._inside(member)
                local = os.path.join(self.target, *inside.split("/")) if inside else self.target
                if member.isdir():
                    make_folder(local)
                elif member.issym():
                    links.append((inside, member.linkname))
                elif member.islnk():
                    links.append((inside, _hard(inside, member)))
                elif member.isreg() and inside:
                    _save(archive, member, local, overwrite=self.overwrite)
                    files, size = files + 1, size + member.size
                else:
                    raise FileTransferError(
                        f"{self.path}/{inside} is a device or a pipe: only files, folders and links are carried",
                        file=f"{self.path}/{inside}",
                    )
        return Taken(files=files + len(links), bytes=size, links=tuple(links))

    def _inside(self, member: tarfile.TarInfo) -> str:
        """The member's path in the folder: the first part of its name is the folder's own."""
        name = posixpath.normpath(member.name)
        parts = name.split("/")
        if name.startswith("/") or ".." in parts:
            raise FileTransferError(
                f"the tar of {self.path!r} holds {member.name!r}, which leads out of its folder: refused",
                file=self.path,
            )
        return "/".join(parts[1:])


def make_folder(path: str) -> None:
    """Make a local folder, and those above it.

    Raises:
        FileTransferError: it cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as exc:
        raise FileTransferError(
            f"the folder {path!r} cannot be made: {exc.strerror or exc}", file=path
        ) from exc


def make_link(root: str, inside: str, points_at: str, *, overwrite: bool) -> None:
    """Make a symbolic link at *inside* in the local folder *root*, if it stays inside.

    Raises:
        FileTransferError: it leads out of *root*.
        FileExists: something is there.
    """
    local = os.path.join(root, *inside.split("/"))
    check_link(inside, points_at)
    check_free(local, overwrite=overwrite)
    try:
        os.makedirs(os.path.dirname(local), exist_ok=True)
        if os.path.lexists(local):
            os.unlink(local)
        os.symlink(points_at, local)
    except OSError as exc:
        raise FileTransferError(
            f"the link {local!r} cannot be made: {exc.strerror or exc}", file=local
        ) from exc
    # Through another link, ".." may lead further than it looks.
    inner = os.path.realpath(root)
    if os.path.commonpath([inner, os.path.realpath(local)]) != inner:
        os.unlink(local)
        raise _leads_out(inside, points_at)


def check_link(inside: str, points_at: str) -> None:
    """Raise if a link at *inside* leads out of the folder that is downloaded.

    Raises:
        FileTransferError: it does.
    """
    there = posixpath.normpath(posixpath.join(posixpath.dirname(inside), points_at))
    if points_at.startswith("/") or there == ".." or there.startswith("../"):
        raise _leads_out(inside, points_at)


def _leads_out(inside: str, points_at: str) -> FileTransferError:
    return FileTransferError(
        f"{inside!r} is a link to {points_at!r}, outside of what is downloaded: leave it out, or download what it "
        "points at",
        file=inside,
    )


def _hard(inside: str, member: tarfile.TarInfo) -> str:
    """A hard link as a symbolic one: its target is named from the tar's root."""
    target = "/".join(posixpath.normpath(member.linkname).split("/")[1:])
    return posixpath.relpath(target or ".", posixpath.dirname(inside) or ".")


@contextlib.contextmanager
def _opened(tar: IO[bytes], path: str) -> Iterator[tarfile.TarFile]:
    try:
        # Never compressed: what is unpacked is no larger than what has come.
        with tarfile.open(fileobj=tar, mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError, UnicodeError) as exc:
        raise FileTransferError(f"what the server sends for {path!r} is not a tar: {exc}", file=path) from exc


def _only(archive: tarfile.TarFile, path: str) -> tarfile.TarInfo:
    member = archive.next()
    if member is None:
        raise FileTransferError(f"the server sends nothing for {path!r}", file=path)
    if not (member.isreg() or member.issym() or member.islnk()):
        what = "a folder" if member.isdir() else "a device or a pipe"
        raise FileTransferError(f"{path!r} is {what}, not a file", file=path)
    return member


def _save(archive: tarfile.TarFile, member: tarfile.TarInfo, local: str, *, overwrite: bool) -> None:
    check_free(local, overwrite=overwrite)
    with Target(local, overwrite=overwrite, mode=member.mode) as target:
        offset = 0
        for block in _content(archive, member):
            target.write(block, offset)
            offset += len(block)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    if member.issparse() or member.size > MAX_SPOOL:
        # A few bytes of tar may stand for terabytes of zeros.
        raise FileTransferError(
            f"the tar says that {member.name!r} has {member.size} bytes, more than it holds: refused",
            file=member.name,
        )
    file = archive.extractfile(member)
    left = member.size
    while file is not None and left:
        block = file.read(min(BLOCK, left))
        if not block:
            raise FileTransferError(f"the tar of {member.name!r} ends too early", file=member.name)
        left -= len(block)
        yield block
