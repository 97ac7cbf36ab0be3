"""What a download carries, and where it goes: files, and folders small enough to come as one tar."""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import attrs

from backendai_sdk._disk.target import check_free
from backendai_sdk._wire.pieces import MAX_TAR, tar_size
from backendai_sdk.errors import FileTransferError, InvalidArgument
from backendai_sdk.models.file import FileEntry

__all__ = ["Item", "Plan"]


class Item(NamedTuple):
    """A file to be carried: its path in the session, what of that was asked for, its size."""

    path: str
    top: str
    size: int


@attrs.define
class Plan:
    """What a download will carry, and where it goes.

    Local paths are made when they are needed: of ten thousand, they would take a megabyte.

    Attributes:
        tops: what was asked for, path by local path; links stay inside it.
        folders: the folders that are carried, and the top of each.
    """

    to: str
    overwrite: bool
    items: list[Item] = attrs.field(factory=list)
    folders: dict[str, str] = attrs.field(factory=dict)
    tops: dict[str, str] = attrs.field(factory=dict)

    def add_top(self, entry: FileEntry) -> None:
        """Plan a file or folder that was asked for: it comes under its own name, the work folder as its content."""
        local = self.to if entry.path == "." else os.path.normpath(os.path.join(self.to, entry.name))
        for path, taken in self.tops.items():
            if taken == local:
                raise InvalidArgument(
                    f"paths: {path!r} and {entry.path!r} would both become {local!r}: download them to different "
                    "folders",
                    argument="paths",
                )
        self.tops[entry.path] = local
        self.add(entry, entry.path)

    def add(self, entry: FileEntry, top: str) -> None:
        """Plan a file or folder in what was asked for.

        Raises:
            FileTransferError: it is neither.
        """
        if entry.is_dir:
            self.folders[entry.path] = top
        elif entry.kind == "other":
            raise FileTransferError(
                f"{entry.path!r} is a device, a pipe or a socket ({entry.mode}): only files, folders and links are "
                "carried",
                file=entry.path,
            )
        else:
            self.items.append(Item(entry.path, top, entry.size))

    def local(self, path: str, top: str) -> str:
        """Where something goes."""
        inside = self.inside(path, top)
        return os.path.join(self.tops[top], *inside.split("/")) if inside != "." else self.tops[top]

    def inside(self, path: str, top: str) -> str:
        """A path as seen from what was asked for."""
        return path if top == "." else posixpath.relpath(path, top)

    def check(self) -> None:
        """Look at the local side before anything is fetched; blocking.

        Raises:
            InvalidArgument: *to* is no folder.
            FileExists: a local file is in the way.
            FileTransferError: something is in the place of a folder, or the other way round.
        """
        if os.path.lexists(self.to) and not os.path.isdir(self.to):
            raise InvalidArgument(f"to: {self.to!r} is not a folder", argument="to")
        for item in self.items:
            check_free(self.local(item.path, item.top), overwrite=self.overwrite)
        for path, top in self.folders.items():
            local = self.local(path, top)
            if os.path.lexists(local) and not os.path.isdir(local):
                raise FileTransferError(f"{local!r} is in the place of the folder {path!r}", file=local)

    def units(self) -> Iterator[Item | str]:
        """Files to be fetched one by one, and folders to be fetched whole."""
        sizes: defaultdict[str, int] = defaultdict(int)
        counts: defaultdict[str, int] = defaultdict(int)
        above = {path: tuple(self._above(path)) for path in self.folders}
        for item in self.items:
            size = tar_size([(item.path, item.size)])
            for folder in above.get(posixpath.dirname(item.path), ()):
                sizes[folder] += size
                counts[folder] += 1
        for folder in self.folders:
            for higher in above[folder]:
                sizes[higher] += tar_size([(folder, 0)])
        whole = {f for f in self.folders if f != "." and counts[f] > 1 and sizes[f] <= MAX_TAR}
        given: set[str] = set()
        for item in self.items:
            found = next((f for f in above.get(posixpath.dirname(item.path), ()) if f in whole), None)
            if found is None:
                yield item
            elif found not in given:
                given.add(found)
                yield found

    def _above(self, folder: str) -> Iterator[str]:
        """A folder and those above it that are carried, the highest first."""
        if folder != self.folders[folder] and (higher := posixpath.dirname(folder) or ".") in self.folders:
            yield from self._above(higher)
        yield folder
