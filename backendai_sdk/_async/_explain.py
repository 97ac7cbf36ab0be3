"""Finding out why a session waits: asks what is worth asking, and leaves the judgement to ``_wire/explain.py``.

A question that a server refuses or answers oddly is a fact that is not known; only the session itself must be there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from backendai_sdk._async._find import row_of
from backendai_sdk._wire.explain import explain as conclude
from backendai_sdk._wire.explain import looks_at
from backendai_sdk._wire.gql import one_of
from backendai_sdk._wire.history import read_graph
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.situation import (
    OTHERS_FIELDS,
    Limits,
    Situation,
    agents_body,
    key_body,
    limits_body,
    policy_body,
    read_agents,
    read_key,
    read_limits,
    read_policy,
    read_scheduling,
    row_fields,
    session_ids_in,
)
from backendai_sdk.errors import APIError, WireError
from backendai_sdk.models.explanation import Explanation
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.slots import ResourceSlots

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["explain"]

T = TypeVar("T")
_MANY = 100  # what one page holds; more sessions of one key than that add nothing to the picture


async def explain(client: Client, session_id: str) -> Explanation:
    """Why the session of that id does not run; one request, and up to seven more if it waits.

    Raises:
        SessionNotFound: there is none, or this key may not see it.
    """
    row = await row_of(client, session_id, row_fields(await client.server()))
    worth_asking = looks_at(row)
    asking = _Asking(client, row)

    async def known(fact: str, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        try:
            return await ask() if fact in worth_asking else None
        except (APIError, WireError):
            return None

    return conclude(
        Situation(
            row=row,
            now=client.now(),
            dependencies=await known("dependencies", asking.dependencies),
            own=await known("own", asking.own),
            limits=await known("limits", asking.limits),
            max_sessions=await known("max_sessions", asking.max_sessions),
            agents=await known("agents", asking.agents),
        )
    )


class _Asking:
    """The questions about one session."""

    def __init__(self, client: Client, row: SessionInfo) -> None:
        self._client = client
        self._row = row
        self._key: str | None = None

    async def dependencies(self) -> tuple[SessionInfo, ...]:
        """The sessions it depends on: those that the scheduler names, or the one that the graph shows."""
        told = read_scheduling(self._row)
        ids = session_ids_in(" ".join(message for name, message in told.failed if name == "dependencies"))
        if not ids:
            where = path("/session/{}/dependency-graph", self._row.id)
            graph = read_graph(await self._client.json(Request(method="GET", path=where, idempotent=True)))
            ids = tuple(node.session_id for node in graph.depends_on)
        return await self._rows(filter=one_of("id", ids)) if ids else ()

    async def own(self) -> tuple[SessionInfo, ...]:
        """Active sessions of the same key."""
        return await self._rows(status="active", access_key=self._row.access_key or None)

    async def limits(self) -> Limits | None:
        """What the key may use; servers tell that of the own key only."""
        if not await self._is_own():
            return None
        request = Request(
            method="POST", path="/resource/check-presets", json=limits_body(self._row), idempotent=True
        )
        return read_limits(await self._client.json(request), scaling_group=self._row.scaling_group or None)

    async def max_sessions(self) -> int | None:
        """How many sessions the key may run at once; likewise."""
        if not await self._is_own():
            return None
        return read_policy(await self._client.gql(policy_body()))

    async def agents(self) -> tuple[ResourceSlots, ...] | None:
        """What the agents have, if this key may ask."""
        return read_agents(await self._client.gql(agents_body(self._row.scaling_group or None)))

    async def _is_own(self) -> bool:
        """Whether the session belongs to the key that asks; after a sign-in at a web server, only the server knows that."""
        if self._key is None:
            self._key = self._client.config.access_key or read_key(await self._client.gql(key_body()))
        return self._key == self._row.access_key

    async def _rows(
        self, *, status: str | None = None, filter: str | None = None, access_key: str | None = None
    ) -> tuple[SessionInfo, ...]:
        page = await self._client.page(
            OTHERS_FIELDS, limit=_MANY, status=status, filter=filter, access_key=access_key
        )
        return tuple(page.items)
