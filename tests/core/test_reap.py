"""The journal and ``reap()``: what dead owners left is destroyed, what living ones hold is not touched.

A dead owner is made by writing into the journal's file that another process had started what this one did;
tests/chaos kills real ones.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import core_both
import pytest

from backendai_sdk import (
    AsyncSession,
    InvalidArgument,
    JournalError,
    LocalCluster,
    Session,
    Timeouts,
    UsageError,
)
from backendai_sdk._async import _reap
from backendai_sdk._journal.owner import this_process

RELEASES = pytest.mark.parametrize("release", ["23.09", "26.8"])
SMALL = {"resources": "cpu=1 mem=256m"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def make(way: str, cluster: LocalCluster, path: Path) -> Any:
    """Make a client session with a journal."""

    def made(**settings: Any) -> Any:
        keys = {"access_key": cluster.access_key, "secret_key": cluster.secret_key, "journal": path}
        keys["timeouts"] = Timeouts(start=20, run=20, cleanup=10)
        settings = keys | settings
        if way == "async":
            return AsyncSession(cluster.endpoint, **settings)
        return core_both.AsyncView(Session(cluster.endpoint, **settings))

    return made


@pytest.fixture
async def api(make: Any) -> Any:
    async with make() as session:
        yield session


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def names(path: Path) -> list[str]:
    """The sessions in the journal."""
    return [name for (name,) in sql(path, "SELECT name FROM sessions ORDER BY asked_at")]


async def written(path: Path, statement: str, expected: list[tuple[Any, ...]]) -> None:
    """What only tidies is not waited for by those who cause it: but here."""
    ends_at = time.monotonic() + 10
    while (found := sql(path, statement)) != expected and time.monotonic() < ends_at:
        await asyncio.sleep(0.01)
    assert found == expected


async def kill_owner(path: Path, *sessions: str, silent: bool = False) -> str:
    """Say that the owner of these sessions has ended; with *silent*, that it is elsewhere and says nothing."""
    await written(path, "SELECT count(*) FROM sessions WHERE session_id = ''", [(0,)])
    me = this_process()
    place = "elsewhere" if silent else me.place
    dead = f"{me.host}/{place or '-'}/{me.pid}/1"
    # Where there is no /proc, only the heartbeat tells.
    beat = 0.0 if silent or not me.place else time.time()
    sql(path, "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, '1', ?)", dead, me.host, place, me.pid, beat)
    for name in sessions:
        sql(path, "UPDATE sessions SET owner = ? WHERE name = ?", dead, name)
    return dead


def live(cluster: LocalCluster) -> set[str]:
    return {s.name for s in cluster.live_sessions() if s.status != "TERMINATING"}


@RELEASES
@pytest.mark.parametrize("silent", [False, True])
async def test_what_a_dead_owner_left_is_destroyed(api: Any, cluster: Any, path: Path, silent: bool) -> None:
    lost = await api.create("python", **SMALL)
    async with api.create("python", **SMALL) as held:
        owner = await kill_owner(path, lost.name, silent=silent)
        look = await api.reap(dry_run=True)
        assert (look.dry_run, look.held, look.ok) == (True, 1, False)
        assert [(o.name, o.session_id, o.owner, o.status) for o in look.outcomes] == [
            (lost.name, lost.id, owner, "left")
        ]
        assert live(cluster) == {lost.name, held.name}
        report = await api.reap()
        assert (report.dry_run, report.held, report.ok) == (False, 1, True)
        assert [(o.name, o.session_id, o.status, o.ok) for o in report.outcomes] == [
            (lost.name, lost.id, "terminated", True)
        ]
        assert report.check() is report
        assert live(cluster) == {held.name}
        assert (await held.execute("print(1)")).stdout == "1\n"
        assert names(path) == [held.name]
        assert sql(path, "SELECT count(*) FROM owners") == [(1,)]
        assert (await api.reap()).outcomes == ()
    await written(path, "SELECT name FROM sessions", [])


@RELEASES
async def test_a_session_whose_reply_was_lost_is_found_by_its_name(
    api: Any, cluster: Any, path: Path
) -> None:
    made = await api.create("python", **SMALL)
    chosen = await api.create("python", name="chosen-one", **SMALL)
    await kill_owner(path, made.name, chosen.name)
    sql(path, "UPDATE sessions SET session_id = '', state = 'intended'")
    report = await api.reap()
    assert [(o.name, o.session_id, o.status) for o in report.outcomes] == [
        (made.name, made.id, "terminated"),
        ("chosen-one", chosen.id, "terminated"),
    ]
    assert live(cluster) == set()
    assert names(path) == []


async def test_what_waits_in_the_queue_is_cancelled(way: str, small_cluster: Any, path: Path) -> None:
    settings = {"access_key": small_cluster.access_key, "secret_key": small_cluster.secret_key}
    made = (AsyncSession if way == "async" else Session)(small_cluster.endpoint, journal=path, **settings)
    async with made if way == "async" else core_both.AsyncView(made) as api:
        async with api.create("python", resources="cpu=2 mem=1g"):
            queued = await api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
            await kill_owner(path, queued.name)
            assert [o.status for o in (await api.reap()).outcomes] == ["cancelled"]


async def test_a_session_that_has_ended_is_only_forgotten(api: Any, path: Path) -> None:
    batch = await api.create("python", type="batch", startup_command="true", enqueue_only=True, **SMALL)
    await batch.wait("dead", timeout=20)
    unknown = await api.create("python", **SMALL)
    await kill_owner(path, batch.name, unknown.name)
    await unknown.destroy()
    await written(path, "SELECT name FROM sessions", [(batch.name,)])
    sql(path, "INSERT INTO sessions SELECT 'k', endpoint, account, access_key, 'x', ?, asked_at, state, owner "
        "FROM sessions", "00000000-0000-4000-8000-000000000000")  # fmt: skip
    report = await api.reap()
    assert sorted((o.name, o.status, o.ok) for o in report.outcomes) == sorted(
        [(batch.name, "gone", True), ("x", "gone", True)]
    )
    assert names(path) == []


async def test_a_session_that_was_never_made(api: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner died after writing, before sending; or the request may be under way still."""
    monkeypatch.setattr(_reap, "_SOON", _reap.timedelta(seconds=0.3))
    cs = await api.create("python", **SMALL)
    await kill_owner(path, cs.name)
    sql(path, "UPDATE sessions SET session_id = '', state = 'intended', name = 'never-one'")
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.status, outcome.session_id, outcome.ok) == ("unsettled", "", False)
    assert names(path) == ["never-one"]
    sql(path, "UPDATE sessions SET asked_at = asked_at - 700")
    assert [o.status for o in (await api.reap(dry_run=True)).outcomes] == ["never made"]
    assert names(path) == ["never-one"]
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.status, outcome.ok) == ("never made", True)
    assert names(path) == []
    await cs.destroy()


