"""Waiting until something is due by a poll plan, or until the plan has changed."""

from __future__ import annotations

import asyncio
import time

from backendai_sdk.polling import PollPlan

__all__ = ["due_or_changed"]


async def due_or_changed(plan: PollPlan, changed: asyncio.Event) -> bool:
    """Wait until a key of *plan* is due, or for *changed*, which is cleared then; whether one is due."""
    due = plan.next_at()
    left = None if due is None else due - time.monotonic()
    if left is not None and left <= 0:
        return True
    try:
        async with asyncio.timeout(left):
            await changed.wait()
    except TimeoutError:
        return True
    changed.clear()
    return False
