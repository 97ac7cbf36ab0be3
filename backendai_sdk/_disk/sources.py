"""Local files that are to be uploaded: found through files, folders and patterns, and checked.

Walked anew for each pass and never kept, so that ten thousand files take no more memory than ten.  Links are
followed; a folder that contains itself through one is refused.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from backendai_sdk._wire.paths import has_magic, many, upload_name
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.file import FilePath

__all__ = ["Source", "Sources"]


class Source(NamedTuple):
    """A local file, the name that it gets in the session, and its size."""

    path: str
    name: str
    size: int


class Sources:
    """What is to be uploaded; iterating looks at the disk again.

    Args:
        paths: files, folders and patterns. What is relative keeps its folders, what is absolute only its name.
        to: the folder in the session, relative to the work folder.
        argument: what the caller calls *paths*.
    """

    def __init__(
        self, paths: FilePath | Sequence[FilePath], *, to: str = ".", argument: str = "paths"
    ) -> None:
        self._paths = many(paths, argument=argument)
        self._to = to
        self._argument = argument

    def __iter__(self) -> Iterator[Source]:
        for path, name in self._roots():
            yield from self._walk(path, name, ())

    def _roots(self) -> Iterator[tuple[str, str]]:
        """Each file or folder that was named, once, with its name in the session."""
        taken: dict[str, str] = {}
        for path in self._named():
            name = self._name(path)
            known = taken.setdefault(name, path)
            if known != path and os.path.realpath(known) != os.path.realpath(path):
                raise InvalidArgument(
                    f"{self._argument}: {known!r} and {path!r} would both become {name!r} in the session: upload "
                    "them one by one, with to=",
                    argument=self._argument,
                )
        for name, path in taken.items():
            above = name
            while above := above.rpartition("/")[0]:
                # A folder that is given too brings what is in it.
                if above in taken and os.path.isdir(taken[above]):
                    break
            else:
                yield path, name

    def _named(self) -> Iterator[str]:
        for given in self._paths:
            text = str(given)
            if os.path.lexists(text):
                yield text
            elif isinstance(given, str) and has_magic(text):
                count = 0
                for path in glob.iglob(text, recursive=True):
                    count += 1
                    yield path
                if not count:
                    raise self._wrong(f"no file matches {text!r}")
            else:
                raise self._wrong(f"there is no file {text!r}")

    def _name(self, path: str) -> str:
        file = PurePath(path)
        inside = file.name if file.is_absolute() else file.as_posix()
        if ".." in PurePath(inside).parts or not PurePath(inside).name:
            if not file.is_absolute() and not PurePath(inside).parts:
                return self._to  # "." is the content of the current folder
            raise self._wrong(
                f"{path!r} leaves the work folder; give a path below the current folder, or an absolute one"
            )
        return self._checked(inside if self._to == "." else f"{self._to}/{inside}")

    def _checked(self, name: str) -> str:
        return upload_name(name, argument=self._argument)

    def _walk(self, path: str, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[Source]:
        try:
            facts = os.stat(path)
        except OSError as exc:
            raise self._wrong(f"{path!r} cannot be read: {exc.strerror or exc}") from exc
        if stat.S_ISREG(facts.st_mode):
            if not os.access(path, os.R_OK):
                raise self._wrong(f"{path!r} may not be read")
            yield Source(path, self._checked(name), facts.st_size)
            return
        if not stat.S_ISDIR(facts.st_mode):
            raise self._wrong(f"{path!r} is not a file or a folder")
        me = (facts.st_dev, facts.st_ino)
        if me in above:
            raise self._wrong(f"{path!r} leads back to a folder that contains it")
        try:
            with os.scandir(path) as listed:
                below = sorted((entry.is_dir(), entry.name) for entry in listed)
        except OSError as exc:
            raise self._wrong(f"{path!r} cannot be read: {exc.strerror or exc}") from exc
        # A folder's own files come first, one after the other: what is checked later goes by folders.
        for _, entry in below:
            inside = entry if name == "." else f"{name}/{entry}"
            yield from self._walk(os.path.join(path, entry), inside, (*above, me))

    def _wrong(self, said: str) -> InvalidArgument:
        return InvalidArgument(f"{self._argument}: {said}", argument=self._argument)
