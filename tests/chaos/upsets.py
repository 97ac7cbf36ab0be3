"""What upsets one step of the state machine: a fault, something that is done to the manager, a cancellation."""

from __future__ import annotations

from typing import Literal

import attrs
from hypothesis import strategies as st

from backendai_sdk.local.faults import (
    Cut,
    DropEvent,
    DuplicateEvent,
    ErrorStatus,
    Fault,
    HalfOpen,
    HtmlPage,
    Latency,
    LostReply,
    ReorderEvent,
    Reset,
    Slices,
    TooManyRequests,
    TruncatedJson,
)

__all__ = ["EVENT_FAULTS", "Upset", "upsets"]


@attrs.frozen
class Upset:
    """A fault on one request, something that is done to the manager, and a cancellation; each may be missing."""

    fault: Fault | None = None
    on: str = "*"
    skip: int = 0
    act: Literal["", "restart", "disconnect", "freeze"] = ""
    cancel: float | Literal["struck"] | None = None  # after so many seconds, or once the fault has struck


FAULTS: list[Fault | None] = [
    None,
    Latency(0.02, jitter=0.02),
    Slices(50),
    Reset(),
    Reset(150),
    Reset(60, of="request"),
    Cut(330),
    LostReply(then="reset"),
    LostReply(then="reset"),
    LostReply(then="close"),
    LostReply(),
    HalfOpen(),
    ErrorStatus(500, acted=True),
    ErrorStatus(503),
    ErrorStatus(504, acted=True),
    HtmlPage(502, acted=True),
    TruncatedJson(),
    TooManyRequests(),
]
EVENT_FAULTS: list[Fault] = [DropEvent(), DuplicateEvent(), ReorderEvent(within=0.1)]


def upsets(*places: str) -> st.SearchStrategy[Upset]:
    """Upsets with the first few requests to *places*, most often with the first."""
    return st.builds(
        Upset,
        fault=st.sampled_from(FAULTS),
        on=st.sampled_from(places),
        skip=st.sampled_from([0, 0, 0, 1, 2]),
        act=st.sampled_from(["", "", "", "", "", "restart", "disconnect", "freeze"]),
        cancel=st.sampled_from([None, None, None, "struck", "struck", 0.0, 0.01, 0.03]),
    )