async def test_a_request_that_was_under_way_is_waited_for(api: Any, path: Path) -> None:
    """It has its effect after its owner has died, and after the reaper's first look."""
    cs = await api.create("python", name="late-one", **SMALL)
    await kill_owner(path, cs.name)
    sql(path, "UPDATE sessions SET session_id = '', state = 'intended', name = 'late-two'")
    reaping = asyncio.ensure_future(_await(api.reap()))
    await asyncio.sleep(0.2)
    assert not reaping.done()
    async with api.with_options() as other:
        await other.ensure("late-two", "python", **SMALL)
        assert [o.status for o in (await reaping).outcomes] == ["terminated"]
    await cs.destroy()


async def _await(made: Any) -> Any:
    return await made


async def test_somebody_elses_newer_session_of_that_name_is_not_touched(
    api: Any, cluster: Any, path: Path
) -> None:
    lost = await api.create("python", name="train-1", **SMALL)
    await kill_owner(path, "train-1")
    await lost.destroy(forced=True)
    await lost.wait("dead", timeout=20)
    theirs = await api.ensure("train-1", "python", **SMALL)  # in no journal
    sql(path, "DELETE FROM sessions")
    sql(path, "INSERT INTO sessions SELECT 'k', ?, ?, ?, 'train-1', '', ?, 'intended', id FROM owners "
        "WHERE started = '1'", cluster.endpoint, cluster.access_key, cluster.access_key, time.time() - 3600)  # fmt: skip
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.status, outcome.session_id, outcome.ok) == ("foreign", "", True)
    assert live(cluster) == {"train-1"}
    assert names(path) == []
    await theirs.destroy()


