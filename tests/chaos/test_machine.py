"""Any sequence of creations, runs, cancellations, faults and restarts, and what must hold after each step.

Hypothesis chooses the steps; what lives, what has run and what has happened, the cluster is asked.  More of it:
``--hypothesis-profile=long``.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from chaos_upsets import EVENT_FAULTS, Upset, upsets
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    BackendAIError,
    LocalCluster,
    RetryPolicy,
    RunTransport,
    SessionEvent,
    Timeouts,
)
from backendai_sdk.local import Agent
from backendai_sdk.local.faults import Fault

SMALL: Any = {"resources": "cpu=1 mem=128m"}
# Above what a busy machine takes for a request, below what would make the silent faults slow.
LIMITS = Timeouts(connect=5, request=2, start=20, run=20, silence=2, cleanup=25)
RETRY = RetryPolicy(max_attempts=4, base=0.02, cap=0.1)
SETTLES = 45.0  # within so many seconds all that must come has come

_running: dict[str, LocalCluster] = {}


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    agents = [Agent("i-big", cpu=1024, mem="1024g", accelerators={})]
    with LocalCluster(agents=agents, faults_seed=5, idle_timeout=0, ping_interval=0.5) as cluster:
        _running["cluster"] = cluster
        yield
    _running.clear()


@attrs.frozen
class Made:
    """A session that the program holds, and the creation it came from."""

    cs: AsyncComputeSession
    tag: str


class Machine(RuleBasedStateMachine):
    """One program: what it was given, what it has asked for, and what it was told."""

    @initialize()
    def begin(self) -> None:
        self.cluster = _running["cluster"]
        self.folder = tempfile.TemporaryDirectory()
        self.journal = Path(self.folder.name, "journal")
        self.runner = asyncio.Runner()
        self.keys = self.cluster.add_user()
        self.api = self.client(journal=self.journal)
        self.held: dict[str, Made] = {}
        self.doubtful: dict[str, Made] = {}  # a destruction that ended in an error may have happened
        self.detached: set[str] = set()
        self.ran: Counter[str] = Counter()  # what has been asked to run, and has said that it was complete
        self.number = 0
        self.told: dict[str, list[SessionEvent]] = {}
        self.run(self.start_watching())

    def client(self, **more: Any) -> AsyncSession:
        return AsyncSession(
            endpoint=self.cluster.endpoint,
            access_key=self.keys.access_key,
            secret_key=self.keys.secret_key,
            retry=RETRY,
            **{"timeouts": LIMITS, **more},
        )

    @property
    def patient(self) -> AsyncSession:
        """The same client session for what is not put to the test, on a busy machine."""
        return self.api.with_options(timeout=30)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            self.run(self.end())
        finally:
            self.cluster.faults.clear()
            self.runner.close()
            self.folder.cleanup()

    # --- what is done -------------------------------------------------------------------------------------

    @rule(
        upset=upsets("POST /session", "POST /session", "/admin/gql", "*"),
        enqueue_only=st.booleans(),
        named=st.booleans(),
    )
    def create(self, upset: Upset, enqueue_only: bool, named: bool) -> None:
        tag = self.next("create")
        work = self.api.create(
            "python", name=tag if named else None, tag=tag, enqueue_only=enqueue_only, **SMALL
        ).wait()
        made = self.run(self.endure(work, upset))
        if made is not None:
            self.held[made.id] = Made(made, tag)

    @rule(upset=upsets("DELETE *", "DELETE *", "/admin/gql", "*"))
    def block(self, upset: Upset) -> None:
        """A block in which the upset begins when the session runs; it must be gone afterwards."""
        tag = self.next("block")
        runs = asyncio.Event()

        async def work() -> None:
            async with self.api.create("python", tag=tag, **SMALL) as cs:
                runs.set()
                await cs.refresh()

        self.run(self.endure(work(), upset, begins=runs))

    @rule(upset=upsets("POST /session/*", "*"), which=st.integers(0, 99), lines=st.integers(1, 200))
    def execute(self, upset: Upset, which: int, lines: int) -> None:
        self.runs(upset, which, lines, "rest")

    @rule(upset=upsets("/stream/*", "*"), which=st.integers(0, 99), lines=st.integers(1, 200))
    def execute_by_websocket(self, upset: Upset, which: int, lines: int) -> None:
        self.runs(upset, which, lines, "websocket")

    def runs(self, upset: Upset, which: int, lines: int, transport: RunTransport) -> None:
        """A result that is returned is whole, and nothing runs twice."""
        mark = self.next("run")
        cs = self.choose(which).cs
        code = (
            f"with open('ran.txt', 'a') as file:\n    print({mark!r}, file=file)\n"
            f"for n in range({lines}):\n    print({mark!r}, n)"
        )
        result = self.run(self.endure(cs.execute(code, transport=transport), upset))
        if result is not None:
            assert result.complete and result.exit_code == 0
            assert result.stdout == "".join(f"{mark} {n}\n" for n in range(lines))
            self.ran[mark] += 1

    @rule(upset=upsets("DELETE *", "/admin/gql"), which=st.integers(0, 99), forced=st.booleans())
    def destroy(self, upset: Upset, which: int, forced: bool) -> None:
        made = self.choose(which)
        outcome = self.run(self.endure(made.cs.destroy(forced=forced), upset))
        del self.held[made.cs.id]
        if outcome is None:
            self.doubtful[made.cs.id] = made

    @rule(what=st.sampled_from(["detach", "reap", "reopen"]), which=st.integers(0, 99))
    def keep_house(self, what: str, which: int) -> None:
        """Nothing of this touches what is held."""
        match what:
            case "detach":
                made = self.choose(which)
                self.run(made.cs.detach())
                self.detached.add(made.cs.id)
            case "reap":
                self.run(self.patient.reap()).check()
            case "reopen":
                self.run(self.reopen())

    async def reopen(self) -> None:
        """Another client session takes over: what is held is looked up."""
        await self.api.close()
        self.api = self.client(journal=self.journal)
        await self.take_over(self.held)

    async def take_over(self, those: dict[str, Made]) -> None:
        """Hold them by handles of the client session that there is now."""
        for session_id, made in those.items():
            info = (await self.patient.get(session_id)).info
            self.held[session_id] = Made(AsyncComputeSession(self.api._client, info), made.tag)

    @rule(upset=upsets("/events*"), fault=st.sampled_from(EVENT_FAULTS))
    def disturb_events(self, upset: Upset, fault: Fault) -> None:
        """The next changes of status are told wrongly, and the streams are cut while they happen."""

        async def work() -> AsyncComputeSession:
            with self.cluster.faults.add(fault, times=2):
                return await self.api.create("python", tag=tag, **SMALL)

        tag = self.next("events")
        self.cluster.disconnect("GET /events*")
        made = self.run(self.endure(work(), upset))
        if made is not None:
            self.held[made.id] = Made(made, tag)

    # --- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def every_session_is_somebody_s(self) -> None:
        """One for each creation that has returned, none for any other."""
        wanted = set(self.held)
        self.run(self.comes_true(lambda: wanted <= self.living() <= wanted | set(self.doubtful)))
        tags = Counter(s.tag for s in self.mine() if s.id in self.living())
        assert max(tags.values(), default=0) <= 1, f"several sessions for one creation: {tags}"
        assert wanted <= self.living(), "a session that is held is gone"
        assert self.living() <= wanted | set(self.doubtful), "nobody holds some of these"

    @invariant()
    def the_journal_has_them(self) -> None:
        self.run(self.api._client.journal.flush())
        written = self.written()
        for session_id in self.living():
            if session_id in self.detached:
                assert session_id not in written
            elif session_id in self.held:
                assert session_id in written, f"{session_id} lives and is not in the journal"

    @invariant()
    def nothing_has_run_twice(self) -> None:
        done: Counter[str] = Counter()
        for session in self.mine():
            if (record := session.work_dir / "ran.txt").exists():
                done.update(record.read_text().split())
        assert all(times == 1 for times in done.values()), f"ran more than once: {done}"
        if not any(s.status in {"TERMINATING", "TERMINATED"} for s in self.mine()):
            assert set(self.ran) <= set(done), "a result of what has not run"

    # --- inside -------------------------------------------------------------------------------------------

    def next(self, what: str) -> str:
        self.number += 1
        return f"{what}-{self.number}"

    def choose(self, which: int) -> Made:
        """One that is held; if there is none, a new one: what Hypothesis draws must not depend on luck."""
        if not self.held:
            tag = self.next("calm")
            made = self.run(self.patient.create("python", tag=tag, **SMALL).wait())
            self.run(self.take_over({made.id: Made(made, tag)}))
        return list(self.held.values())[which % len(self.held)]

    def mine(self) -> list[Any]:
        return [s for s in self.cluster.sessions() if s.access_key == self.keys.access_key]

    def living(self) -> set[str]:
        return {s.id for s in self.mine() if s.is_live and s.status != "TERMINATING"}

    def written(self) -> set[str]:
        """The ids in the journal's file."""
        if not self.journal.exists():
            return set()
        with closing(sqlite3.connect(self.journal)) as file:
            return {row[0] for row in file.execute("SELECT session_id FROM sessions")}

    async def endure(
        self, work: Coroutine[Any, Any, Any], upset: Upset, *, begins: asyncio.Event | None = None
    ) -> Any:
        """What *work* gives in spite of *upset*; ``None`` if it fails as it may, or is cancelled."""
        task = asyncio.ensure_future(work)
        acting = asyncio.ensure_future(self.make(upset, task, begins))
        try:
            async with asyncio.timeout(60):
                return await task
        except BackendAIError:
            return None
        except asyncio.CancelledError:
            assert upset.cancel is not None
            return None
        finally:
            if begins is not None:
                begins.set()
            await acting
            self.cluster.faults.clear()

    async def make(self, upset: Upset, task: asyncio.Future[Any], begins: asyncio.Event | None) -> None:
        """Upset for *task*, from the beginning or when it says so."""
        if begins is not None:
            await begins.wait()
        if upset.fault is not None:
            self.cluster.faults.add(upset.fault, upset.on, times=1, skip=upset.skip)
        match upset.act:
            case "restart":
                await self.cluster.arestart(downtime=0.02)
            case "disconnect":
                self.cluster.disconnect()
            case "freeze":
                self.cluster.freeze()
        if upset.cancel is not None:
            seconds = 0.2 if upset.cancel == "struck" else upset.cancel
            end = asyncio.get_running_loop().time() + seconds
            while not task.done() and asyncio.get_running_loop().time() < end:
                if upset.cancel == "struck" and self.cluster.faults.hits:
                    break
                await asyncio.sleep(0.001)
            task.cancel()
        if upset.act == "freeze":
            await asyncio.sleep(0.05)
            self.cluster.thaw()

    async def comes_true(self, condition: Callable[[], bool]) -> None:
        """Wait until it does, or until it had to."""
        end = asyncio.get_running_loop().time() + SETTLES
        while not condition() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)

    # --- events -------------------------------------------------------------------------------------------

    async def start_watching(self) -> None:
        """An observer of its own hears what happens to every session of the key, from before the first one."""
        opened = asyncio.Event()

        async def watch() -> None:
            patient = attrs.evolve(LIMITS, request=30, silence=5)
            async with self.client(timeouts=patient) as api, api.watch() as events:
                opened.set()
                async for event in events:
                    if event.status is not None:
                        self.told.setdefault(event.session_id, []).append(event)

        self.watching = asyncio.create_task(watch())
        await asyncio.wait([self.watching, asyncio.create_task(opened.wait())], return_when="FIRST_COMPLETED")

    def all_told(self) -> bool:
        """Whether the end of every session was told."""
        return all(s.id in self.told and self.told[s.id][-1].is_final for s in self.mine())

    def hold_against_history(self, session: Any) -> None:
        """Each change once and in its order, and none is missing but what a later event has overtaken."""
        events = self.told[session.id]
        told, history = [str(event.status) for event in events], list(session.status_history)
        assert sorted(set(told), key=history.index) == told, f"told {told} of {history}"
        assert told[-1] == history[-1]
        overtaken = {history.index(str(event.status)) - 1 for event in events if not event.recovered}
        for place in reversed(range(len(history))):
            if history[place] not in told:
                assert place in overtaken, f"{history[place]} of {history} was lost: {events}"
                overtaken.add(place - 1)

    async def end(self) -> None:
        """Destroy everything; what was told must be what has happened, each change once and in its order."""
        try:
            # What nobody holds, too: that was an error, and need not be told again.
            every = dict.fromkeys((*self.held, *self.doubtful, *self.living()))
            outcomes = await self.patient.destroy(*every, forced=True)
            assert all(o.status in {"terminated", "cancelled", "gone"} for o in outcomes), outcomes
            await self.comes_true(lambda: not any(s.is_live for s in self.mine()))
            assert not any(s.is_live for s in self.mine())
            await self.comes_true(self.all_told)
            assert self.all_told(), "the end of a session was told in no event"
            for session in self.mine():
                self.hold_against_history(session)
        finally:
            self.watching.cancel()
            ended = (await asyncio.gather(self.watching, return_exceptions=True))[0]
            await self.api.close()
        assert isinstance(ended, asyncio.CancelledError), ended
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks are left: {left}"


_long = settings.get_current_profile_name() == "long"

TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=200 if _long else 20,
    stateful_step_count=30 if _long else 12,
    deadline=None,
    database=None,
    derandomize=not _long,  # a search is for whoever looks at what it finds
    # Shrinking takes minutes, and a dozen steps can be read as they are.
    phases=[Phase.generate, Phase.shrink] if _long else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
TestMachine = pytest.mark.timeout(0 if _long else 180)(TestMachine)
