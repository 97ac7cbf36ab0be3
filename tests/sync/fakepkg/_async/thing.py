"""Handles, streams and everything that a method may take and give."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Literal, Self, overload

from fakepkg._async._shapes import Base, async_only

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from types import TracebackType

    from fakepkg._async.store import AsyncStore

__all__ = ["AsyncStream", "AsyncThing"]


class AsyncThing(Base[int]):
    r"""A thing of an :class:`AsyncStore`; ``\n`` and ``await thing.double(1)`` stay readable.

    Example::

        async with store.make("x") as thing:
            async for event in thing.events():
                print(await thing.double(event))
    """

    _handle: ClassVar[bool] = True
    LIMIT: ClassVar[int] = 10

    def __init__(self, store: AsyncStore, name: str, log: list[str]) -> None:
        self._store = store
        self._log = log
        self.name = name
        self.size: int | None = None

    def __repr__(self) -> str:
        return f"<AsyncThing {self.name}>"

    async def __aenter__(self) -> Self:
        self._log.append(f"enter {self.name}")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._log.append(f"exit {self.name} {exc_type.__name__ if exc_type else None}")

    @property
    def store(self) -> AsyncStore:
        """Where it is from."""
        return self._store

    @property
    def label(self) -> str:
        return f"[{self.name}]"

    @label.setter
    def label(self, value: str) -> None:
        self.name = value

    async def double(self, value: int, /, *, plus: int = 2 * 5) -> int:
        """Twice *value*.

        Returns:
            A number, "quoted"
        """
        await asyncio.sleep(0)
        return value * 2 + plus

    @overload
    async def read(self, *, mode: Literal["text"] = "text") -> str: ...
    @overload
    async def read(self, *, mode: Literal["bytes"]) -> bytes: ...
    async def read(self, *, mode: Literal["text", "bytes"] = "text") -> str | bytes:
        return "data" if mode == "text" else b"data"

    async def events(self) -> AsyncIterator[int]:
        try:
            for i in range(3):
                yield i
        finally:
            self._log.append("events closed")

    async def parts(self, count: int) -> AsyncGenerator[AsyncThing, None]:
        for i in range(count):
            yield AsyncThing(self._store, f"{self.name}.{i}", self._log)

    def stream(self) -> AsyncStream:
        """Plain and lazy."""
        return AsyncStream(self._log)

    async def overridden(self) -> str:
        return "thing"

    @async_only
    async def loop_thing(self) -> asyncio.Future[None]:
        """Not for blocking code."""
        raise NotImplementedError

    def _private(self) -> None: ...

    def _repr_html_(self) -> str:
        return f"<b>{self.name}</b>"

    def __len__(self) -> int:
        return len(self.name)


class AsyncStream:
    _handle: ClassVar[bool] = True

    def __init__(self, log: list[str]) -> None:
        self._left = 2
        self._log = log

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> bool:
        self._log.append("stream closed")
        return False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return self._left
