"""Destroying sessions: once as asked, or surely when something must not be left behind.

The same call cancels a session that waits in the queue.  Releases differ in what they answer and in which
states they refuse (PROTOCOL §2.4); sessions are always addressed by id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from backendai_sdk._async._find import find_one, is_uuid, row_of
from backendai_sdk._wire.request import Request, path
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import (
    BackendAIError,
    ConnectError,
    ConnectionLost,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    RequestTimeout,
    ServerError,
    ServiceUnavailable,
    SessionNotFound,
)
from backendai_sdk.models.outcome import DestroyOutcome

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.session import SessionInfo

__all__ = ["destroy_many", "destroy_once", "destroy_surely", "insist"]

T = TypeVar("T")

_RETRY = 0.5
_LONGEST_PAUSE = 4.0
_PATIENCE = 60.0  # with a server that is away, where no time limit is set
_UNREACHED = (ConnectError, ConnectionLost, RequestTimeout, ServiceUnavailable, RateLimited)
# One bad answer must not leave a session behind, either; a server that gives no other is believed after a few.
_PUZZLING = (ServerError, ProtocolError)
_MOST_PUZZLES = 3
# On older releases a session that was cancelled at the moment at which it was scheduled starts all the same (seen on
# 23.9.10): it is looked at once more, after so many seconds.
_CANCELS_FOR_GOOD = (24, 3, 0)
_SECOND_LOOK = 1.0
_FIELDS = ("id", "name", "status", "access_key")
# How many sessions are destroyed at the same time.
_AT_ONCE = 16


async def destroy_once(
    client: Client, session_id: str, *, forced: bool = False, recursive: bool = False
) -> DestroyOutcome:
    """Ask the server to end one session; say what became of it.

    Raises:
        SessionNotFound: the server has never known it.
        PermissionDenied: it refuses in the session's state.
    """
    row = await row_of(client, session_id, _FIELDS)
    return await _destroy(client, row, forced=forced, recursive=recursive)


async def _destroy(client: Client, before: SessionInfo, *, forced: bool, recursive: bool) -> DestroyOutcome:
    outcome = await _ask(client, before, forced=forced, recursive=recursive)
    client.journal.forget_session(before.id)
    return outcome


async def _ask(client: Client, before: SessionInfo, *, forced: bool, recursive: bool) -> DestroyOutcome:
    session_id = before.id
    if before.status.is_dead:
        return DestroyOutcome(session=session_id, session_id=session_id, status="gone")
    request = Request(
        method="DELETE",
        path=path("/session/{}", session_id),
        params={"forced": forced, "recursive": recursive, "owner_access_key": _somebody_else(client, before)},
        idempotent=True,
    )
    try:
        answer = await client.json(request)
    except NotFound:
        return DestroyOutcome(session=session_id, session_id=session_id, status="gone")
    if before.status == SessionStatus.PENDING and (await client.server()).release < _CANCELS_FOR_GOOD:
        await asyncio.sleep(_SECOND_LOOK)
        now = await row_of(client, session_id, _FIELDS)
        if not now.status.is_dead and now.status != SessionStatus.TERMINATING:
            return await _ask(client, now, forced=True, recursive=recursive)
    stats = _stats(answer)
    # Servers up to 25.10 say "terminated" of a cancelled session too, so the state before decides.
    waiting = before.status == SessionStatus.PENDING or stats.get("status") == "cancelled"
    return DestroyOutcome(
        session=session_id,
        session_id=session_id,
        status="cancelled" if waiting else "terminated",
        stats={k: v for k, v in stats.items() if k != "status"},
    )


def _somebody_else(client: Client, row: SessionInfo) -> str | None:
    """Whose session it is, if not one's own: servers look for it among one's own sessions otherwise."""
    own = client.config.access_key
    return row.access_key if own and row.access_key and row.access_key != own else None


async def insist(client: Client, work: Callable[[], Awaitable[T]]) -> T:
    """Do *work* again while the server cannot be reached, as long as ``timeouts.cleanup`` allows.

    A manager that is restarted is away for longer than the retries of one request last; the session that is to be
    cleaned up is not.  A server that fails (500), or answers with something else, is asked a few times more.

    Raises:
        TransportError, ServerError, RateLimited: so it was until then.
    """
    limit = client.config.timeouts.cleanup
    now = asyncio.get_running_loop().time
    end = now() + (_PATIENCE if limit is None else limit)
    pause, puzzles = _RETRY, 0
    while True:
        try:
            return await work()
        except (*_UNREACHED, *_PUZZLING) as exc:
            puzzles += not isinstance(exc, _UNREACHED)
            # Given up before the caller's own limit cuts this off: what was wrong says more than that it took long.
            if puzzles > _MOST_PUZZLES or now() + 2 * pause >= end:
                raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


async def destroy_surely(client: Client, session_id: str) -> str:
    """End a session whatever state it is in; the caller bounds the time.

    Refusals are answered with force, and a state in which even force is refused (pulling an image, on 23.09)
    is waited out. A server that is away is asked again.

    Returns:
        What became of it, as ``DestroyOutcome.status`` says it.
    """
    return await insist(client, lambda: _destroy_by_force(client, session_id))


async def _destroy_by_force(client: Client, session_id: str) -> str:
    forced = False
    while True:
        try:
            return (await destroy_once(client, session_id, forced=forced)).status
        except SessionNotFound:
            client.journal.forget_session(session_id)
            return "gone"
        except PermissionDenied:
            if forced:
                await asyncio.sleep(_RETRY)
            forced = True


async def destroy_many(
    client: Client, sessions: Sequence[str], *, forced: bool, recursive: bool
) -> tuple[DestroyOutcome, ...]:
    """End several sessions, given by id or name; one outcome each, in the order given."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(session: str) -> DestroyOutcome:
        session_id = session if is_uuid(session) else ""
        async with at_once:
            try:
                row = await find_one(client, session)
                session_id = row.id
                outcome = await _destroy(client, row, forced=forced, recursive=recursive)
            except BackendAIError as exc:
                return DestroyOutcome(session=session, session_id=session_id, status="failed", error=exc)
        return attrs.evolve(outcome, session=session)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(session)) for session in sessions]
    return tuple(task.result() for task in tasks)


def _stats(answer: object) -> Mapping[str, object]:
    match answer:
        case {"stats": Mapping() as stats}:
            return stats
        case [Mapping() as first, *_]:  # recursive, up to 25.10: a bare list
            return _stats(first) or first
    return {}
