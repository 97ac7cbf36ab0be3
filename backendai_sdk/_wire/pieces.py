"""How files are cut to what servers carry (PROTOCOL §2.3): the limits, and the plans that keep them.

An upload takes 20 parts of less than 1 MiB; a download five paths, each as one tar of 1 MiB at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote

from backendai_sdk._wire.paths import MAX_QUERY

__all__ = ["MAX_UPLOAD", "PIECE", "WINDOW", "batches", "downloads", "piece_sizes", "tar_size"]

T = TypeVar("T")

# The largest file that goes up whole.
MAX_UPLOAD = (1 << 20) - 1
# A piece of a larger file: with its tar header, the tar's end and some room it is below 1 MiB.
PIECE = (1 << 20) - 4096
# How many pieces of a file lie in the session at once.
WINDOW = 256
MAX_PARTS = 20
MAX_PATHS = 5
# Of an upload request: a request that fails is sent again as a whole.
MAX_BYTES = 8 << 20
# A folder comes as one tar if it is likely to be below 1 MiB.
MAX_TAR = (1 << 20) - (48 << 10)
_BLOCK = 512


def piece_sizes(size: int, piece: int = PIECE) -> Iterator[tuple[int, int]]:
    """Offset and length of each piece of a file."""
    for offset in range(0, size, piece):
        yield offset, min(piece, size - offset)


def batches(
    items: Iterable[T], size: Callable[[T], int], *, most: int = MAX_PARTS, most_bytes: int = MAX_BYTES
) -> Iterator[list[T]]:
    """Full batches of *items*, in order: at most *most* in each, and *most_bytes* unless one alone is larger."""
    batch: list[T] = []
    total = 0
    for item in items:
        length = size(item)
        if batch and (len(batch) == most or total + length > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += length
    if batch:
        yield batch


def downloads(items: Iterable[T], path: Callable[[T], str]) -> Iterator[list[T]]:
    """Batches of paths for one download request each: five, or as many as a request line holds."""
    return batches(items, lambda item: len(quote(path(item))) + 7, most=MAX_PATHS, most_bytes=MAX_QUERY)


def tar_size(sizes: Sequence[tuple[str, int]]) -> int:
    """At most how large the tar of a folder is, given the paths in it and their sizes."""
    # A long name, or one that is not ASCII, has records of its own.
    return 2 * _BLOCK + sum(
        _BLOCK + -(-size // _BLOCK) * _BLOCK + (0 if len(name) < 100 and name.isascii() else 4 * _BLOCK)
        for name, size in sizes
    )
