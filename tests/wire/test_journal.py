"""When the journal is written: before a session is asked for, and whatever becomes of the request."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wire_manager import ACCESS, HANG, RESET, SECRET, Reply, listing, problem

from backendai_sdk import AsyncSession, JournalError, RetryPolicy, SessionTimeout, Timeouts
from backendai_sdk._async import _journal, _reap
from backendai_sdk._journal import file as files
from backendai_sdk._journal.owner import this_process

ROOT = Path(__file__).parents[2]


class Server:
    """Keeps sessions by name. A route in *stuck* gets that answer; in *ignored* it is not acted on either."""

    def __init__(self, path):
        self.path = path
        self.sessions: dict[str, dict] = {}
        self.stuck: dict[str, object] = {}
        self.seen_in_journal: list[list[str]] = []

    def __call__(self, seen):
        method = seen.method if seen.method == "DELETE" else seen.route
        if method == "DELETE" and "DELETE" not in self.stuck:
            gone = seen.target.split("/")[-1].partition("?")[0]
            self.sessions = {n: s for n, s in self.sessions.items() if s["id"] != gone}
            return Reply(200, {"stats": {"status": "terminated"}})
        if method == "POST /session":
            self.seen_in_journal.append(rows(self.path))
            name = seen.json["name"]
            if not isinstance(self.stuck.get(method), Reply):
                self.sessions[name] = {
                    "id": f"id-of-{name}",
                    "name": name,
                    "status": "RUNNING",
                    "type": "INTERACTIVE",
                    "access_key": ACCESS,
                    "created_at": datetime.now(UTC).isoformat(),
                }
            made = Reply(201, {"sessionId": f"id-of-{name}", "sessionName": name, "status": "PENDING"})
            return self.stuck.get(method, made)
        if method in self.stuck:
            return self.stuck[method]
        wanted = seen.json["variables"]["filter"]
        found = self.sessions.values()
        return listing(*(s for s in found if wanted in {f'name == "{s["name"]}"', f'id == "{s["id"]}"'}))


def rows(path):
    """Name, id and state of every entry."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        return connection.execute("SELECT name, session_id, state FROM sessions ORDER BY asked_at").fetchall()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "j"


@pytest.fixture
async def server(serve, path):
    script = Server(path)
    manager = await serve(script)
    script.endpoint, script.manager = manager.endpoint, manager
    return script


@pytest.fixture
async def api(server, client, path):
    limits = Timeouts(connect=2, request=1, silence=2, cleanup=0.3)
    return await client(server.endpoint, journal=path, timeouts=limits, retry=RetryPolicy(max_attempts=1))


async def flush(api):
    await api._client.journal.flush()


async def test_the_name_is_on_the_disk_before_the_request_and_the_id_after_the_reply(server, api, path):
    cs = await api.create("python", enqueue_only=True)
    assert server.seen_in_journal == [[(cs.name, "", "intended")]]
    await flush(api)
    assert rows(path) == [(cs.name, cs.id, "live")]
    await cs.destroy()
    await flush(api)
    assert rows(path) == []


@pytest.mark.parametrize(
    "answer",
    [problem(400, "invalid-api-params"), problem(404, "object-not-found"), problem(412, "quota-exceeded")],
)
async def test_what_the_server_refuses_is_forgotten(server, api, path, answer):
    server.stuck["POST /session"] = answer
    with pytest.raises(Exception, match=r"."):
        await api.create("python", enqueue_only=True)
    await flush(api)
    assert rows(path) == []


async def test_without_the_entry_nothing_is_sent(server, api, path, monkeypatch):
    def fail(self, steps):
        raise JournalError("the disk is full")

    monkeypatch.setattr(files.JournalFile, "do", fail)
    with pytest.raises(JournalError, match=r"the disk is full\. No session was asked for"):
        await api.create("python", enqueue_only=True)
    assert server.sessions == {}
    assert "POST /session" not in server.manager.routes