async def test_a_living_owners_session_of_that_name_is_not_touched(
    api: Any, cluster: Any, path: Path
) -> None:
    """Asked for a moment after the dead one had asked, so that times do not tell."""
    holder = await api.create("python", name="train-2", **SMALL)
    await written(path, "SELECT session_id FROM sessions", [(holder.id,)])
    dead = await kill_owner(path)
    sql(path, "INSERT INTO sessions SELECT 'k', endpoint, account, access_key, name, '', asked_at, 'intended', ? "
        "FROM sessions", dead)  # fmt: skip
    sql(path, "UPDATE sessions SET session_id = '', state = 'intended'")
    assert [o.status for o in (await api.reap()).outcomes] == ["unsettled"]
    sql(path, "UPDATE sessions SET session_id = ?, state = 'live' WHERE key != 'k'", holder.id)
    assert [o.status for o in (await api.reap()).outcomes] == ["foreign"]
    assert live(cluster) == {"train-2"}
    assert names(path) == ["train-2"]
    await holder.destroy()


async def test_an_administrator_at_a_web_server_touches_nobody_elses(
    make: Any, cluster: Any, path: Path
) -> None:
    """There, no key says whose session of a name is meant, and administrators see everybody's."""
    async with (
        make() as api,
        make(access_key=cluster.admin.access_key, secret_key=cluster.admin.secret_key) as admin,
    ):
        theirs = await api.create("python", name="train-3", **SMALL)
        await kill_owner(path, "train-3")
        sql(
            path,
            "UPDATE sessions SET session_id = '', account = ?, access_key = ''",
            cluster.admin.access_key,
        )
        assert [o.status for o in (await admin.reap()).outcomes] == ["foreign"]
        assert live(cluster) == {"train-3"}
        await theirs.destroy()


async def test_a_renamed_session_is_found_by_its_id(api: Any, cluster: Any, path: Path) -> None:
    cs = await api.create("python", **SMALL)
    await kill_owner(path, cs.name)
    await cs.rename("another-name")
    assert [o.session_id for o in (await api.reap()).outcomes] == [cs.id]
    assert live(cluster) == set()


async def test_what_is_kept_on_purpose_is_not_in_the_journal(api: Any, cluster: Any, path: Path) -> None:
    ensured = await api.ensure("ensured-1", "python", **SMALL)
    ran = await api.run("python", code="1", rm=False, **SMALL)
    async with api.create("python", **SMALL) as detached:
        await written(path, "SELECT session_id, state FROM sessions", [(detached.id, "live")])
        await detached.detach()
        assert names(path) == []
    kept = await api.create("python", **SMALL)
    assert names(path) == [kept.name]
    assert len(live(cluster)) == 4
    await api.destroy(ensured, ran.session_id, detached, kept)
    await written(path, "SELECT name FROM sessions", [])


async def test_detach_without_a_journal(make: Any, cluster: Any) -> None:
    async with make(journal=False) as plain:
        async with plain.create("python", **SMALL) as cs:
            await cs.detach()
        assert live(cluster) == {cs.name}
        await cs.destroy()


