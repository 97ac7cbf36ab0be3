"""The class that is built, and whose methods use the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self, TypeAlias, TypeVar

from ._shapes import AwaitableContext
from .pager import AsyncPager
from .thing import AsyncThing

R = TypeVar("R")
DEFAULT = 3
ProgressCallback: TypeAlias = Callable[[str], Awaitable[None] | None]


class AsyncBox:
    """A second class of the module, built without arguments."""

    async def ping(self) -> str:
        return "pong"


class AsyncStore:
    """A store.  Use ``async with AsyncStore("x") as store``."""

    def __init__(self, name: str = "shop", *, limit: int = DEFAULT) -> None:
        self.name = name
        self.limit = limit
        self.box = AsyncBox()
        self._log: list[str] = []
        self._closed = False

    @classmethod
    def local(cls) -> Self:
        """Of this machine."""
        return cls("local")

    @classmethod
    async def connect(cls, name: str) -> Self:
        return cls(name)

    @staticmethod
    def version() -> str:
        return "1"

    @property
    def log(self) -> list[str]:
        return self._log

    @property
    def closed(self) -> bool:
        return self._closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True

    def view(self) -> Self:
        return self

    def list(self) -> AsyncPager[str]:
        """A pager of plain rows."""

        async def fetch() -> list[str]:
            return ["a", "b"]

        return AsyncPager(fetch)

    async def get(self, name: str) -> AsyncThing:
        return AsyncThing(self, name, self._log)

    async def find(self, name: str) -> AsyncThing | None:
        return await self.get(name) if name else None

    async def several(self, *names: str) -> Sequence[AsyncThing]:
        return [await self.get(name) for name in names]

    async def fixed(self) -> tuple[AsyncThing, int]:
        return await self.get("f"), 1

    async def all(self) -> tuple[AsyncThing, ...]:
        return (await self.get("x"), await self.get("y"))

    async def by_name(self, names: Sequence[str]) -> dict[str, AsyncThing]:
        return {name: await self.get(name) for name in names}

    def make(self, name: str, *, on_progress: ProgressCallback | None = None) -> AwaitableContext[AsyncThing]:
        """``thing = await store.make("x")`` keeps it."""

        async def make() -> AsyncThing:
            if on_progress is not None and (result := on_progress(name)) is not None:
                await result
            return await self.get(name)

        return AwaitableContext(make)

    async def drop(self, *things: AsyncThing | str, also: Sequence[AsyncThing] = ()) -> Sequence[str]:
        return [thing if isinstance(thing, str) else thing.name for thing in (*things, *also)]

    async def rename(self, things: Mapping[str, AsyncThing]) -> None:
        for name, thing in things.items():
            thing.name = name

    async def each(self, work: Callable[[AsyncThing], Awaitable[R] | R], *names: str) -> Sequence[R]:
        results: list[R] = []
        for name in names:
            result = work(await self.get(name))
            results.append(await result if isinstance(result, Awaitable) else result)
        return results
