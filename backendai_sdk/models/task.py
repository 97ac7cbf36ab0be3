"""A background task of the server: how far it is, and how it ended (PROTOCOL §5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import attrs

from backendai_sdk.enums import TaskStatus
from backendai_sdk.models.markers import Key

__all__ = ["TaskProgress"]


@attrs.frozen(kw_only=True)
class TaskProgress:
    """One report of a background task.

    Attributes:
        task_id: which task.
        status: ``"updated"`` while it works; the others are final.
        message: what the server says, if anything.
        current, total: how much is done, of how much; 0 of 0 while that is unknown.
    """

    task_id: str
    status: TaskStatus
    message: str | None = None
    current: Annotated[float, Key("current_progress")] = 0.0
    total: Annotated[float, Key("total_progress")] = 0.0
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; ``None`` while that is unknown."""
        return min(max(self.current / self.total, 0.0), 1.0) if self.total > 0 else None

    @property
    def is_final(self) -> bool:
        """Whether the task is over."""
        return self.status != TaskStatus.UPDATED
