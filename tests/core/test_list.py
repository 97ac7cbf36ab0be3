"""Listing: status sets, fields, pages, filters, orders, other people's sessions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from backendai_sdk import (
    UNSET,
    ByteSize,
    GraphQLError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    SessionInfo,
    SessionStatus,
    SessionType,
)
from backendai_sdk._wire.fields import FIELDS

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


async def test_first_page_and_all_rows(small_api: Any) -> None:
    made = [await small_api.create("python", enqueue_only=True, resources="cpu=1 mem=1g") for _ in range(12)]
    page = await small_api.list()
    assert len(page.items) == 10
    assert page.total_count == 12
    assert not page.is_last
    rows = [row async for row in small_api.list(page_size=5)]
    assert {row.id for row in rows} == {cs.id for cs in made}
    assert len(rows) == 12
    sizes = [len(page) async for page in small_api.list(page_size=5).pages()]
    assert sizes == [5, 5, 2]
    assert await small_api.list(status="pending").total_count() == 10
    outcomes = await small_api.destroy(*(cs.id for cs in made))
    assert all(o.ok for o in outcomes)


async def test_nothing_to_list(small_api: Any) -> None:
    page = await small_api.list()
    assert page.items == ()
    assert page.total_count == 0
    assert [row async for row in small_api.list()] == []
    assert [len(p) async for p in small_api.list().pages()] == [0]


@RELEASES
async def test_every_field_is_typed(api: Any) -> None:
    async with api.create("python:3.11", resources="cpu=2 mem=1g cuda.shares=0.5", tag="mine") as cs:
        (row,) = [r async for r in api.list(fields="all", filter=f'id == "{cs.id}"')]
        assert isinstance(row, SessionInfo)
        assert [name for name, _ in row.items()] == list(FIELDS)
        assert row.id == row.session_id == cs.id
        assert row.type is SessionType.INTERACTIVE
        assert row.status is SessionStatus.RUNNING
        assert row.tag == "mine"
        assert row.cluster_mode == "single-node"
        assert row.project == row.group_name == "default"
        assert isinstance(row.created_at, datetime)
        assert row.created_at.utcoffset() is not None
        assert row.terminated_at is None
        assert row.occupying_slots is not None
        assert row.occupying_slots["cpu"] == 2
        assert row.occupying_slots["cuda.shares"] == Decimal("0.5")
        assert isinstance(row.occupying_slots.mem, ByteSize)
        assert row.occupying_slots.mem == 1 << 30
        assert row.dependencies == ()
        assert row.resource_opts is None or isinstance(dict(row.resource_opts), dict)
        assert isinstance(row.idle_checks, dict)


async def test_fields_that_were_not_asked_for_are_unset(api: Any) -> None:
    async with api.create("python") as cs:
        (row,) = [r async for r in api.list(fields=["id", "status"], filter=f'id == "{cs.id}"')]
        assert row.name is UNSET
        assert row.tag is UNSET
        assert row.status == "RUNNING"
        (row,) = [r async for r in api.list(fields="name", filter=f'id == "{cs.id}"')]
        assert row.items() == [("name", cs.name)]
        (row,) = [r async for r in api.list(fields="detail", filter=f'id == "{cs.id}"')]
        assert row.occupying_slots is not UNSET
        assert row.tag in {None, ""}


async def test_status_sets(small_api: Any) -> None:
    running = await small_api.create("python", resources="cpu=1 mem=1g")
    pending = await small_api.create("python", resources="cpu=2 mem=1g", enqueue_only=True)
    dead = await small_api.create("python", resources="cpu=1 mem=1g")
    await dead.destroy()
    await dead.wait("dead", timeout=20)

    async def names(status: Any) -> set[str]:
        return {row.id async for row in small_api.list(status=status, fields="id")}

    assert await names("active") == {running.id, pending.id}
    assert await names("running") == {running.id}
    assert await names("dead") == {dead.id}
    assert await names("all") == {running.id, pending.id, dead.id}
    assert await names(["pending", SessionStatus.TERMINATED]) == {pending.id, dead.id}
    assert await names("PENDING,TERMINATED") == {pending.id, dead.id}
    await small_api.destroy(running, pending)


async def test_filter_order_and_project(api: Any) -> None:
    async with api.create("python", name="list-b-1") as one, api.create("python", name="list-a-2") as two:
        mine = 'name like "list-%"'
        rows = [r.name async for r in api.list(filter=mine, order="name", fields="name")]
        assert rows == ["list-a-2", "list-b-1"]
        rows = [r.name async for r in api.list(filter=mine, order="-name", fields="name")]
        assert rows == ["list-b-1", "list-a-2"]
        assert await api.list(project="default", filter=mine).total_count() == 2
        with pytest.raises(NotFound, match="no-such-project"):
            await api.list(project="no-such-project")
        with pytest.raises(GraphQLError, match="group_name"):
            await api.list(filter='group_name == "default"')
        assert [m.id for m in await api.match("list-a")] == [two.id]
        assert [m.id for m in await api.match(one.id)] == [one.id]
        assert await api.match("list_a") == ()


async def test_a_name_with_quotes_cannot_change_the_query(api: Any) -> None:
    assert await api.match('x" | name like "%') == ()
    with pytest.raises(GraphQLError, match="filter"):
        await api.list(filter="name = ")


async def test_other_peoples_sessions_are_for_administrators(api: Any, cluster: Any, way: str) -> None:
    from backendai_sdk import AsyncSession

    async with api.create("python") as cs:
        with pytest.raises(PermissionDenied, match="administrators"):
            await api.list(access_key=cluster.admin.access_key)
        admin = cluster.admin
        async with AsyncSession(
            cluster.endpoint, access_key=admin.access_key, secret_key=admin.secret_key
        ) as boss:
            rows = [r async for r in boss.list(access_key=cluster.access_key)]
            assert cs.id in {r.id for r in rows}
            assert {r.access_key for r in rows} == {cluster.access_key}
            assert await boss.list(access_key=admin.access_key).total_count() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fields": ["nam"]}, "did you mean 'name'"),
        ({"fields": "status_chnged"}, "did you mean 'status_changed'"),
        ({"fields": []}, "nothing was given"),
        ({"status": "runing"}, "did you mean 'RUNNING'"),
        ({"status": ""}, "nothing was given"),
        ({"page_size": 0}, "1 to 100"),
        ({"page_size": 101}, "1 to 100"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(api: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as caught:
        api.list(**arguments)
    assert isinstance(caught.value, ValueError)
    assert caught.value.argument == next(iter(arguments))