async def test_one_owner_only(api: Any, cluster: Any, path: Path) -> None:
    one, two = await api.create("python", **SMALL), await api.create("python", **SMALL)
    first, second = await kill_owner(path, one.name), await kill_owner(path, two.name, silent=True)
    report = await api.reap(owner=second)
    assert [(o.name, o.owner) for o in report.outcomes] == [(two.name, second)]
    assert live(cluster) == {one.name}
    assert (await api.reap(owner=this_process().id)).outcomes == ()
    assert [o.status for o in (await api.reap(owner=first)).outcomes] == ["terminated"]


async def test_several_reapers_at_once(make: Any, cluster: Any, path: Path) -> None:
    async with make() as api, make() as other:
        made = [await api.create("python", enqueue_only=True, **SMALL) for _ in range(6)]
        await kill_owner(path, *(cs.name for cs in made))
        reports = await asyncio.gather(*(_await(a.reap()) for a in (api, other, api)))
        for report in reports:
            assert report.ok, report
        assert live(cluster) == set()
        assert names(path) == []


async def test_other_accounts_and_other_servers_are_left_alone(make: Any, cluster: Any, path: Path) -> None:
    async with (
        make() as api,
        make(access_key=cluster.admin.access_key, secret_key=cluster.admin.secret_key) as admin,
    ):
        mine, theirs = await api.create("python", **SMALL), await admin.create("python", **SMALL)
        await kill_owner(path, mine.name, theirs.name)
        sql(path, "INSERT INTO sessions SELECT 'k', 'http://other', account, access_key, 'x', '', asked_at, state, "
            "owner FROM sessions WHERE name = ?", mine.name)  # fmt: skip
        assert [o.name for o in (await api.reap()).outcomes] == [mine.name]
        assert live(cluster) == {theirs.name}
        assert [o.name for o in (await admin.reap()).outcomes] == [theirs.name]
        assert names(path) == ["x"]


async def test_an_administrators_session_for_somebody_else(make: Any, cluster: Any, path: Path) -> None:
    async with make(access_key=cluster.admin.access_key, secret_key=cluster.admin.secret_key) as admin:
        await admin.create("python", owner_access_key=cluster.access_key, **SMALL)
        await kill_owner(path, *names(path))
        sql(path, "UPDATE sessions SET session_id = '', state = 'intended'")
        assert [o.status for o in (await admin.reap()).outcomes] == ["terminated"]


async def test_bad_calls(make: Any, api: Any, cluster: Any) -> None:
    with pytest.raises(InvalidArgument, match="owner"):
        await api.reap(owner="")
    async with make(journal=False) as plain:
        with pytest.raises(UsageError, match="journal=True"):
            await plain.reap()


async def test_without_a_journal_that_can_be_written_nothing_is_made(
    make: Any, cluster: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no database, but long enough to be looked into")
    before = len(cluster.sessions())
    for path in (tmp_path, tmp_path / "file", tmp_path / "file" / "below"):
        async with make(journal=path) as api:
            with pytest.raises(JournalError, match="No session was asked for"):
                await api.create("python")
            with pytest.raises(JournalError, match="cannot be"):
                await api.reap()
            await api.ensure("in-no-journal", "python", **SMALL)
            await api.destroy("in-no-journal")
            await _wait_for_end(api)
    assert len(cluster.sessions()) == before + 3


async def _wait_for_end(api: Any) -> None:
    page = await api.list(status="all", fields=["id"], order="-created_at", page_size=1)
    cs = await api.get(page.items[0].id)
    await cs.wait("dead", timeout=20)


async def test_a_refused_creation_is_forgotten(api: Any, path: Path) -> None:
    from backendai_sdk import ImageNotFound, SessionExists

    with pytest.raises(ImageNotFound):
        await api.create("no-such-image:1")
    async with api.create("python", name="there-is-one", **SMALL):
        with pytest.raises(SessionExists):
            await api.create("python", name="there-is-one", **SMALL)
        await written(path, "SELECT name FROM sessions", [("there-is-one",)])
    await written(path, "SELECT name FROM sessions", [])
