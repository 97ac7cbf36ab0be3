"""Uploading into a session's work folder (PROTOCOL §2.3, upload).

Servers take 20 files of less than 1 MiB in one request, and keep names as they are sent.  Small files go in
full batches, a few requests side by side; a large one goes in pieces that are put together and checked in
the session.  Everything is checked before the first byte goes out, and read block by block as it goes.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from backendai_sdk._async._jobs import clean, explained, patience, run_job
from backendai_sdk._async._listing import listings, look_up, names_in
from backendai_sdk._async._progress import Meter
from backendai_sdk._async._side_by_side import side_by_side
from backendai_sdk._disk.slices import BytesSlice, FileSlice, Slice, identity
from backendai_sdk._disk.sources import Source, Sources
from backendai_sdk._wire.files import upload_request
from backendai_sdk._wire.job import Job, prefix, token
from backendai_sdk._wire.paths import remote_path, upload_name
from backendai_sdk._wire.pieces import MAX_UPLOAD, WINDOW, batches, piece_sizes
from backendai_sdk._wire.versions import tells_upload_failures
from backendai_sdk.errors import FileExists, FileTransferError, InvalidArgument
from backendai_sdk.models.file import FilePath, FileTransfer

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.callbacks import TransferCallback

__all__ = ["check_files", "upload", "write_file"]

# How many files are looked at together, when they have arrived.
_STRETCH = 2000

CutOut = Callable[[str, int, int], Slice]
"""``(name, offset, size)`` to the piece of a file."""


@attrs.define
class _Survey:
    """What an upload will carry."""

    files: int = 0
    bytes: int = 0
    large: list[Source] = attrs.field(factory=list)


async def check_files(files: FilePath | Sequence[FilePath]) -> None:
    """Check local files before anything is sent.

    Raises:
        InvalidArgument: a file is missing, cannot be read, or has a name that servers do not take.
    """
    await asyncio.to_thread(_survey, Sources(files, argument="files"))


async def upload(
    session: AsyncComputeSession,
    paths: FilePath | Sequence[FilePath],
    *,
    to: FilePath,
    overwrite: bool,
    progress: bool | TransferCallback | None,
) -> FileTransfer:
    """Upload files and folders; see ``AsyncComputeSession.upload``."""
    sources = Sources(paths, to=upload_name(to, argument="to"))
    survey = await asyncio.to_thread(_survey, sources)

    async def send(batch: list[Source]) -> None:
        parts = [FileSlice(filename=name, path=path, size=size) for path, name, size in batch]
        await _send(session, parts)
        await meter.add(files=len(batch), bytes=sum(s.size for s in batch), file=batch[-1].path)

    with Meter(progress) as meter:
        meter.expect(files=survey.files, bytes=survey.bytes)
        async with explained(session):
            if not overwrite:
                await _refuse_existing(session, sources)
            # Large ones first: folders that they need are then made by the session, which may write into them.
            for source in survey.large:
                before = await asyncio.to_thread(identity, source.path)
                if before[2] != source.size:
                    raise FileTransferError(
                        f"{source.path!r} was changed while it was uploaded", file=source.path
                    )

                def cut(
                    name: str,
                    offset: int,
                    size: int,
                    source: Source = source,
                    before: tuple[int, ...] = before,
                ) -> Slice:
                    return FileSlice(
                        filename=name,
                        path=source.path,
                        offset=offset,
                        size=size,
                        before=before,  # type: ignore[arg-type]
                    )

                await _send_pieces(session, cut, source.name, source.size, overwrite=overwrite, meter=meter)
                await meter.add(files=1, file=source.path)
            small = (source for source in sources if source.size <= MAX_UPLOAD)
            await side_by_side(batches(small, lambda source: source.size), send)
            await _verify(session, ((s.name, s.size) for s in sources if s.size <= MAX_UPLOAD))
    return FileTransfer(files=survey.files, bytes=survey.bytes)


async def write_file(
    session: AsyncComputeSession,
    path: FilePath,
    data: bytes | bytearray | memoryview | str,
    *,
    overwrite: bool,
) -> None:
    """Write one file; see ``AsyncComputeSession.write_file``."""
    name = upload_name(path, argument="path")
    if name == ".":
        raise InvalidArgument("path: the work folder is not a file", argument="path")
    if not isinstance(data, bytes | bytearray | memoryview | str):
        raise InvalidArgument(f"data: {type(data).__name__} is neither bytes nor text", argument="data")
    view = memoryview(data.encode() if isinstance(data, str) else data).cast("B")
    async with explained(session):
        if not overwrite and posixpath.basename(name) in await names_in(
            session, posixpath.dirname(name) or "."
        ):
            raise FileExists(f"{name!r} exists in the session: give overwrite=True to replace it", file=name)
        if len(view) <= MAX_UPLOAD:
            await _send(session, [BytesSlice(filename=name, data=view)])
            await _verify(session, [(name, len(view))])
        else:
            with Meter(None) as meter:
                await _send_pieces(
                    session,
                    lambda piece, offset, size: BytesSlice(filename=piece, data=view[offset : offset + size]),
                    name,
                    len(view),
                    overwrite=overwrite,
                    meter=meter,
                )


def _survey(sources: Sources) -> _Survey:
    survey = _Survey()
    for source in sources:
        survey.files += 1
        survey.bytes += source.size
        if source.size > MAX_UPLOAD:
            survey.large.append(source)
    return survey


async def _send(session: AsyncComputeSession, parts: Sequence[Slice]) -> None:
    timeout = patience(session, sum(part.size for part in parts))
    await session._client.send(upload_request(session.id, parts, timeout=timeout))


async def _verify(session: AsyncComputeSession, files: Iterable[tuple[str, int]]) -> None:
    """Look whether files have arrived: newer servers say that all is well even if an agent could not store one.

    Raises:
        FileTransferError: one has not.
    """
    if tells_upload_failures(await session._client.server()):
        return
    for stretch in _stretches(files):
        wanted = {name: size for folder in stretch.values() for name, size in folder.items()}
        async for entry in listings(session, list(stretch)):
            if wanted.get(entry.path) == entry.size and not entry.is_dir:
                del wanted[entry.path]
        # A link is told with its own size.
        for name, size in wanted.items():
            await _explain_missing(session, name, size)


def _stretches(files: Iterable[tuple[str, int]]) -> Iterator[dict[str, dict[str, int]]]:
    """Names and sizes by folder, some at a time."""
    stretch: dict[str, dict[str, int]] = {}
    count = 0
    for name, size in files:
        folder = posixpath.dirname(name) or "."
        if count >= _STRETCH and folder not in stretch:
            yield stretch
            stretch, count = {}, 0
        stretch.setdefault(folder, {})[name] = size
        count += 1
    if stretch:
        yield stretch


async def _explain_missing(session: AsyncComputeSession, name: str, size: int) -> None:
    entry = await look_up(session, name)
    if entry is not None and entry.kind == "link":
        return
    if entry is None:
        why = "it is not there: is a file in the place of a folder above it, or the session's disk full?"
    elif entry.is_dir:
        why = "a folder has that name"
    else:
        why = f"{entry.size} of {size} bytes are there: is the session's disk full, or did something else write it?"
    raise FileTransferError(
        f"{name!r} did not arrive in the session, although the server said so: {why}",
        file=name,
        session_id=session.id,
        session_name=session.name,
        status=session.status,
    )


async def _refuse_existing(session: AsyncComputeSession, sources: Sources) -> None:
    """Raise if a file is there already."""
    known: dict[str, frozenset[str]] = {}
    for source in await asyncio.to_thread(list, sources):
        folder, _, name = remote_path(source.name, argument="to").rpartition("/")
        folder = folder or "."
        if folder not in known:
            known[folder] = await names_in(session, folder)
        if name in known[folder]:
            raise FileExists(
                f"{source.name!r} exists in the session: leave out overwrite=False to replace it",
                file=source.name,
            )


async def _send_pieces(
    session: AsyncComputeSession, cut: CutOut, target: str, size: int, *, overwrite: bool, meter: Meter
) -> None:
    """Carry one large file in pieces, and have the session put them together."""
    mark = token()
    begin = prefix(mark)
    temporary = posixpath.join(posixpath.dirname(target), f"{begin}.whole")
    place = {"target": target, "temporary": temporary, "size": size, "overwrite": overwrite}

    async def do(task: str, *, bytes: int = 0, **more: object) -> None:
        # Its files are called as the pieces are, so that they are removed with them.
        await run_job(session, Job(task, mark=mark, **place, **more), file=target, size=bytes, cleans=False)

    async def send(batch: list[Slice]) -> None:
        await _send(session, batch)
        await meter.add(bytes=sum(piece.size for piece in batch), file=target)

    def pieces() -> Iterator[Slice]:
        for number, (offset, length) in enumerate(piece_sizes(size)):
            yield cut(f"{begin}.{number:06d}", offset, length)

    prepared = False
    try:
        await do("prepare")
        prepared = True
        left, offset = pieces(), 0
        while window := list(islice(left, WINDOW)):
            await side_by_side(batches(window, lambda piece: piece.size), send)
            length = sum(piece.size for piece in window)
            sums = await asyncio.to_thread(lambda: [[p.filename, p.size, p.digest] for p in window])
            last = offset + length == size
            await do("join", bytes=length, pieces=sums, offset=offset, last=last)
            offset += length
    except BaseException as exc:
        if prepared or not isinstance(exc, FileTransferError):  # a refusal leaves nothing
            await clean(session, [temporary, f"{begin}.*"])
        raise
