"""Downloading from a session's work folder (PROTOCOL §2.3, download).

Servers send five paths in one request, each as one tar of 1 MiB at most.  A folder that fits comes as one
path; other files come five at a time, a few requests side by side; a large file is cut to pieces in the
session.  Tars are spooled and unpacked in threads; every file appears whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backendai_sdk._async._fetch import Spools, fetch, fetch_pieces
from backendai_sdk._async._jobs import explained
from backendai_sdk._async._listing import find, look_up, tree
from backendai_sdk._async._progress import Meter
from backendai_sdk._async._side_by_side import side_by_side
from backendai_sdk._disk.plan import Item, Plan
from backendai_sdk._disk.target import Target
from backendai_sdk._disk.unpack import (
    FileSink,
    FolderSink,
    PieceSink,
    Taken,
    check_link,
    make_folder,
    make_link,
)
from backendai_sdk._wire.pieces import PIECE, downloads
from backendai_sdk.errors import RemoteFileNotFound, ServerError
from backendai_sdk.models.file import FilePath, FileTransfer

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.callbacks import TransferCallback

__all__ = ["download"]


async def download(
    session: AsyncComputeSession,
    paths: FilePath | Sequence[FilePath],
    *,
    to: FilePath,
    overwrite: bool,
    progress: bool | TransferCallback | None,
) -> FileTransfer:
    """Download files and folders; see ``AsyncComputeSession.download``."""
    with Meter(progress) as meter:
        async with explained(session):
            plan = await _plan(session, paths, to=os.fspath(to), overwrite=overwrite)
            await asyncio.to_thread(plan.check)
            meter.expect(files=len(plan.items), bytes=sum(item.size for item in plan.items))
            carrier = _Carrier(session, plan, meter)
            try:
                return await carrier.carry()
            finally:
                carrier.close()


async def _plan(
    session: AsyncComputeSession, paths: FilePath | Sequence[FilePath], *, to: str, overwrite: bool
) -> Plan:
    plan = Plan(to, overwrite)
    named = {entry.path: entry for entry in await find(session, paths, argument="paths")}
    for entry in named.values():
        if any(above in named for above in _parents(entry.path)):
            continue  # it comes with a folder that was named too
        plan.add_top(entry)
        if entry.is_dir:
            async for below in tree(session, entry.path):
                plan.add(below, entry.path)
    return plan


def _parents(path: str) -> Iterator[str]:
    while path not in {"", "."}:
        path = posixpath.dirname(path) or "."
        yield path


class _Carrier:
    """Carries out a plan."""

    def __init__(self, session: AsyncComputeSession, plan: Plan, meter: Meter) -> None:
        self._session = session
        self._plan = plan
        self._meter = meter
        self._spools = Spools()
        self._links: list[tuple[str, str, str]] = []
        self._files = self._bytes = 0

    def close(self) -> None:
        """Remove temporary files."""
        self._spools.close()

    async def carry(self) -> FileTransfer:
        """Everything: files and folders that fit, then large files, then links."""
        await asyncio.to_thread(self._make_folders)
        units = (u for u in self._plan.units() if isinstance(u, str) or u.size <= PIECE)
        await side_by_side(downloads(units, _path_of), self._fetch)
        for item in self._plan.items:
            if item.size > PIECE:
                await self._fetch_large(item)
        await asyncio.to_thread(self._make_links)
        return FileTransfer(files=self._files, bytes=self._bytes)

    async def _fetch(self, units: Sequence[Item | str]) -> None:
        sinks = [self._sink(unit) for unit in units]
        try:
            taken = await fetch(self._session, sinks, self._spools)
        except ServerError as exc:
            # One path that an agent cannot send fails its request: the others are asked for without it.
            if len(units) > 1:
                for unit in units:
                    await self._fetch([unit])
            elif isinstance(units[0], str):
                inside = [i for i in self._plan.items if i.path.startswith(f"{units[0]}/")]
                for batch in downloads(inside, _path_of):
                    await self._fetch(batch)
            else:
                await self._fetch_refused(units[0], exc)
            return
        for unit, got in zip(units, taken, strict=True):
            await self._count(unit, got)

    def _sink(self, unit: Item | str) -> FileSink | FolderSink:
        plan = self._plan
        if isinstance(unit, str):
            local = plan.local(unit, plan.folders[unit])
            return FolderSink(path=unit, target=local, overwrite=plan.overwrite)
        return FileSink(path=unit.path, target=plan.local(unit.path, unit.top), overwrite=plan.overwrite)

    async def _count(self, unit: Item | str, got: Taken) -> None:
        plan = self._plan
        path, top = (unit, plan.folders[unit]) if isinstance(unit, str) else (unit.path, unit.top)
        for inside, points_at in got.links:
            if isinstance(unit, Item) and path == top:
                # A link that was asked for by name: what it points at is meant.
                await self._fetch_large(unit)
                return
            link = posixpath.join(path, inside) if isinstance(unit, str) else path
            link = plan.inside(link, top)
            check_link(link, points_at)
            self._links.append((plan.tops[top], link, points_at))
        self._files += got.files
        self._bytes += got.bytes
        await self._meter.add(files=got.files, bytes=got.bytes, file=path)

    async def _fetch_refused(self, item: Item, exc: ServerError) -> None:
        """The server could not send one file: say why, or find another way."""
        await self._session._explain_not_running(exc)
        entry = await look_up(self._session, item.path)
        if entry is None:
            raise RemoteFileNotFound(
                f"{item.path!r} is not in the session any more", file=item.path, session_id=self._session.id
            ) from exc
        if entry.size <= PIECE:
            raise exc
        await self._fetch_large(item)

    async def _fetch_large(self, item: Item) -> None:
        target = Target(self._plan.local(item.path, item.top), overwrite=self._plan.overwrite)
        try:
            await asyncio.to_thread(target.open)

            def sink(path: str, offset: int, size: int, digest: str) -> PieceSink:
                return PieceSink(path=path, target=target, offset=offset, size=size, digest=digest)

            size = await fetch_pieces(self._session, item.path, sink, self._spools, self._meter)
            await asyncio.to_thread(target.commit)
        except BaseException:
            target.discard()
            raise
        self._files += 1
        self._bytes += size
        await self._meter.add(files=1, file=item.path)

    def _make_folders(self) -> None:
        make_folder(self._plan.to)
        for path, top in self._plan.folders.items():
            make_folder(self._plan.local(path, top))

    def _make_links(self) -> None:
        for top, inside, points_at in self._links:
            make_link(top, inside, points_at, overwrite=self._plan.overwrite)


def _path_of(unit: Item | str) -> str:
    return unit if isinstance(unit, str) else unit.path
