"""Looking at a session's files: one folder, a whole tree, or what a pattern matches (PROTOCOL §2.3, ls).

Servers list one folder in a request, which takes them up to a second, and tell links from what they point at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from backendai_sdk._async._jobs import run_job
from backendai_sdk._async._side_by_side import side_by_side
from backendai_sdk._log import logger
from backendai_sdk._wire.files import entries, list_request, packed_entries
from backendai_sdk._wire.job import Job
from backendai_sdk._wire.paths import has_magic, many, matches, path_matches, remote_path
from backendai_sdk.errors import ExecutionTimeout, FileTransferError, RemoteFileNotFound
from backendai_sdk.models.file import FileEntry, FilePath

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession

__all__ = ["find", "listing", "listings", "look_up", "names_in", "tree"]

log = logger("files")

# So many folders are listed by a request each; more by one run in the session, if nothing runs there.
_FEW = 8


async def listing(session: AsyncComputeSession, folder: str) -> list[FileEntry]:
    """What is in a folder, by name.

    Raises:
        RemoteFileNotFound: there is no such folder.
        FileTransferError: it is a file.
    """
    answer = await session._client.json(list_request(session.id, folder))
    return sorted(entries(answer, folder, session_id=session.id), key=lambda entry: entry.name)


async def names_in(session: AsyncComputeSession, folder: str) -> frozenset[str]:
    """The names in a folder; none if it is not there."""
    return frozenset(entry.name for entry in await _listing_if_any(session, folder))


async def _listing_if_any(session: AsyncComputeSession, folder: str) -> list[FileEntry]:
    """What is in a folder; nothing if it is not there, or no folder."""
    try:
        return await listing(session, folder)
    except FileTransferError as exc:
        if isinstance(exc, RemoteFileNotFound) or isinstance(exc.__cause__, NotADirectoryError):
            return []
        raise


async def look_up(session: AsyncComputeSession, path: str) -> FileEntry | None:
    """One file or folder, ``None`` if it is not there."""
    if path == ".":
        return FileEntry(name=".", path=".", mode="drwxr-xr-x")
    folder, _, name = path.rpartition("/")
    found = await _listing_if_any(session, folder or ".")
    return next((entry for entry in found if entry.name == name), None)


async def tree(session: AsyncComputeSession, top: str, *, times: bool = False) -> AsyncIterator[FileEntry]:
    """Everything below a folder, folders before what is in them; links are told as links and not followed.

    Args:
        times: whether they matter: a list without them is much shorter.
    """
    level = [top]
    while level:
        folders, level = level, []
        if len(folders) > _FEW:
            # A request for each takes as long as starting Python in the session; one run does it for all.
            packed = await _look(session, folders, recursive=True, times=times)
            if packed is not None:
                for entry in packed:
                    yield entry
                return
        async for entry in _one_by_one(session, folders):
            yield entry
            if entry.is_dir:
                level.append(entry.path)


async def listings(session: AsyncComputeSession, folders: Sequence[str]) -> AsyncIterator[FileEntry]:
    """What is in some folders; nothing of those that are not there."""
    packed = None
    if len(folders) > _FEW:
        packed = await _look(session, folders, recursive=False, times=False)
    if packed is not None:
        for entry in packed:
            yield entry
        return
    async for entry in _one_by_one(session, folders):
        yield entry


async def _one_by_one(session: AsyncComputeSession, folders: Sequence[str]) -> AsyncIterator[FileEntry]:
    found: list[list[FileEntry]] = []

    async def look(folder: str) -> None:
        found.append(await _listing_if_any(session, folder))

    await side_by_side(folders, look)
    for rows in found:
        for row in rows:
            yield row


async def _look(
    session: AsyncComputeSession, folders: Sequence[str], *, recursive: bool, times: bool
) -> Iterator[FileEntry] | None:
    """Many folders by one run in the session; ``None`` if something runs there, or the image cannot."""
    if session._run_lock.locked():
        return None
    try:
        answer = await run_job(
            session,
            Job("look", folders=list(folders), recursive=recursive, times=times),
            file=folders[0],
        )
    except (FileTransferError, ExecutionTimeout) as exc:
        log.debug("folders of %s are listed one by one: %s", session.name, exc)
        return None
    return packed_entries(answer, file=folders[0])


async def find(
    session: AsyncComputeSession, paths: FilePath | Sequence[FilePath], *, argument: str
) -> list[FileEntry]:
    """The files and folders that paths and patterns name, each once.

    Raises:
        InvalidArgument: a path leaves the work folder.
        RemoteFileNotFound: one is not there, or nothing matches.
    """
    clean = [
        (remote_path(path, argument=argument), isinstance(path, str))
        for path in many(paths, argument=argument)
    ]
    found: dict[str, FileEntry] = {}
    for path, may_be_pattern in clean:
        entry = await look_up(session, path)
        if entry is not None:
            found[entry.path] = entry
            continue
        matched = 0
        if may_be_pattern and has_magic(path):
            async for entry in _matching(session, ".", path.split("/")):
                found[entry.path] = entry
                matched += 1
        if not matched:
            what = "no file matches" if has_magic(path) else "there is no file"
            raise RemoteFileNotFound(
                f"{what} {path!r} in the session", file=path, session_id=session.id, session_name=session.name
            )
    return list(found.values())


async def _matching(
    session: AsyncComputeSession, folder: str, pattern: Sequence[str]
) -> AsyncIterator[FileEntry]:
    part, *rest = pattern
    if part == "**":
        above = 0 if folder == "." else folder.count("/") + 1
        async for entry in tree(session, folder):
            if path_matches(entry.path.split("/")[above:], pattern):
                yield entry
        return
    for row in await _listing_if_any(session, folder):
        if matches(row.name, part):
            if not rest:
                yield row
            elif row.is_dir:
                async for entry in _matching(session, row.path, rest):
                    yield entry
