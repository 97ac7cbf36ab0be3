"""Why a session does not run yet, in words and as data: what ``explain()`` returns.

Inert values.  What follows from what is decided in ``_wire/explain.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Literal

import attrs

from backendai_sdk.enums import Phase, ReasonKind, SessionStatus, Verdict
from backendai_sdk.models.session import SessionRef
from backendai_sdk.models.slots import ResourceSlots

__all__ = ["Explanation", "PendingReason"]

_SENTENCES = {
    Verdict.BUSY: "It starts by itself.",
    Verdict.NEVER: "It will never start as things are set up: destroy it, or change what is in its way.",
    Verdict.UNKNOWN: "Whether it will start cannot be told from what the server says.",
}


@attrs.frozen(kw_only=True)
class PendingReason:
    """One thing that keeps a session from running.

    Attributes:
        kind: what it is.
        message: in words; the server's own if it said so.
        verdict: what it means for the session.
        source: ``"server"`` if the scheduler said so, ``"derived"`` if it follows from what else the server tells.
        name: the scheduler's word for the check that failed.
        until: when it will be over, if that is known: the start time that was asked for.
        sessions: the sessions that have to end first, as far as they are known.
        needed: what the session asks for, if that is what is in the way.
        limit: the limit that does not allow it, or what there is.
    """

    kind: ReasonKind
    message: str
    verdict: Verdict = Verdict.UNKNOWN
    source: Literal["server", "derived"] = "derived"
    name: str | None = None
    until: datetime | None = None
    sessions: tuple[SessionRef, ...] = ()
    needed: ResourceSlots | None = None
    limit: ResourceSlots | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@attrs.frozen(kw_only=True)
class Explanation:
    """Where a session is on its way, and why it is not further. ``print()`` says it in words.

    Attributes:
        state: the coarse phase that it is in.
        status, status_info: as the server has them.
        status_changed: since when it is in that status.
        verdict: whether it will get to run; ``None`` if that is no question, because it does, or has ended.
        reasons: what is in its way, all that is known. Empty while it runs; also where the server says nothing.
        passed: names of the scheduler's checks that it has passed.
        retries: how often the scheduler has tried, ``None`` if it does not say; ``last_try``: when last.
        extra: the server's own data, as it came.
    """

    session_id: str
    session_name: str | None
    state: Phase
    status: SessionStatus
    status_info: str | None = None
    status_changed: datetime | None = None
    verdict: Verdict | None = None
    reasons: tuple[PendingReason, ...] = ()
    passed: tuple[str, ...] = ()
    retries: int | None = None
    last_try: datetime | None = None
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def is_waiting(self) -> bool:
        """Whether it neither runs nor has ended."""
        return self.verdict is not None

    def _headline(self) -> str:
        info = f" ({self.status_info})" if self.status_info else ""
        where = f"{self.session_name or self.session_id} is {self.status}{info}"
        if self.state == Phase.RUNNING:
            return f"{where}: it runs, nothing is in its way."
        if self.state == Phase.ENDED:
            what = (
                "it is broken and does not start again"
                if self.status == SessionStatus.ERROR
                else "it has ended"
            )
            return f"{where}: {what}."
        if self.state != Phase.QUEUED:
            return f"{where}: it is being started."
        if not self.reasons:
            return f"{where}: the server does not say why."
        return f"{where}:"

    def __str__(self) -> str:
        lines = [self._headline(), *(f"- {reason}" for reason in self.reasons)]
        if self.verdict is not None:
            lines.append(_SENTENCES.get(self.verdict, str(self.verdict)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        reasons = "".join(
            f"<li><b>{escape(reason.kind)}</b>: {escape(reason.message)}</li>" for reason in self.reasons
        )
        listed = f"<ul>{reasons}</ul>" if reasons else ""
        verdict = (
            ""
            if self.verdict is None
            else f"<p>{escape(_SENTENCES.get(self.verdict, str(self.verdict)))}</p>"
        )
        return f"<p>{escape(self._headline())}</p>{listed}{verdict}"
