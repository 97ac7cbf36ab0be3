"""Faults of events: what a message bus under load does to them.

Assumes that all streams hear the same: an event is lost, repeated or late for everybody.
"""

from __future__ import annotations

import attrs

from .fault import EventFault, at_least, whole

__all__ = ["DropEvent", "DuplicateEvent", "ReorderEvent"]


@attrs.frozen
class DropEvent(EventFault):
    """The event never comes."""


@attrs.frozen
class DuplicateEvent(EventFault):
    """The event comes `copies` times in a row."""

    copies: int = attrs.field(default=2, validator=whole(2))


@attrs.frozen
class ReorderEvent(EventFault):
    """The event comes after the next `behind` events of its session, or `within` seconds if those do not come."""

    behind: int = attrs.field(default=1, validator=whole(1))
    within: float = attrs.field(default=1.0, validator=at_least(0), kw_only=True)
