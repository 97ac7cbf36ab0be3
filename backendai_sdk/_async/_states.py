"""Reading the state of many sessions: pages of one list query instead of a request for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from backendai_sdk._log import logger
from backendai_sdk._wire.gql import equals, one_of
from backendai_sdk.errors import GraphQLError
from backendai_sdk.polling import PAGE

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.session import SessionInfo

__all__ = ["pages_of", "read_ended", "read_live", "read_states"]

log = logger("events")

# Of those that have ended, so many are looked through at most.
_MOST_ENDED = 50 * PAGE


def pages_of(ids: Sequence[str]) -> list[Sequence[str]]:
    """The ids, cut into pages."""
    return [ids[at : at + PAGE] for at in range(0, len(ids), PAGE)]


async def read_states(client: Client, ids: Sequence[str], fields: Sequence[str]) -> dict[str, SessionInfo]:
    """Some fields of a page of sessions, by id; those that this key may not see are missing."""
    if len(ids) == 1 or not client.lists_by_ids:
        found: dict[str, SessionInfo] = {}
        for session_id in ids:
            found |= await _matching(client, [session_id], fields, equals("id", session_id))
        return found
    try:
        return await _matching(client, ids, fields, one_of("id", ids))
    except GraphQLError as exc:
        # No release is known that cannot; one that could not would be read one by one.
        log.debug("this server does not list sessions by several ids: %s", exc)
        found = await read_states(client, ids[:1], fields)
        client.lists_by_ids = False
        return found | await read_states(client, ids[1:], fields)


async def _matching(
    client: Client, ids: Sequence[str], fields: Sequence[str], condition: str
) -> dict[str, SessionInfo]:
    found: dict[str, SessionInfo] = {}
    offset = 0
    while True:
        page = await client.page(fields, limit=len(ids), offset=offset, filter=condition)
        found |= {row.id: row for row in page.items}
        offset += len(page.items)
        # A server that gives fewer rows than it was asked for has more of them.
        if not page.items or offset >= min(page.total_count, len(ids)):
            return found


async def read_live(client: Client, fields: Sequence[str]) -> AsyncIterator[SessionInfo]:
    """Some fields of all sessions that this key may see and that have not ended; each once."""
    async for row in _rows(client, fields, "active"):
        yield row


async def read_ended(client: Client, fields: Sequence[str], *, since: datetime) -> AsyncIterator[SessionInfo]:
    """Some fields of the sessions that were created after *since* and have ended; each once.

    Servers list those first that were created or have ended last (PROTOCOL §2.5).
    """
    looked_through = 0
    async for row in _rows(client, (*fields, "created_at", "terminated_at"), "dead"):
        if row.created_at and row.created_at >= since:
            yield row
        elif not row.terminated_at or row.terminated_at < since:
            return
        looked_through += 1
        if looked_through >= _MOST_ENDED:
            return


async def _rows(client: Client, fields: Sequence[str], status: str) -> AsyncIterator[SessionInfo]:
    seen: set[str] = set()
    offset = 0
    while True:
        page = await client.page(fields, limit=PAGE, offset=offset, status=status)
        for row in page.items:
            if row.id not in seen:
                seen.add(row.id)
                yield row
        offset += len(page.items)
        if not page.items or offset >= page.total_count:
            return