async def test_cancelled_while_it_is_written_nothing_is_sent_and_nothing_stays_written(
    server, api, path, monkeypatch
):
    begun, go_on, do = threading.Event(), threading.Event(), files.JournalFile.do

    def slow(self, steps):
        begun.set()
        go_on.wait(10)
        return do(self, steps)

    monkeypatch.setattr(files.JournalFile, "do", slow)
    task = asyncio.create_task(_create(api))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await flush(api)
    assert rows(path) == []
    assert "POST /session" not in server.manager.routes


async def _create(api):
    return await api.create("python", enqueue_only=True)


async def test_clean_up_that_takes_too_long_is_handed_to_the_journal(server, api, path):
    """The server is frozen when the block ends; later somebody reaps, while the owner still lives."""
    with pytest.raises(TimeoutError):
        async with api.create("python", enqueue_only=True) as cs:
            server.stuck["DELETE"] = HANG
    await flush(api)
    assert rows(path) == [(cs.name, cs.id, "abandoned")]
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.status, outcome.ok) == ("failed", False)
    with pytest.raises(SessionTimeout, match=r"timeouts\.cleanup"):
        (await api.reap()).check()
    assert rows(path) == [(cs.name, cs.id, "abandoned")]
    del server.stuck["DELETE"]
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.status, outcome.session_id) == ("terminated", cs.id)
    assert server.sessions == {}
    assert rows(path) == []


async def test_an_exception_in_the_block_goes_on_and_the_log_says_who_has_the_session(
    server, api, path, caplog
):
    with caplog.at_level(logging.WARNING), pytest.raises(ZeroDivisionError):
        async with api.create("python", enqueue_only=True) as cs:
            server.stuck["DELETE"] = HANG
            _ = 1 / 0
    assert "the journal has it, reap() will destroy it" in caplog.text
    await flush(api)
    assert rows(path) == [(cs.name, cs.id, "abandoned")]


@pytest.mark.parametrize("times", [1, 2])
async def test_cancelled_while_it_cleans_up_in_vain(server, api, path, times):
    async def block():
        async with api.create("python", enqueue_only=True):
            server.stuck["DELETE"] = HANG
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(block())
    await entered.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.02)
    with pytest.raises(asyncio.CancelledError):
        await task
    await flush(api)
    assert [state for _, _, state in rows(path)] == ["abandoned"]


async def test_cancelled_while_it_cleans_up_successfully(server, api, path):
    async def block():
        async with api.create("python", enqueue_only=True):
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await flush(api)
    assert (rows(path), server.sessions) == ([], {})


@pytest.mark.parametrize("answer", [RESET, HANG], ids=["reset", "silence"])
async def test_a_creation_that_cannot_be_settled_is_left_to_the_journal(server, api, path, answer):
    """The reply is lost, and so is every answer to the question what became of it."""
    server.stuck = {"POST /session": answer, "POST /admin/gql": HANG}
    with pytest.raises(Exception, match=r"."):
        await api.create("python", enqueue_only=True)
    await flush(api)
    ((name, session_id, state),) = rows(path)
    assert (session_id, state) == ("", "abandoned")
    server.stuck = {}
    (outcome,) = (await api.reap()).outcomes
    assert (outcome.name, outcome.session_id, outcome.status) == (name, f"id-of-{name}", "terminated")
    assert server.sessions == {}


async def test_a_cancelled_request_that_may_still_be_under_way_stays_written(server, api, path, monkeypatch):
    """The server acts on it after everybody has looked."""
    monkeypatch.setattr(_reap, "_SOON", _reap.timedelta(seconds=0.1))
    server.stuck["POST /session"] = HANG
    task = asyncio.create_task(_create(api))
    while not server.sessions:
        await asyncio.sleep(0.005)
    late, server.sessions = server.sessions, {}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [o.status for o in (await api.reap()).outcomes] == ["unsettled"]
    server.sessions = late
    assert [o.status for o in (await api.reap()).outcomes] == ["terminated"]
    assert server.sessions == {}


