"""Waiting for a session's state: woken by events, sure by polls, bounded by time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

from backendai_sdk._async._find import row_of
from backendai_sdk._async._shapes import maybe_await
from backendai_sdk._deadline import clamp
from backendai_sdk._wire.statuses import phase_of
from backendai_sdk._wire.versions import tells_exit_codes
from backendai_sdk.enums import SessionResult, SessionStatus
from backendai_sdk.errors import (
    BackendAIError,
    InvalidArgument,
    SessionFailed,
    SessionTimeout,
)
from backendai_sdk.models.session import SessionInfo

if TYPE_CHECKING:
    from backendai_sdk._async._informer import Follower
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.callbacks import ProgressCallback

__all__ = ["Until", "wait_until"]

Until: TypeAlias = Literal["running", "dead", "result"] | SessionStatus

# How long an event may take to come after the state that it tells of.
_EVENT_DELAY = 1.0
_RESULTS = frozenset({SessionResult.SUCCESS, SessionResult.FAILURE})


async def wait_until(
    session: AsyncComputeSession, until: Until, *, timeout: float | None, on_progress: ProgressCallback | None
) -> SessionInfo:
    """Wait until *session* is where *until* says; tell *on_progress* of every change on the way."""
    target = _target(until)
    ends_at = None if timeout is None else time.monotonic() + timeout
    told: tuple[SessionStatus, str] | None = None
    with session._client.informer.follow(session.id) as follower:
        # Whatever the time limit is, the state is read once.
        row = await follower.next(clamp(None))
        while True:
            clamp(None)  # says so if it was an enclosing deadline() that ran out
            info = session._take(row) if row is not None else session.info
            state = (info.status, info.status_info or "")
            if on_progress is not None and state != told:
                told = state
                await maybe_await(on_progress(phase_of(info.status), *state))
            if _reached(info, target):
                if target == "result":
                    session._exit_code = await _exit_code(session, info, follower)
                return info
            if _never(info, target):
                ending = f" and cannot get to {target!r} any more"
                raise await _not_there(SessionFailed, session, info, ending)
            left = None if ends_at is None else ends_at - time.monotonic()
            if left is not None and left <= 0:
                ending = f", not {target!r}, after {timeout:g} s"
                raise await _not_there(SessionTimeout, session, info, ending)
            row = await follower.next(clamp(left))
            if row is None:
                # The time is up: what holds now is what counts.
                follower.ask()
                row = await follower.next(clamp(None))


async def _exit_code(session: AsyncComputeSession, info: SessionInfo, follower: Follower) -> int | None:
    """The exit code of a batch session's command: only an event tells it, which may come after the result."""
    if info.result == SessionResult.SUCCESS:
        return 0
    ends_at = time.monotonic() + _EVENT_DELAY
    tells = tells_exit_codes(await session._client.server())
    while tells and follower.exit_code is None and (left := ends_at - time.monotonic()) > 0:
        await follower.next(left)
    return follower.exit_code


def _target(until: Until) -> str:
    if until in {"running", "dead", "result"}:
        return str(until)
    if until.upper() in SessionStatus.__members__:
        return until.upper()
    raise InvalidArgument(
        f"until: {until!r} is not 'running', 'dead', 'result' or a session status", argument="until"
    )


def _reached(info: SessionInfo, target: str) -> bool:
    if target == "running":
        # A batch session may be over before anybody has seen it run.
        return info.status.is_running or info.result in _RESULTS
    if target == "dead":
        return info.status.is_dead
    if target == "result":
        return info.result in _RESULTS
    return info.status == target


def _never(info: SessionInfo, target: str) -> bool:
    """Whether a session in that state cannot get to the target any more."""
    if info.status.is_dead:
        return True
    if target in {"dead", SessionStatus.TERMINATED, SessionStatus.ERROR, SessionStatus.TERMINATING}:
        return False
    return info.status in {SessionStatus.ERROR, SessionStatus.TERMINATING} and target != "result"


async def _not_there(
    kind: type[SessionFailed | SessionTimeout], session: AsyncComputeSession, info: SessionInfo, ending: str
) -> SessionFailed | SessionTimeout:
    """The error that says where the session is instead, with the server's own explanation."""
    details = await _details(session)
    why = f" ({info.status_info})" if info.status_info else ""
    still = "still " if kind is SessionTimeout else ""
    return kind(
        f"the session {info.name} is {still}{info.status}{why}{ending}{_told(details)}",
        session_id=info.id,
        session_name=info.name,
        status=info.status,
        status_info=info.status_info,
        status_data=details,
    )


async def _details(session: AsyncComputeSession) -> object:
    """The server's own explanation, for an error's text; no explanation is no reason to fail otherwise."""
    try:
        row = await row_of(session._client, session.id, ("id", "status_data"))
    except BackendAIError:
        return None
    data = row.extra.get("status_data")
    try:
        return json.loads(data) if isinstance(data, str) else data
    except (ValueError, RecursionError):
        return data


def _told(details: object) -> str:
    match details:
        case {"scheduler": {"failed_predicates": [*failed]}} if failed:
            said = "; ".join(str(p.get("msg", p)) if isinstance(p, dict) else str(p) for p in failed)
            return f": {said}"
        case {"error": {"repr": str(text)}}:
            return f": {text}"
    return ""
