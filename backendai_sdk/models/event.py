"""A life-cycle event of a compute session, as its server tells it (PROTOCOL §5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

import attrs

from backendai_sdk.enums import SessionStatus
from backendai_sdk.models.markers import Key

__all__ = ["SessionEvent"]

# Names that are no status in lower case.
_OTHER_WORDS = {"enqueued": SessionStatus.PENDING, "started": SessionStatus.RUNNING}


# Without slots: setting those of a frozen class takes twice as long, and events come by the hundred thousand.
@attrs.frozen(kw_only=True, slots=False)
class SessionEvent:
    """Something that happened to a session or to one of its containers.

    Names begin with ``session_`` or ``kernel_``; take one that you do not know as information only. Which
    ones are sent differs between releases, and the same transition may be told twice: to *wait* for a
    status, use ``AsyncComputeSession.wait``.

    Attributes:
        name: for example ``"session_started"`` or ``"kernel_pulling"``.
        reason: the server's word for why, for example ``"user-requested"``; may be empty.
        exit_code: of a container or a batch command; ``None`` where the server does not tell.
        recovered: the SDK noticed the change by reading the state again, no event came.
    """

    name: str
    session_id: Annotated[str, Key("sessionId")]
    session_name: Annotated[str | None, Key("sessionName")] = None
    reason: str | None = None
    exit_code: Annotated[int | None, Key("exitCode")] = None
    access_key: Annotated[str | None, Key("ownerAccessKey")] = None
    kernel_id: Annotated[str | None, Key("kernelId")] = None
    recovered: bool = False
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def is_final(self) -> bool:
        """Whether the session as a whole has ended."""
        return self.name in {"session_terminated", "session_cancelled"}

    @property
    def status(self) -> SessionStatus | None:
        """The status that the session has got into, or ``None`` if the event tells of something else."""
        return _status_of(self.name)


# There are some dozens of names; bounded, because servers may make up more.
@lru_cache(maxsize=256)
def _status_of(name: str) -> SessionStatus | None:
    scope, _, word = name.partition("_")
    if scope != "session":
        return None
    status = _OTHER_WORDS.get(word) or SessionStatus(word.upper())
    return status if status.is_known else None
