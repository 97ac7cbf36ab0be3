"""How what a blocking program has left open is closed when nobody waits for it: at its exit, or by the collector.

Everything here runs on the portal's loop and never raises: there is nobody to tell.  Assumed: whoever calls
bounds the time and cancels what is not over then.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from backendai_sdk._log import logger

__all__ = ["close_all", "quietly"]

_log = logger("portal")
# How long one open block may hold up those around it.
_DAWDLE_SECONDS = 0.4


async def close_all(entered: Mapping[int, Any], others: Mapping[int, Any]) -> None:
    """Leave the blocks and streams in *entered*, innermost first, then call ``close()`` of *others*."""
    started = []
    for core in reversed(list(entered.values())):
        started.append(asyncio.ensure_future(quietly(_way_out(core))))
        await asyncio.wait(started[-1:], timeout=_DAWDLE_SECONDS)
    started += [asyncio.ensure_future(quietly(core.close)) for core in list(others.values())]
    if started:
        await asyncio.wait(started)


async def quietly(end: Callable[[], object]) -> None:
    """Call what ends something, and await what that returns."""
    try:
        result = end()
        if inspect.isawaitable(result):
            await result
    except Exception as error:  # noqa: BLE001
        _log.debug("closing failed: %r", error)


def _way_out(core: Any) -> Callable[[], object]:
    if hasattr(core, "__aexit__"):
        return lambda: core.__aexit__(None, None, None)
    return lambda: core.aclose() if hasattr(core, "aclose") else None
