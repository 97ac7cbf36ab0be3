"""When the state of which session is read: at growing intervals, soon after a hint, in pages of many.

Assumes that a page of 100 sessions costs one request.  The more sessions there are, the slower each of them is
read, so that a thousand cost no more requests than a few do.  No clock of its own.
"""

from __future__ import annotations

import attrs

__all__ = ["PAGE", "PollPlan"]

# Sessions whose state one request tells; servers take more, but their own client does not ask for it.
PAGE = 100
_GROWTH = 1.5
# Whoever is due within this part of their interval is read along, so that pages stay full.
_EARLY = 0.3


@attrs.define
class _Entry:
    due: float
    interval: float
    read_at: float


class PollPlan:
    """Which sessions are to be read next.

    Args:
        first: seconds from the first reading to the second one; each interval is half as long again.
        slowest: the longest interval.  Both are for up to a hundred sessions.

    Attributes:
        extra: sessions that are read besides those in the plan, which slow it down as these do.
    """

    def __init__(self, *, first: float = 0.5, slowest: float = 10.0) -> None:
        self.extra = 0
        self._first = first
        self._slowest = slowest
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    @property
    def first(self) -> float:
        """The first interval, for as many as there are."""
        return max(self._first, self._pages / 4)

    @property
    def slowest(self) -> float:
        """The longest interval, for as many as there are: two seconds for each page."""
        return max(self._slowest, 2 * self._pages)

    @property
    def gap(self) -> float:
        """The shortest time between two readings of one session, however many hints there are."""
        return min(1.0, (len(self._entries) + self.extra) / 1000)

    @property
    def _pages(self) -> float:
        return (len(self._entries) + self.extra) / PAGE

    def add(self, key: str, now: float, *, delay: float = 0.0) -> None:
        """Read it now, or after *delay*; nothing changes if it is in the plan."""
        self._entries.setdefault(key, _Entry(due=now + delay, interval=self.first, read_at=-1e9))

    def discard(self, key: str) -> None:
        """Do not read it any more."""
        self._entries.pop(key, None)

    def hint(self, key: str, now: float, *, delay: float = 0.0) -> None:
        """Something may have happened to it: read it soon, and often for a while."""
        if (entry := self._entries.get(key)) is not None:
            entry.interval = self.first
            entry.due = min(entry.due, max(now + delay, entry.read_at + self.gap))

    def hint_all(self, now: float) -> None:
        """Something may have happened to any of them."""
        for key in self._entries:
            self.hint(key, now)

    def take(self, now: float) -> list[str]:
        """The sessions to read now, those that are due first; each is due again after its interval."""
        if not any(entry.due <= now for entry in self._entries.values()):
            return []
        taken = [
            (entry.due, key)
            for key, entry in self._entries.items()
            if entry.due <= now or (entry.due <= now + _EARLY * entry.interval and entry.read_at > -1e9)
        ]
        for _, key in taken:
            entry = self._entries[key]
            interval = max(entry.interval, self.first)
            entry.due, entry.read_at = now + interval, now
            entry.interval = min(interval * _GROWTH, self.slowest)
        return [key for _, key in sorted(taken)]

    def next_at(self) -> float | None:
        """When the next session is due; ``None`` if there is none."""
        return min((entry.due for entry in self._entries.values()), default=None)
