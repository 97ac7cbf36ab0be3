"""What has been told of some sessions: events and readings of the state in, transitions out, each at most once.

Event streams leave transitions out, repeat them, and may bring them late; a cut stream has no replay (PROTOCOL
§5.1).  The server's state, with the times at which a session got into each of its statuses (§3.3), is the truth.
So an event is told at once only where nothing but the way of a new session can have led there; whatever does not
fit waits until the state has been read.  A reading tells what was missed since the last thing told, in order.

Assumes nothing of when events and readings come, except that readings of one session do not overtake each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import attrs

from backendai_sdk._wire.history import read_history
from backendai_sdk.enums import SessionResult, SessionStatus
from backendai_sdk.enums import SessionStatus as S
from backendai_sdk.errors import WireError
from backendai_sdk.models.event import SessionEvent
from backendai_sdk.models.session import SessionInfo

__all__ = ["STATE_FIELDS", "State", "Transcript", "event_name"]

# What a reading asks for.
STATE_FIELDS = ("id", "name", "status", "status_info", "result", "status_history")

# The way of a session; what is further down is later, within one life.
_WAY = (
    *(S.PENDING, S.DEPRIORITIZING, S.RESERVED, S.SCHEDULED, S.PREPARING, S.PULLING, S.PREPARED, S.CREATING),
    *(S.RUNNING, S.RUNNING_DEGRADED, S.RESIZING, S.SUSPENDED, S.RESTARTING, S.PREEMPTED, S.RESCHEDULING),
    *(S.TERMINATING, S.ERROR, S.CANCELLED, S.TERMINATED),
)
_PLACE = {status: place for place, status in enumerate(_WAY)}
# Those that are entered once in a life, in this order in every release.
_PLAIN = frozenset(
    (S.SCHEDULED, S.PREPARING, S.PREPARED, S.CREATING, S.RUNNING, S.TERMINATING, S.CANCELLED, S.TERMINATED)
)
_RESULTS = {SessionResult.SUCCESS: "session_success", SessionResult.FAILURE: "session_failure"}
_RESULT_NAMES = frozenset(_RESULTS.values())
_ENDS = ("_terminated", "_cancelled")
# How often a fresh reading may not know yet what an event has told, before the event is taken for wrong.
_PATIENCE = 3
# Ended sessions that are remembered, so that late events of theirs stay untold.
_ENDED = 4096


def event_name(status: SessionStatus) -> str:
    """The name of the event that tells of a status."""
    return "session_started" if status == S.RUNNING else f"session_{status.lower()}"


@attrs.frozen(kw_only=True)
class State:
    """What a server says of a session when it is asked.

    Attributes:
        reason: the server's word for why it is in that status.
        history: when it got into each of its statuses, last; empty where the server does not tell.
    """

    id: str
    name: str
    status: SessionStatus
    reason: str | None = None
    result: SessionResult | None = None
    history: Mapping[SessionStatus, datetime] = attrs.field(factory=dict)

    @classmethod
    def of(cls, row: SessionInfo) -> State:
        """The state in a listed row that has ``STATE_FIELDS``."""
        given = row.extra.get("status_history")
        try:
            history = read_history(json.loads(given) if isinstance(given, str) else given or {})
        except (WireError, ValueError):
            history = {}  # the status alone will do
        return cls(
            id=row.id,
            name=row.name,
            status=row.status,
            reason=row.status_info or None,
            result=row.result or None,
            history=history,
        )


@attrs.define
class _Told:
    """What has been told of one session."""

    status: SessionStatus | None = None
    since: datetime | None = None  # the last time that is known
    timed: bool = False  # whether that is the status's own
    delivered: bool = True  # false of what was found when listening began
    passed: set[SessionStatus] = attrs.field(factory=set)
    heard_at: int = 0
    doubts: dict[SessionStatus, SessionEvent] = attrs.field(factory=dict)
    contradicted: int = 0
    result: bool = False
    last: dict[str, tuple[str, str | None]] = attrs.field(factory=dict)  # by container; "" for the session


class Transcript:
    """What has been told of each session.

    Attributes:
        doubtful: the sessions whose state should be read soon.
    """

    def __init__(self) -> None:
        self.doubtful: set[str] = set()
        self._live: dict[str, _Told] = {}
        self._ended: dict[str, None] = {}
        self._heard = 0

    @property
    def live(self) -> tuple[str, ...]:
        """The sessions that are known and have not ended."""
        return tuple(self._live)

    def status(self, session_id: str) -> SessionStatus | None:
        """The status that was told last, or found first; ``None`` of a session that is not known, or has ended."""
        told = self._live.get(session_id)
        return told.status if told is not None else None

    def ended(self, session_id: str) -> bool:
        """Whether the end of that session was told."""
        return session_id in self._ended

    # --- events -----------------------------------------------------------------------------------------

    def hear(self, event: SessionEvent) -> list[SessionEvent]:
        """Take an event from a stream; what is to be told because of it: the event, or nothing."""
        if (told := self._live.get(event.session_id)) is None:
            if event.session_id in self._ended:
                return []
            told = self._live[event.session_id] = _Told()
        status = event.status
        if status is None:
            return [event] if self._is_news(told, event) else []
        if status == told.status and not told.doubts:
            if told.delivered:
                return []
            told.delivered = True
        elif told.status is None or (
            status in _PLAIN and status not in told.passed and _PLACE[status] > _PLACE.get(told.status, 0)
        ):
            self._heard += 1
            told.heard_at = self._heard
            told.status, told.timed, told.delivered = status, False, True
            told.passed.add(status)
        else:
            # Late, said again, or the beginning of another round: only the state can tell.
            told.doubts[status] = event
            self.doubtful.add(event.session_id)
            return []
        if event.is_final:
            self._end(event.session_id)
        return [event]

    @staticmethod
    def _is_news(told: _Told, event: SessionEvent) -> bool:
        """Whether an event that tells of no status tells something new."""
        if event.name in _RESULT_NAMES:
            news, told.result = not told.result, True
            return news
        name = event.name
        # Session events may carry the id of some container (PROTOCOL §5.1).
        subject = event.kernel_id or "-" if name.startswith("kernel_") else ""
        this, last = (name, event.reason), told.last.get(subject)
        if this == last:
            return False
        if (
            last is not None
            and last[0].endswith(_ENDS)
            and (name.endswith(_ENDS) or name == "kernel_terminating")
        ):
            return False  # servers tell the end of a container two or three times
        told.last[subject] = this
        return True

    # --- readings ---------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Say that a reading begins; what it returns belongs to :meth:`read`."""
        return self._heard

    def behind(self, state: State) -> bool:
        """Whether the state tells of something that was not told, and of which an event may be under way."""
        told = self._live.get(state.id)
        if state.id in self._ended:
            return False
        result = state.result in _RESULTS
        return told is None or told.status != state.status or (result and not told.result)

    def read(self, state: State, asked: int, *, find: bool = False) -> list[SessionEvent]:
        """Take a reading of a session; what was missed, in order.

        Args:
            asked: what :meth:`begin` said before the server was asked.
            find: what has happened to a session that is not known yet was before anybody listened.
        """
        self.doubtful.discard(state.id)
        if state.id in self._ended:
            return []
        told = self._live.setdefault(state.id, _Told())
        if told.status is None and find and not state.status.is_dead:
            told.delivered = False
            told.result = told.result or state.result in _RESULTS
            self._settle(told, state, state.status)
            return []
        missed = self._missed(told, state, fresh=asked >= told.heard_at, find=find)
        if missed is None:
            self.doubtful.add(state.id)
            return []
        events = [
            self._event(told, state, status, last=n == len(missed)) for n, status in enumerate(missed, 1)
        ]
        if state.result is not None and state.result in _RESULTS and not told.result:
            told.result = True
            ends = (n for n, status in enumerate(missed) if _PLACE.get(status, 0) >= _PLACE[S.TERMINATING])
            at = next(ends, len(events))
            events.insert(at, _recovered(state, _RESULTS[state.result], None))
        self._settle(told, state, missed[-1] if missed else told.status or state.status)
        if missed:
            told.delivered = True
            if missed[-1].is_dead:
                self._end(state.id)
        return events

    def _missed(self, told: _Told, state: State, *, fresh: bool, find: bool) -> list[SessionStatus] | None:
        """The statuses since the one that was told last; ``None`` if the reading does not fit to it (yet)."""
        history = dict(state.history)
        order = sorted(history, key=lambda status: (history[status], _PLACE.get(status, 0)))
        if state.status in order:
            del order[order.index(state.status) + 1 :]
        else:
            order.append(state.status)
        known = told.status
        if known is None:
            return order[-1:] if find else order
        when = history.get(known)
        if told.timed and told.since is not None:
            if when == told.since and known in order:
                return order[order.index(known) + 1 :]
            missed = [s for s in order if s not in history or history[s] > told.since]
            return missed if missed != [known] or when is not None else []
        # What an event has told is in no reading that was asked for before.
        if fresh and known == state.status:
            return []
        later = when is not None and (told.since is None or when > told.since)
        if fresh and later and known in order:
            return order[order.index(known) + 1 :]
        onward = _PLACE.get(state.status, len(_WAY)) > _PLACE.get(known, 0)
        if fresh and not history and onward:
            return [state.status]
        if fresh:
            told.contradicted += 1
        return [state.status] if told.contradicted >= _PATIENCE else None

    @staticmethod
    def _settle(told: _Told, state: State, status: SessionStatus) -> None:
        told.status = status
        told.passed |= {status, *state.history}
        told.timed = (when := state.history.get(status)) is not None
        told.since = when or told.since
        told.contradicted = 0
        told.doubts.clear()

    @staticmethod
    def _event(told: _Told, state: State, status: SessionStatus, *, last: bool) -> SessionEvent:
        heard = told.doubts.get(status)
        return heard or _recovered(state, event_name(status), state.reason if last else None)

    def pass_over(self, session_id: str) -> None:
        """Tell nothing of that session: it had ended before anybody listened."""
        self._end(session_id)

    def _end(self, session_id: str) -> None:
        self._live.pop(session_id, None)
        self.doubtful.discard(session_id)
        self._ended[session_id] = None
        if len(self._ended) > _ENDED:
            del self._ended[next(iter(self._ended))]


def _recovered(state: State, name: str, reason: str | None) -> SessionEvent:
    return SessionEvent(
        name=name, session_id=state.id, session_name=state.name, reason=reason, recovered=True
    )
