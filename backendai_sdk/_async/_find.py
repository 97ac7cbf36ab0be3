"""From an id or a name to one session (PROTOCOL §0.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from backendai_sdk._wire.fields import PRESETS
from backendai_sdk._wire.gql import data_of, equals
from backendai_sdk.errors import AmbiguousSession, InvalidArgument, NotFound, SessionNotFound

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.session import SessionInfo

__all__ = ["find_one", "find_project", "is_uuid", "row_of"]


def is_uuid(text: str) -> bool:
    """Whether *text* is a UUID, as session ids are."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


async def row_of(client: Client, session_id: str, fields: Iterable[str]) -> SessionInfo:
    """Some fields of the session of that id, also of one that has ended.

    Raises:
        SessionNotFound: there is none, or this key may not see it.
    """
    page = await client.page(tuple(fields), limit=1, filter=equals("id", session_id))
    if not page.items:
        raise SessionNotFound(f"there is no session {session_id}, or this key may not see it", status=404)
    return page.items[0]


async def find_one(client: Client, id_or_name: str) -> SessionInfo:
    """The one session that *id_or_name* stands for: an id also of an ended one, a name of a live one.

    Raises:
        SessionNotFound: there is none.
        AmbiguousSession: an administrator sees several live sessions of that name.
    """
    if not isinstance(id_or_name, str) or not id_or_name:
        raise InvalidArgument(
            f"id_or_name: {id_or_name!r} is neither an id nor a name", argument="id_or_name"
        )
    by_id = is_uuid(id_or_name)
    page = await client.page(
        PRESETS["default"],
        limit=10,
        status=None if by_id else "active",
        filter=equals("id" if by_id else "name", id_or_name),
    )
    rows = page.items
    if len(rows) > 1 and (own := client.config.access_key):
        rows = [row for row in rows if row.access_key == own] or rows  # type: ignore[assignment]
    if not rows:
        what = "session" if by_id else "live session named"
        raise SessionNotFound(
            f"there is no {what} {id_or_name!r}, or this key may not see it; list() shows those that it may",
            status=404,
        )
    if len(rows) > 1:
        matches = [{"id": row.id, "name": row.name, "status": row.status} for row in rows]
        raise AmbiguousSession(
            f"{len(rows)} live sessions are named {id_or_name!r}; use the id: {', '.join(r.id for r in rows)}",
            status=404,
            data={"matches": matches},
        )
    return rows[0]


_PROJECTS = "query($name: String!) { groups_by_name(name: $name) { id name domain_name } }"


async def find_project(client: Client, id_or_name: str) -> str:
    """The id of a project: sessions can be listed by it, not by the project's name.

    Raises:
        NotFound: there is no such project, or this key may not see it.
    """
    if is_uuid(id_or_name):
        return id_or_name
    answer = data_of(await client.gql({"query": _PROJECTS, "variables": {"name": id_or_name}}))
    found = answer.get("groups_by_name")
    ids = {p["domain_name"]: str(p["id"]) for p in found} if isinstance(found, list) else {}
    if ids:
        # An administrator may see one in every domain: one's own goes first.
        return ids.get(client.config.domain) or next(iter(ids.values()))
    raise NotFound(f"there is no project {id_or_name!r}, or this key may not see it", status=404)
