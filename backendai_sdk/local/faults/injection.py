"""One fault that has been set: on what, how often, with which luck, and what came of it.

Assumes that the cluster's loop decides while other threads look and wait, so everything is under one lock that the
whole set shares.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .fault import Fault
    from .pattern import Pattern

__all__ = ["Hit", "Injection"]


@attrs.frozen
class Hit:
    """One time that a fault was injected: which, into what (`"POST /session"`, an event's name), and when."""

    fault: Fault
    target: str
    time: datetime


class Injection:
    """The handle of a fault that is set; as a context manager it sets the fault for a block."""

    def __init__(
        self,
        fault: Fault,
        pattern: Pattern,
        *,
        times: int | None,
        probability: float,
        skip: int,
        seed: str,
        changed: threading.Condition,
        forget: Callable[[Injection], None],
        note: Callable[[Hit], None],
    ) -> None:
        self.fault = fault
        self._pattern = pattern
        self._times = times
        self._probability = probability
        self._skip = skip
        self._seed = seed
        self._luck = random.Random(seed)
        self._changed = changed
        self._forget = forget
        self._note = note
        self._seen = 0
        self._taken = 0
        self._hits: list[Hit] = []

    def __repr__(self) -> str:
        return f"<Injection of {self.fault!r} on {self.on!r}, {len(self.hits)} hits>"

    @property
    def on(self) -> str:
        """What it is set on, as it was given."""
        return self._pattern.text

    @property
    def hits(self) -> tuple[Hit, ...]:
        """What it did so far."""
        with self._changed:
            return tuple(self._hits)

    def remove(self) -> None:
        """Inject it no more. What it did to a connection stays done. Idempotent."""
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def wait_hit(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Block until the fault has been injected `count` times.

        Raises:
            TimeoutError: not within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._hits) >= count, timeout):
                raise TimeoutError(self._too_late(count, timeout))

    async def await_hit(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """`wait_hit()`, without blocking the caller's loop."""
        end = time.monotonic() + timeout
        while len(self.hits) < count:
            if time.monotonic() >= end:
                raise TimeoutError(self._too_late(count, timeout))
            await asyncio.sleep(0.005)

    def _too_late(self, count: int, timeout: float) -> str:
        return f"{self.fault!r} on {self.on!r} was injected {len(self.hits)} times of {count} in {timeout:g} seconds"

    # --- for the server -----------------------------------------------------------------------------------

    def take(self, target: str, *, wanted: bool = True) -> bool:
        """Whether the fault is to be injected into `target`, which is counted either way.

        The dice are rolled for every match, wanted or not: the same matches in the same order give the same faults.
        """
        with self._changed:
            if not self._pattern.matches(target):
                return False
            self._seen += 1
            lucky = self._luck.random() < self._probability
            spent = self._times is not None and self._taken >= self._times
            if not wanted or not lucky or spent or self._seen <= self._skip:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """It could not be injected after all."""
        with self._changed:
            self._taken -= 1

    def record(self, target: str) -> None:
        """It has been injected."""
        with self._changed:
            hit = Hit(self.fault, target, datetime.now(UTC))
            self._hits.append(hit)
            self._note(hit)
            self._changed.notify_all()

    def dice(self) -> random.Random:
        """Luck for one injection, which does not change that of the next."""
        return random.Random(f"{self._seed}:{len(self._hits)}")
