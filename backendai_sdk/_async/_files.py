"""Single files of a session: read, list, remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backendai_sdk._async._fetch import Spools, fetch_pieces
from backendai_sdk._async._jobs import explained, run_job
from backendai_sdk._async._listing import find, listing, look_up, tree
from backendai_sdk._async._progress import Meter
from backendai_sdk._disk.unpack import MemorySink
from backendai_sdk._wire.files import download_single_request
from backendai_sdk._wire.job import Job
from backendai_sdk._wire.paths import remote_path
from backendai_sdk.errors import (
    BadRequest,
    FileTransferError,
    InvalidArgument,
    RemoteFileNotFound,
    ServerError,
)
from backendai_sdk.models.file import FileEntry, FilePath

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession

__all__ = ["list_files", "read_file", "remove"]


async def list_files(session: AsyncComputeSession, path: FilePath, *, recursive: bool) -> list[FileEntry]:
    """List a folder; see ``AsyncComputeSession.list_files``."""
    folder = remote_path(path, argument="path")
    async with explained(session):
        if not recursive:
            return await listing(session, folder)
        return sorted(
            [entry async for entry in tree(session, folder, times=True)], key=lambda entry: entry.path
        )


async def read_file(session: AsyncComputeSession, path: FilePath) -> bytes:
    """Read one file; see ``AsyncComputeSession.read_file``."""
    file = remote_path(path, argument="path")
    client = session._client
    async with explained(session):
        try:
            answer = await client.send(download_single_request(session.id, file, await client.server()))
        except (ServerError, BadRequest) as exc:
            # Missing, a folder, a link, or too large: servers tell it in words that differ.
            await session._explain_not_running(exc)
            entry = await look_up(session, file)
            if entry is None:
                raise RemoteFileNotFound(
                    f"there is no file {file!r} in the session", file=file, session_id=session.id
                ) from exc
            if entry.is_dir:
                raise FileTransferError(
                    f"{file!r} is a folder: download() carries it", file=file, session_id=session.id
                ) from exc
            return await _read_pieces(session, file)
    return answer.body


async def _read_pieces(session: AsyncComputeSession, file: str) -> bytes:
    content = bytearray()

    def sink(path: str, offset: int, size: int, digest: str) -> MemorySink:
        content.extend(bytes(max(0, offset + size - len(content))))
        return MemorySink(path=path, target=content, offset=offset, size=size, digest=digest)

    spools = Spools()
    try:
        with Meter(None) as meter:
            await fetch_pieces(session, file, sink, spools, meter)
    finally:
        spools.close()
    return bytes(content)


async def remove(
    session: AsyncComputeSession, paths: FilePath | Sequence[FilePath], *, recursive: bool
) -> None:
    """Remove files; see ``AsyncComputeSession.remove``."""
    async with explained(session):
        found = [entry.path for entry in await find(session, paths, argument="paths")]
        if "." in found:
            raise InvalidArgument("paths: the work folder itself cannot be removed", argument="paths")
        if found:
            job = Job("remove", paths=found, recursive=recursive)
            await run_job(session, job, file=found[0])