async def test_the_owner_says_that_it_lives_until_it_is_closed(server, client, path, monkeypatch):
    monkeypatch.setattr(_journal, "BEAT", 0.02)
    api = await client(server.endpoint, journal=path)
    cs = await _create(api)

    def beats():
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            return connection.execute("SELECT id, beat FROM owners").fetchall()

    ((owner, first),) = beats()
    assert owner == this_process().id
    while beats() == [(owner, first)]:
        await asyncio.sleep(0.01)
    await api.close()
    assert [o for o, _ in beats()] == [owner], "it still owns a session"
    async with AsyncSession(server.endpoint, access_key=ACCESS, secret_key=SECRET, journal=path) as other:
        await other.destroy(cs.name)
    assert beats() == [], "it owns nothing and is closed"


async def test_a_deadline_that_is_over_keeps_no_heartbeat_from_beating(server, api, path):
    from backendai_sdk import DeadlineExceeded, deadline

    with pytest.raises(DeadlineExceeded), deadline(0.0):
        await _create(api)
    cs = await _create(api)
    heart = api._client.journal._heart
    assert not heart.done()
    await cs.destroy()


async def test_many_creations_share_their_writes(server, client, path, monkeypatch):
    batches, do = [], files.JournalFile.do

    def counted(self, steps):
        batches.append(len(steps))
        return do(self, steps)

    monkeypatch.setattr(files.JournalFile, "do", counted)
    api = await client(server.endpoint, journal=path)
    await asyncio.gather(*(_create(api) for _ in range(30)))
    await flush(api)
    assert len(rows(path)) == 30
    assert sum(batches) == 60
    assert len(batches) < 60
    assert {len(seen) > 0 for seen in server.seen_in_journal} == {True}


def test_one_session_object_in_two_loops(path):
    """The second loop has a heartbeat and threads of its own."""
    from wire_manager import Manager

    api = None

    async def once():
        nonlocal api
        script = Server(path)
        async with Manager(script) as manager:
            if api is None:
                api = AsyncSession(manager.endpoint, access_key=ACCESS, secret_key=SECRET, journal=path)
            api._client._transport = api._client._transport.with_config(_at(api.config, manager))
            cs = await _create(api)
            assert rows(path)[-1][0] == cs.name
            await cs.destroy()
            await flush(api)
            assert api._client.journal._heart.get_loop() is asyncio.get_running_loop()
            await api._client._transport._shared.connection.close()
            api._client._transport._shared.connection = None

    def _at(config, manager):
        import attrs

        return attrs.evolve(config, endpoint=manager.endpoint)

    asyncio.run(once())
    asyncio.run(once())
    asyncio.run(api.close())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_writes_in_its_own_name(path):
    """Also if its parent was writing when it was forked."""
    code = """
        import asyncio, os, sys, threading, time, warnings
        from pathlib import Path
        from backendai_sdk import Config
        from backendai_sdk._async._journal import Ledger
        from backendai_sdk._journal.owner import this_process
        from datetime import datetime, UTC
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # about threads and fork

        config = Config(endpoint="http://x", access_key="A", secret_key="S", journal=sys.argv[1])
        ledger = Ledger(config, lambda work: asyncio.get_running_loop().create_task(work))

        async def write(name):
            await ledger.intend(name, access_key="A", asked_at=datetime.now(UTC))
            await ledger.close()

        async def parent():
            writing = asyncio.ensure_future(write("parents"))
            await asyncio.sleep(0)
            pid = os.fork()
            if pid == 0:
                os._exit(child())
            await writing
            assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0

        def child():
            asyncio._set_running_loop(None)
            asyncio.run(write("childs"))
            return 0

        asyncio.run(parent())

        async def check():
            found = {e.name: e.owner.pid for e in await ledger.read()}
            assert found.keys() == {"parents", "childs"}, found
            assert found["parents"] == os.getpid() != found["childs"], found

        asyncio.run(check())
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25)
    assert (done.returncode, done.stderr) == (0, "")
