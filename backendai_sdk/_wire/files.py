"""Requests about a session's files, as every release reads them, and their answers (PROTOCOL §2.3).

Parameters are sent in the query *and* in the body: older servers read the body, newer ones the query only.
Downloads are GET before 24.03 and POST from then on.
"""

from __future__ import annotations

import base64
import json
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from backendai_sdk._wire.request import Part, Request, path
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import FileTransferError, RemoteFileNotFound, WireError
from backendai_sdk.models.file import FileEntry
from backendai_sdk.models.server import ServerInfo

__all__ = [
    "download_request",
    "download_single_request",
    "entries",
    "list_request",
    "packed_entries",
    "upload_request",
]


def upload_request(session_id: str, parts: Sequence[Part], *, timeout: float | None) -> Request:
    """Store *parts*; repeating it stores the same again."""
    return Request(
        method="POST",
        path=path("/session/{}/upload", session_id),
        files=tuple(parts),
        idempotent=True,
        timeout=timeout,
    )


def download_request(
    session_id: str, files: Sequence[str], server: ServerInfo, *, timeout: float | None
) -> Request:
    """Ask for a tar of each path."""
    return Request(
        method=_download_method(server),
        path=path("/session/{}/download", session_id),
        params={"files": list(files)},
        json={"files": list(files)},
        idempotent=True,
        timeout=timeout,
        accept="multipart/mixed, application/json",
    )


def download_single_request(session_id: str, file: str, server: ServerInfo) -> Request:
    """Ask for the bytes of one file."""
    return Request(
        method=_download_method(server),
        path=path("/session/{}/download_single", session_id),
        params={"file": file},
        json={"file": file},
        idempotent=True,
        accept="*/*",
    )


def list_request(session_id: str, folder: str) -> Request:
    """Ask for what is in a folder."""
    return Request(
        method="GET",
        path=path("/session/{}/files", session_id),
        params={"path": folder},
        json={"path": folder},
        idempotent=True,
    )


def _download_method(server: ServerInfo) -> Literal["GET", "POST"]:
    return "POST" if server.release >= (24, 3, 0) else "GET"


def entries(answer: object, folder: str, *, session_id: str = "") -> Iterator[FileEntry]:
    """Read what a server tells of a folder; rows in its order, which is none.

    Raises:
        RemoteFileNotFound: there is no such folder.
        FileTransferError: it is a file, or the agent could not read it.
        WireError: the answer is none.
    """
    match answer:
        case {"files": str(text), "errors": str(errors)} if text.strip() or not errors.strip():
            rows = _rows(text)
        case {"errors": str(errors)}:
            error = _not_listed(folder, errors, session_id)
            raise error from error.__cause__
        case _:
            raise WireError(f"the answer has no files: {excerpt(answer)}")
    for row in rows:
        yield _entry(row, folder)


def _rows(text: str) -> Iterator[object]:
    """The rows of a list one by one: of ten thousand, all at once would take megabytes."""
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    if at == len(text):
        return
    try:
        if text[at] != "[":
            raise ValueError("it begins with something else")
        at = _skip(text, at + 1)
        while text[at] != "]":
            row, at = decoder.raw_decode(text, at)
            yield row
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
    except (ValueError, IndexError, RecursionError):
        raise WireError(f"the list of files is not a JSON list: {text[:200]}") from None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def packed_entries(answer: object, *, file: str) -> Iterator[FileEntry]:
    """Read what the program in the session tells of many folders, row by row.

    Raises:
        WireError: it cannot be read.
    """
    try:
        match answer:
            case {"rows": str(packed)}:
                for line in _unpacked(base64.b64decode(packed)):
                    path, *facts = json.loads(line)
                    folder, _, name = path.rpartition("/")
                    named = dict(zip(("mode", "size", "mtime", "ctime", "atime"), facts, strict=False))
                    yield _entry({"filename": name, **named}, folder or ".")
                return
    except (ValueError, TypeError, AttributeError, zlib.error):
        pass
    raise WireError(f"the session's list of {file!r} cannot be read")


def _unpacked(packed: bytes) -> Iterator[bytes]:
    """Lines, some at a time."""
    unpacker = zlib.decompressobj()
    rest = b""
    while packed and not unpacker.eof:
        *lines, rest = (rest + unpacker.decompress(packed, 1 << 16)).split(b"\n")
        packed = unpacker.unconsumed_tail
        yield from lines
    if rest or not unpacker.eof:
        raise ValueError("it was cut")


def _entry(row: object, folder: str) -> FileEntry:
    match row:
        case {"filename": str(name), **facts} if name:
            if "/" in name or "\0" in name or name in {".", ".."}:
                raise WireError(f"{name!r} is no name of a file")
            size = facts.get("size")
            return FileEntry(
                name=name,
                path=name if folder == "." else posixpath.join(folder, name),
                mode=str(facts.get("mode") or "----------"),
                size=size if isinstance(size, int) else 0,
                mtime=_time(facts.get("mtime")),
                ctime=_time(facts.get("ctime")),
                atime=_time(facts.get("atime")),
            )
    raise WireError(f"a row of the list of files has no name: {excerpt(row)}")


def _time(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _not_listed(folder: str, errors: str, session_id: str) -> FileTransferError:
    said = (errors.strip().splitlines() or [""])[-1]
    if said.startswith("FileNotFoundError"):
        return RemoteFileNotFound(
            f"there is no folder {folder!r} in the session", file=folder, session_id=session_id
        )
    if said.startswith("NotADirectoryError"):
        error = FileTransferError(f"{folder!r} is not a folder", file=folder, session_id=session_id)
        error.__cause__ = NotADirectoryError(said)
        return error
    return FileTransferError(f"{folder!r} cannot be listed: {said}", file=folder, session_id=session_id)
