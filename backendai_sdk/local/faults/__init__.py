"""Faults that a local cluster injects on demand, for tests of programs that must stand them.

`cluster.faults.add(Latency(0.2), "POST /session*", times=1)`. Assumes that faults are values, and that what is set and
what was injected is known to one `Faults` per cluster.
"""

from __future__ import annotations

from .answers import ErrorStatus, HtmlPage, LostReply, TooManyRequests, TruncatedJson
from .events import DropEvent, DuplicateEvent, ReorderEvent
from .fault import Fault
from .faults import Faults
from .injection import Hit, Injection
from .network import Bandwidth, Cut, HalfOpen, Latency, Reset, Slices, SlowClose

__all__ = [
    "Bandwidth",
    "Cut",
    "DropEvent",
    "DuplicateEvent",
    "ErrorStatus",
    "Fault",
    "Faults",
    "HalfOpen",
    "Hit",
    "HtmlPage",
    "Injection",
    "Latency",
    "LostReply",
    "ReorderEvent",
    "Reset",
    "Slices",
    "SlowClose",
    "TooManyRequests",
    "TruncatedJson",
]
