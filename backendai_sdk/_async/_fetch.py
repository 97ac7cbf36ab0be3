"""Fetching what a session holds: paths that fit into an answer, and large files in pieces.

Shared by downloads to disk and into memory; where the content goes is the sinks' affair.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from backendai_sdk._async._jobs import clean, patience, run_job
from backendai_sdk._async._side_by_side import side_by_side
from backendai_sdk._disk.unpack import Sink, Spool, Taken
from backendai_sdk._wire.files import download_request
from backendai_sdk._wire.job import Job, prefix, token
from backendai_sdk._wire.multipart import BLOCK
from backendai_sdk._wire.pieces import PIECE, WINDOW, downloads
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import FileTransferError, ProtocolError

if TYPE_CHECKING:
    from backendai_sdk._async._progress import Meter
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._transport.parts import PartStream

__all__ = ["Spools", "fetch", "fetch_pieces"]

PieceSinks = Callable[[str, int, int, str], Sink]
"""``(path, offset, size, digest)`` to where that piece goes."""


class Spools:
    """Temporary files that are used again: there are as many as requests at once."""

    def __init__(self) -> None:
        self._free: list[Spool] = []
        self._all: list[Spool] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Spool:
        """One that nobody uses; blocking."""
        if self._free:
            return self._free.pop()
        spool = Spool()
        with self._lock:
            self._all.append(spool)
            if self._closed:  # whoever asked for it was cancelled
                spool.close()
        return spool

    def give(self, spool: Spool) -> None:
        """Take it back."""
        self._free.append(spool)

    def close(self) -> None:
        """Remove them all, also one that a thread is about to make."""
        with self._lock:
            self._closed = True
        for spool in self._all:
            spool.close()


async def fetch(session: AsyncComputeSession, sinks: Sequence[Sink], spools: Spools) -> list[Taken]:
    """Fetch the paths of *sinks* in one request.

    Raises:
        ServerError: the server cannot send one of them, so it sends none.
        FileTransferError: what came cannot be taken.
    """
    client = session._client
    request = download_request(
        session.id,
        [sink.path for sink in sinks],
        await client.server(),
        timeout=patience(session, len(sinks) << 20),
    )
    spool = await asyncio.to_thread(spools.take)
    taken: list[Taken] = []

    async def read(parts: PartStream) -> None:
        spool.clear()
        number = 0
        async for part in parts:
            number += 1
            if number > len(sinks):
                break
            # After a broken answer: what was unpacked is not unpacked again.
            known = number <= len(taken)
            sink = sinks[number - 1]
            gathered = bytearray()
            async for block in part:
                if known:
                    continue
                gathered += block
                if len(gathered) >= 2 * BLOCK:  # a hop to a thread has its price
                    await asyncio.to_thread(spool.write, bytes(gathered), path=sink.path)
                    gathered.clear()
            if not known:
                await asyncio.to_thread(spool.write, bytes(gathered), path=sink.path)
                taken.append(await asyncio.to_thread(spool.unpack, sink))
        if number != len(sinks):
            raise ProtocolError(
                f"{request.method} {request.path}: {len(sinks)} files were asked for and {number} came",
                method=request.method,
                path=request.path,
            )

    await client.fetch(request, read)
    spools.give(spool)
    return taken


async def fetch_pieces(
    session: AsyncComputeSession, path: str, sink: PieceSinks, spools: Spools, meter: Meter
) -> int:
    """Have the session cut a large file to pieces, some hundred at a time, and fetch those.

    Returns:
        The file's size.

    Raises:
        FileTransferError: it was changed meanwhile, a piece was damaged, or the session cannot do it.
    """
    mark = token()
    begin = prefix(mark)
    offset, version, drop = 0, None, list[str]()

    async def take(batch: Sequence[Sink]) -> None:
        got = await fetch(session, batch, spools)
        await meter.add(bytes=sum(taken.bytes for taken in got), file=path)

    try:
        while True:
            first = offset // PIECE
            names = [f"{begin}.{first + number:06d}" for number in range(WINDOW)]
            # Its files are called as the pieces are, so that they are removed with them.
            job = Job(
                "split",
                mark=mark,
                source=path,
                offset=offset,
                piece=PIECE,
                names=names,
                version=version,
                drop=drop,
            )
            answer = await run_job(session, job, file=path, size=WINDOW * PIECE, cleans=False)
            pieces, version, size = _split(answer, path)
            sinks = []
            for name, length, digest in pieces:
                sinks.append(sink(name, offset, length, digest))
                offset += length
            await side_by_side(downloads(sinks, lambda piece: piece.path), take)
            drop = names
            if offset >= size or not pieces:
                break
    finally:
        await clean(session, [f"{begin}.*"])
    if offset != size:
        raise FileTransferError(f"{path!r} in the session was changed while it was read", file=path)
    return size


def _split(answer: object, path: str) -> tuple[list[tuple[str, int, str]], object, int]:
    match answer:
        case {"pieces": list(pieces), "version": [int(size), int()] as version}:
            return [(str(name), int(length), str(digest)) for name, length, digest in pieces], version, size
    raise FileTransferError(f"{path!r}: the session's answer cannot be read: {excerpt(answer)}", file=path)
