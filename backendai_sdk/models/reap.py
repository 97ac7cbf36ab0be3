"""What ``reap()`` found in the journal, and what became of it."""

from __future__ import annotations

from datetime import datetime

import attrs

from backendai_sdk.errors import BackendAIError

__all__ = ["ReapOutcome", "ReapReport"]


@attrs.frozen(kw_only=True)
class ReapOutcome:
    """What became of one session that its owner has left.

    Attributes:
        name: its name.
        session_id: its id, or ``""`` if there is no such session.
        owner: the process that had it, as ``reap(owner=…)`` takes it.
        asked_at: when it was asked for, by the server's clock.
        status: ``"left"`` (only of a dry run: it lives, and would be destroyed), ``"terminated"`` or ``"cancelled"``
            (destroyed, as in ``DestroyOutcome``), ``"gone"`` (it had ended before), ``"never made"`` (the owner ended
            before the server had its request), ``"unsettled"`` (not there, but asked for so recently that it may
            still come: it stays in the journal, for a later ``reap()``), ``"foreign"`` (the name belongs to another
            session now, which was not touched), or ``"failed"`` (it stays in the journal).
        error: why it failed, or ``None``.
    """

    name: str
    session_id: str = ""
    owner: str
    asked_at: datetime
    status: str
    error: BackendAIError | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is left to be done about it; after a dry run, whether nothing was."""
        return self.status not in {"left", "unsettled", "failed"}


@attrs.frozen(kw_only=True)
class ReapReport:
    """What ``reap()`` did.

    Attributes:
        outcomes: one for each session that a dead process has left, the oldest first.
        held: how many sessions of living processes the journal has; they were not touched.
        dry_run: whether nothing was destroyed, only looked up.
    """

    outcomes: tuple[ReapOutcome, ...] = ()
    held: int = 0
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is left to be done."""
        return all(outcome.ok for outcome in self.outcomes)

    def check(self) -> ReapReport:
        """Return the report itself, or raise the error of the first that failed."""
        for outcome in self.outcomes:
            if outcome.error is not None:
                raise outcome.error
        return self
