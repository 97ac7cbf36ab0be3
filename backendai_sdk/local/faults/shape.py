"""How bytes travel over a connection: values that several faults add up to.

Assumes that a connection has one shape for its whole life and another for the answer under way; what delays both adds
up, what limits both takes the smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from .network import Bandwidth, Latency, Slices, SlowClose

if TYPE_CHECKING:
    import random

    from .fault import NetworkFault

__all__ = ["PLAIN", "Shape"]

_TICKS: Final = 20  # pieces per second that a limited bandwidth is made of


@attrs.frozen
class Shape:
    """What happens to bytes on their way."""

    latency: float = 0.0
    jitter: float = 0.0
    rate: float | None = None  # bytes per second, each way
    slice: int | None = None
    pause: float = 0.0
    slow_close: float = 0.0
    dice: random.Random | None = None

    def with_(self, fault: NetworkFault, dice: random.Random) -> Shape:
        """This shape with one more fault; a fault that is not about the shape changes nothing."""
        match fault:
            case Latency(seconds=seconds, jitter=jitter):
                return attrs.evolve(
                    self, latency=self.latency + seconds, jitter=self.jitter + jitter, dice=dice
                )
            case Bandwidth(rate):
                return attrs.evolve(self, rate=rate if self.rate is None else min(rate, self.rate))
            case Slices(size=size, pause=pause):
                size = size if self.slice is None else min(size, self.slice)
                return attrs.evolve(self, slice=size, pause=max(pause, self.pause))
            case SlowClose(seconds):
                return attrs.evolve(self, slow_close=self.slow_close + seconds)
        return self

    @property
    def plain(self) -> bool:
        """Whether bytes just pass."""
        return self.latency == self.jitter == 0.0 and self.rate is None and self.slice is None

    def delay(self) -> float:
        """How late the bytes written now arrive."""
        return self.latency + (self.dice.random() * self.jitter if self.dice is not None else 0.0)

    def piece(self) -> int | None:
        """How many bytes travel at once; `None` for all."""
        if self.rate is None:
            return self.slice
        tick = max(int(self.rate / _TICKS), 1)
        return tick if self.slice is None else min(tick, self.slice)

    def cost(self, size: int) -> float:
        """How many seconds the line is taken by so many bytes."""
        return self.pause + (0.0 if self.rate is None else size / self.rate)


PLAIN: Final = Shape()
