"""Listing: every status set and status, every field, pages, filters, orders, whose sessions."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from backendai_sdk import (
    UNSET,
    AsyncComputeSession,
    AsyncSession,
    GraphQLError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    SessionStatus,
    SessionType,
)
from backendai_sdk._wire.fields import FIELDS, PRESETS

# One worker has them all, and so there is one herd.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("list")]

MANY = 12


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def herd(api: AsyncSession, keeper: Any) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """Twelve sessions that wait in the queue: their names' beginning, and their ids in the order of their names.

    They wait for one that never has a result: so they take nothing, and hold nobody up. (26.9 makes the status of such
    a session DEPRIORITIZING from time to time.)
    """
    endless = (await keeper.running()).id
    prefix = f"herd-{secrets.token_hex(5)}"
    made = [
        await api.create(
            "python", name=f"{prefix}-{i:02}", dependencies=[endless], tag=f"t{i % 3}", enqueue_only=True
        )
        for i in range(MANY)
    ]
    ids = tuple(cs.id for cs in made)
    yield prefix, ids
    for outcome in await api.destroy(*ids):
        outcome.check()


async def names(pager: Any) -> list[str]:
    return [row.name async for row in pager]


async def test_status_sets(api: AsyncSession, cs: AsyncComputeSession, unique: str) -> None:
    waiting = await api.create("python", name=f"{unique}-wait", dependencies=[cs.id], enqueue_only=True)
    ended = await api.create("python", name=f"{unique}-end", dependencies=[cs.id], enqueue_only=True)
    await ended.destroy()
    await ended.wait("dead", timeout=60)
    mine = {cs.id: "running", waiting.id: "waiting", ended.id: "ended"}

    async def found(status: Any) -> set[str]:
        pager = api.list(status=status, fields="id", page_size=100)
        return {mine[row.id] async for row in pager if row.id in mine}

    try:
        assert await found("active") == {"running", "waiting"}
        assert await found("running") == {"running"}
        assert await found("dead") == {"ended"}
        assert await found("all") == {"running", "waiting", "ended"}
        assert await found("pending") == {"waiting"}
        assert await found(["RUNNING", "CANCELLED"]) == {"running", "ended"}
        assert await found("cancelled,pending") == {"waiting", "ended"}
    finally:
        await waiting.destroy()


NOT_EVERYWHERE = {
    "PREPARED",
    "CREATING",
    "DEPRIORITIZING",
    "RESERVED",
    "PREEMPTED",
    "RESCHEDULING",
    # Of containers only, on every release that was read.
    "RESIZING",
    "SUSPENDED",
}


@pytest.mark.parametrize("status", [s.value for s in SessionStatus])
async def test_each_status(api: AsyncSession, status: str) -> None:
    """Every status can be asked for; one that the server's release does not know is refused before it is sent."""
    try:
        page = await api.list(status=status, fields=["id", "status"])
    except InvalidArgument as error:
        assert status in NOT_EVERYWHERE
        assert "does not exist on this server" in str(error)  # noqa: PT017
        return
    assert all(row.status == status for row in page.items)


TYPES: dict[str, Any] = {
    "id": str,
    "main_kernel_id": str,
    "name": str,
    "type": SessionType,
    "image": str,
    "registry": str,
    "cluster_mode": str,
    "cluster_size": int,
    "domain_name": str,
    "group_name": str,
    "group_id": str,
    "agent_ids": tuple,
    "user_email": str,
    "user_id": str,
    "access_key": str,
    "status": SessionStatus,
    "status_changed": datetime,
    "created_at": datetime,
    "result": str,
    "occupying_slots": object,
    "dependencies": tuple,
    "abusing_reports": tuple,
}


@pytest.mark.parametrize("field", sorted(FIELDS))
async def test_each_field(api: AsyncSession, cs: AsyncComputeSession, field: str) -> None:
    """Each field can be asked for alone, has its type, and the others are not there."""
    page = await api.list(status="running", fields=[field], filter=f'id == "{cs.id}"')
    (row,) = page.items
    value = getattr(row, field)
    assert value is not UNSET
    assert [name for name, _ in row.items()] == [field]
    assert row.extra == {}
    if field in TYPES:
        assert isinstance(value, TYPES[field]), value
    if isinstance(value, datetime):
        assert value.tzinfo is not None


async def test_values_of_a_running_session(api: AsyncSession, cs: AsyncComputeSession) -> None:
    row = await cs.refresh()
    assert (row.id, row.name, row.status) == (cs.id, cs.name, "RUNNING")
    assert (row.type, row.tag, row.domain_name, row.group_name) == (
        "interactive",
        "shared",
        "default",
        "default",
    )
    assert (row.cluster_mode, row.cluster_size, row.result) == ("single-node", 1, "UNDEFINED")
    assert row.occupying_slots["cpu"] == Decimal(1)
    assert row.occupying_slots["mem"] == 512 * 1024 * 1024
    assert "python" in (row.image or "")
    assert row.dependencies == ()
    assert row.terminated_at is None
    assert row.created_at is not None
    assert row.access_key == api.config.access_key


