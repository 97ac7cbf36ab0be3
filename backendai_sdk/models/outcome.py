"""What became of one of several things that were asked for at once."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from backendai_sdk.errors import BackendAIError

__all__ = ["DestroyOutcome"]


@attrs.frozen(kw_only=True)
class DestroyOutcome:
    """What became of one session that was to be destroyed.

    Attributes:
        session: the id or name as it was given.
        session_id: its id, or ``""`` if it was not found.
        status: ``"cancelled"`` (it had been waiting in the queue), ``"terminated"`` (the server is ending
            it; ``wait(until="dead")`` waits for that), ``"gone"`` (it had ended before), or ``"failed"``.
        error: why it failed, or ``None``.
        stats: resource statistics of the main container, from servers that still give them.
    """

    session: str
    session_id: str = ""
    status: str
    error: BackendAIError | None = None
    stats: Mapping[str, object] = attrs.field(factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the session is gone or going."""
        return self.error is None

    def check(self) -> DestroyOutcome:
        """Return the outcome itself, or raise its error."""
        if self.error is not None:
            raise self.error
        return self
