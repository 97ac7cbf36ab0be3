"""Run one async test against the async core and against its blocking twin.

:class:`AsyncView` makes a blocking object look async: what would block is called in a worker thread.  So a
core test is written once and parametrised, and no second test tree can drift.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from backendai_sdk._portal import SyncProxy

_END = object()


class AsyncView:
    """A blocking twin that is used like its async core."""

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def __repr__(self) -> str:
        return repr(self._obj)

    def __getattr__(self, name: str) -> Any:
        attr = getattr(self._obj, name)
        if not callable(attr):
            return view(attr)
        core = getattr(type(self._obj._async), name)
        blocks = inspect.iscoroutinefunction(core) or "AwaitableContext" in str(
            core.__annotations__.get("return")
        )

        def call(*args: Any, **kwargs: Any) -> Any:
            args = tuple(a._obj if isinstance(a, AsyncView) else a for a in args)
            if blocks:
                return Call(lambda: attr(*args, **kwargs))
            made = attr(*args, **kwargs)
            return Stepped(made) if inspect.isgenerator(made) else view(made)

        return call

    # What a pager, a stream or a session offers besides its named methods.

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.to_thread(self._obj.first_page).__await__()

    async def __aenter__(self) -> AsyncView:
        await asyncio.to_thread(self._obj.__enter__)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.to_thread(self._obj.__exit__, *exc_info)

    def __aiter__(self) -> AsyncIterator[Any]:
        return Stepped(iter(self._obj))


class Call:
    """A blocking call that is made when it is awaited, or for the length of an ``async with`` block."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._made: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._run().__await__()

    async def _run(self) -> Any:
        return view(await asyncio.to_thread(self._call))

    async def __aenter__(self) -> Any:
        self._made = await self._run()
        return await self._made.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._made.__aexit__(*exc_info)


class Stepped:
    """A blocking iterator, stepped in worker threads."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def __aiter__(self) -> Stepped:
        return self

    async def __anext__(self) -> Any:
        item = await asyncio.to_thread(next, self._iterator, _END)
        if item is _END:
            raise StopAsyncIteration
        return view(item)


def view(value: Any) -> Any:
    """A twin as an async view; anything else as it is."""
    if isinstance(value, SyncProxy):
        return AsyncView(value)
    if type(value) in {list, tuple}:
        return type(value)(map(view, value))
    return value
