"""Rows that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, ClassVar, Generic, TypeVar

from backendai_sdk.models.page import Page

__all__ = ["AsyncPager"]

T = TypeVar("T")


class AsyncPager(Generic[T]):
    """A listing that is fetched as it is read.

    ``await pager`` gives the first page, ``async for row in pager`` all rows, page by page.  Nothing is
    fetched before.  Rows that appear while pages are read may push others onto the next page: those are not
    given twice.
    """

    _handle: ClassVar[bool] = True

    def __init__(self, fetch: Callable[[int], Awaitable[Page[T]]], key: Callable[[T], object]) -> None:
        self._fetch = fetch
        self._key = key

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self.first_page().__await__()

    async def first_page(self) -> Page[T]:
        """The first page: its rows, and how many rows there are in all."""
        return await self._fetch(0)

    async def total_count(self) -> int:
        """How many rows there are in all, counted by the server now."""
        return (await self._fetch(0)).total_count

    async def pages(self) -> AsyncIterator[Page[T]]:
        """All pages, one after the other, each fetched when it is asked for."""
        offset = 0
        while True:
            page = await self._fetch(offset)
            if page.items or offset == 0:
                yield page
            if page.is_last:
                return
            offset += len(page.items)

    async def __aiter__(self) -> AsyncIterator[T]:
        """All rows."""
        before: set[object] = set()
        async for page in self.pages():
            keys = [self._key(row) for row in page.items]
            for key, row in zip(keys, page.items, strict=True):
                if key is None or key not in before:
                    yield row
            before = {key for key in keys if key is not None}
