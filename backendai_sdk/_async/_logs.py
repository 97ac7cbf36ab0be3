"""Following a session's log, piece by piece, with nothing but readings of the whole (PROTOCOL §2.3)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from backendai_sdk._async._find import row_of
from backendai_sdk._deadline import clamp
from backendai_sdk._wire.logs import LogFollower
from backendai_sdk.errors import InvalidArgument, ServerError, SessionNotFound

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession

__all__ = ["check_interval", "follow"]

# A log that says nothing is read less and less often: each reading is the whole log.
_SLOWEST = 5.0


def check_interval(interval: object) -> float:
    """Check the seconds between two readings."""
    number = isinstance(interval, int | float) and not isinstance(interval, bool)
    if not number or not 0 < interval < math.inf:  # type: ignore[operator]
        raise InvalidArgument(
            f"interval: {interval!r} is not a number of seconds above 0", argument="interval"
        )
    return float(interval)  # type: ignore[arg-type]


async def follow(session: AsyncComputeSession, interval: float) -> AsyncGenerator[str, None]:
    """Give what the log says, first all that there is, then what is added, until the session has ended."""
    follower = LogFollower()
    pause = interval
    while True:
        # Asked first: what the log says after the end, it has said before that was known.
        status = (await row_of(session._client, session.id, ("id", "status"))).status
        text = follower.feed(await _read(session, ended=status.is_dead))
        if text:
            yield text
        if status.is_dead:
            return
        pause = interval if text else min(pause * 1.5, max(_SLOWEST, interval))
        await asyncio.sleep(clamp(pause) or 0)
        clamp(None)


async def _read(session: AsyncComputeSession, *, ended: bool) -> str:
    try:
        return await session.logs()
    except (ServerError, SessionNotFound):
        # Servers refuse while the session starts, and when its container has gone.
        if not ended and (await row_of(session._client, session.id, ("id", "status"))).status.is_running:
            raise
        return ""