@pytest.mark.parametrize("preset", ["default", "name", "detail", "all"])
async def test_presets(api: AsyncSession, cs: AsyncComputeSession, preset: str) -> None:
    page = await api.list(status="running", fields=preset, filter=f'id == "{cs.id}"')
    (row,) = page.items
    assert {name for name, _ in row.items()} == set(PRESETS[preset])


async def test_pages(api: AsyncSession, herd: tuple[str, tuple[str, ...]]) -> None:
    prefix, ids = herd
    mine = {"status": "active", "filter": f'name ilike "{prefix}%"', "fields": ["id", "name"]}
    first = await api.list(**mine)
    assert (len(first.items), first.total_count) == (10, MANY)
    assert await api.list(**mine).total_count() == MANY
    rows = [row async for row in api.list(**mine)]
    assert sorted(row.id for row in rows) == sorted(ids)
    assert rows[:10] == list(first.items)
    sizes = [len(page.items) async for page in api.list(**mine, page_size=5).pages()]
    assert sizes == [5, 5, 2]
    assert len((await api.list(**mine, page_size=100)).items) == MANY


async def test_filters(api: AsyncSession, herd: tuple[str, tuple[str, ...]]) -> None:
    prefix, ids = herd

    async def count(condition: str) -> int:
        pager = api.list(status="all", fields="id", filter=f'(name ilike "{prefix}%") & ({condition})')
        return await pager.total_count()

    assert await count(f'id == "{ids[0]}"') == 1
    assert await count(f'name in ["{prefix}-00", "{prefix}-05"]') == 2
    assert await count('status != "RUNNING"') == MANY
    assert await count('type == "interactive"') == MANY
    assert await count('type != "interactive"') == 0
    assert await count(f'!(name == "{prefix}-00")') == MANY - 1
    assert await count(f'(name == "{prefix}-00") | (name == "{prefix}-01")') == 2
    assert await count('created_at > "2100-01-01T00:00:00+00:00"') == 0
    assert await count(f'access_key == "{api.config.access_key}"') == MANY


async def test_orders(api: AsyncSession, herd: tuple[str, tuple[str, ...]]) -> None:
    prefix, _ = herd
    mine = {"status": "active", "filter": f'name ilike "{prefix}%"', "fields": ["name", "created_at"]}
    expected = [f"{prefix}-{i:02}" for i in range(MANY)]
    assert await names(api.list(**mine, order="name")) == expected
    assert await names(api.list(**mine, order="-name")) == expected[::-1]
    assert await names(api.list(**mine, order="created_at")) == expected
    # Without an order, what was made last comes first.
    assert await names(api.list(**mine)) == expected[::-1]


async def test_project(api: AsyncSession, herd: tuple[str, tuple[str, ...]]) -> None:
    prefix, _ = herd
    mine = {"status": "active", "filter": f'name ilike "{prefix}%"', "fields": ["id", "group_id"]}
    rows = [row async for row in api.list(**mine, project="default")]
    assert len(rows) == MANY
    assert await api.list(**mine, project=rows[0].group_id).total_count() == MANY
    with pytest.raises(NotFound, match="no-such-project"):
        await api.list(**mine, project="no-such-project")


async def test_an_administrator_sees_others(
    api: AsyncSession, admin: AsyncSession, herd: tuple[str, tuple[str, ...]]
) -> None:
    prefix, _ = herd
    mine = {"status": "active", "filter": f'name ilike "{prefix}%"', "fields": ["access_key", "user_email"]}
    rows = [row async for row in admin.list(**mine, access_key=api.config.access_key)]
    assert len(rows) == MANY
    assert {row.access_key for row in rows} == {api.config.access_key}
    assert await admin.list(**mine).total_count() == MANY
    assert await admin.list(**mine, access_key=admin.config.access_key).total_count() == 0


async def test_a_user_does_not_see_others(api: AsyncSession, admin: AsyncSession) -> None:
    with pytest.raises(PermissionDenied):
        await api.list(access_key=admin.config.access_key)


async def test_a_condition_that_the_server_does_not_know(api: AsyncSession) -> None:
    with pytest.raises(GraphQLError):
        await api.list(filter='no_such_field == "x"')
    with pytest.raises(GraphQLError):
        await api.list(filter="name ===")
    with pytest.raises(GraphQLError):
        await api.list(order="no_such_field")
