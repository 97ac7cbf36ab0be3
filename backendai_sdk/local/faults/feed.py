"""Injects faults into events, between those who publish and those who listen.

Assumes one loop thread. An event that is held back belongs to this feed, which lets it go or, at the end, drops it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from .events import DropEvent, DuplicateEvent, ReorderEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from backendai_sdk.local.events import Event

    from .faults import Faults

__all__ = ["EventFeed"]


@attrs.define(eq=False)
class _Held:
    event: Event
    behind: int
    timer: asyncio.TimerHandle


class EventFeed:
    """What listeners hear of what was published."""

    def __init__(self, faults: Faults, deliver: Callable[[Event], None]) -> None:
        self._faults = faults
        self._deliver = deliver
        self._held: list[_Held] = []

    def publish(self, event: Event) -> None:
        injection = self._faults.for_event(event.name)
        fault = None if injection is None else injection.fault
        if isinstance(fault, ReorderEvent):
            timer = asyncio.get_running_loop().call_later(fault.within, self._overdue, event)
            self._held.append(_Held(event, fault.behind, timer))
        elif not isinstance(fault, DropEvent):
            for _ in range(fault.copies if isinstance(fault, DuplicateEvent) else 1):
                self._deliver(event)
            self._passed(event)
        if injection is not None:
            injection.record(event.name)

    def _passed(self, event: Event) -> None:
        """Let those go that waited for this one."""
        due: list[_Held] = []
        for held in self._held:
            if held.event.session is event.session:
                held.behind -= 1
                if held.behind <= 0:
                    due.append(held)
        for held in due:
            held.timer.cancel()
            self._held.remove(held)
            self._deliver(held.event)

    def _overdue(self, event: Event) -> None:
        for held in tuple(self._held):
            if held.event is event:
                self._held.remove(held)
                self._deliver(event)

    def close(self) -> None:
        """Drop what is held back."""
        for held in self._held:
            held.timer.cancel()
        self._held.clear()
