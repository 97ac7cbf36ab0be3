"""Private shapes: no twin is made of what is in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")
F = TypeVar("F")


def async_only(function: F) -> F:
    return function


class AwaitableContext(Generic[T]):
    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make

    async def wait(self) -> T:
        return await self._make()

    def __await__(self) -> Generator[Any, None, T]:
        return self._make().__await__()


class Base(Generic[T]):
    """Its public methods belong to the twins of its subclasses."""

    async def inherited(self, value: T) -> T:
        """From the base, about what the subclass says."""
        return value

    async def overridden(self) -> str:
        return "base"
