"""Sessions that wait for others, as the server draws them (PROTOCOL §2.3, dependency-graph)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from backendai_sdk.enums import SessionStatus

__all__ = ["DependencyNode"]


@attrs.frozen(kw_only=True)
class DependencyNode:
    """One session and what it depends on.

    Attributes:
        depends_on: the sessions that must end before this one starts. Servers name only the first of several.
    """

    session_id: str
    session_name: str
    status: SessionStatus
    status_changed: datetime | None = None
    depends_on: tuple[DependencyNode, ...] = ()
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)
