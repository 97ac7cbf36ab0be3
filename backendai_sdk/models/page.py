"""One page of a listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

import attrs

from backendai_sdk.models._html import rows_table

__all__ = ["Page"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Page(Sequence[T], Generic[T]):
    """Some rows of a listing, and how many there are in all.

    Attributes:
        items: the rows of this page.
        total_count: the number of rows that match, on all pages, as the server counted them for this page.
        offset: how many rows come before this page.
    """

    items: tuple[T, ...]
    total_count: int
    offset: int = 0

    @property
    def is_last(self) -> bool:
        """Whether no rows come after this page."""
        return not self.items or self.offset + len(self.items) >= self.total_count

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.items[index]

    def _repr_html_(self) -> str:
        if not self.items:
            return rows_table(f"No rows here, {self.total_count} in all", ())
        last = self.offset + len(self.items)
        return rows_table(f"Rows {self.offset + 1} to {last} of {self.total_count}", self.items)
