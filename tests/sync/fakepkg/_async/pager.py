"""A generic class, obtained and not built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

__all__ = ["AsyncPager"]

T = TypeVar("T")


class AsyncPager(Generic[T]):
    """Rows: ``await pager`` or ``async for row in pager``; an ``async with`` block is not needed."""

    _handle: ClassVar[bool] = True

    def __init__(self, fetch: Callable[[], Awaitable[list[T]]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, list[T]]:
        return self.first().__await__()

    async def first(self) -> list[T]:
        """The rows."""
        return await self._fetch()

    async def __aiter__(self) -> AsyncIterator[T]:
        for row in await self._fetch():
            yield row
