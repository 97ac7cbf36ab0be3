"""What goes wrong when everything goes wrong: counts that should be 0, and times beside the limits that are set.

Each figure is measured on an embedded cluster that is told to fail (``docs/how-to/faults.md``).  What lives there, and
what was asked of it, the cluster itself is asked, not the client that is measured.

``--check`` fails if a count is not what is promised, or if something takes far longer than its limit; ``--quick`` does
less.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from scoreboard import Figure, cluster, keys, left, living, program

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    BackendAIError,
    LocalCluster,
    RetryPolicy,
    RunItem,
    Session,
    Stdout,
    StreamInterrupted,
    Timeouts,
)
from backendai_sdk.local.faults import HalfOpen, Latency, LostReply, Reset

SMALL: Any = {"resources": "cpu=1 mem=128m"}
# What a machine that is busy with other things may add to a time limit.
MOST_RATIO = 4.0
# Creations send 100 requests at once at first, each on a connection of its own, and more while all goes well.
MOST_FILES = 300


class Sizes(NamedTuple):
    """How much is done; the fields are what the figures say."""

    cancels: int
    creates: int
    resets: int
    threads: int
    calls: int
    kills: int
    open: int


FULL = Sizes(cancels=50, creates=1000, resets=200, threads=8, calls=200, kills=5, open=1000)
QUICK = Sizes(cancels=50, creates=200, resets=40, threads=8, calls=25, kills=2, open=200)


# --- the figures ----------------------------------------------------------------------------------------


async def cancelled_creates(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Creations that are cancelled at any moment, on a line with some delay."""
    async with cluster(luck.randrange(1 << 30)) as server, AsyncSession(**keys(server)) as api:
        await api.ping()
        server.faults.add(Latency(0.005, jitter=0.02))
        struck = 0

        async def one() -> None:
            nonlocal struck
            creating = asyncio.ensure_future(api.create("python", **SMALL))
            await asyncio.sleep(luck.uniform(0, 0.15))
            creating.cancel()
            with suppress(asyncio.CancelledError):
                await (await creating).destroy()  # it was made before
                return
            struck += 1

        while struck < sizes.cancels:
            await asyncio.gather(*(one() for _ in range(min(10, sizes.cancels - struck))))
        orphans = await left(server)
        made = len(server.sessions())
        return [Figure(f"orphans after {struck} cancelled creates", orphans, 0, f"{made} sessions were made")]


async def lost_replies(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Creations of which one in twenty is not answered, although the server acts."""
    limits = Timeouts(request=5, start=60, cleanup=60)
    async with (
        cluster(luck.randrange(1 << 30)) as server,
        AsyncSession(**keys(server), timeouts=limits) as api,
    ):
        await api.ping()
        for how, share in (("reset", 0.02), ("close", 0.02), ("silence", 0.01)):
            server.faults.add(LostReply(then=how), "POST /session", probability=share)  # type: ignore[arg-type]
        held: set[str] = set()
        failed = 0
        at_once = asyncio.Semaphore(16)

        async def one() -> None:
            nonlocal failed
            async with at_once:
                try:
                    held.add((await api.create("python", enqueue_only=True, **SMALL)).id)
                except BackendAIError:
                    failed += 1  # its second reply was lost, too: then it must have left nothing

        await asyncio.gather(*(one() for _ in range(sizes.creates)))
        lost = len(server.faults.hits)
        server.faults.clear()
        doubled = await left(server, held)
        missing = len(held - living(server))
        return [
            Figure(
                f"duplicates over {sizes.creates} creates, 5 % of replies lost",
                doubled,
                0,
                f"{lost} replies were lost, {failed} creates failed",
            ),
            Figure("   sessions that were returned and are not there", missing, 0, ""),
        ]


# Longer than two requests for output, which a server holds for 2 s each: one is lost in the middle, too. 4 kB.
LINES = 50
WRITES = "import time\nfor n in range({lines}):\n    print(f'{mark}-{{n:04d}}'.ljust(79), flush=True)\n    time.sleep(0.1)\n"


class Tally:
    """What became of runs: ``wrong`` counts bytes that are missing without a word, doubled, or somebody else's."""

    def __init__(self) -> None:
        self.wrong = self.whole = self.cut = self.resumed = self.gap = 0


async def resets(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Running output whose connection is reset after any number of bytes, over REST and over WebSockets."""
    async with cluster(luck.randrange(1 << 30)) as server, AsyncSession(**keys(server)) as api:
        sessions = await asyncio.gather(*(api.create("python", **SMALL) for _ in range(20)))
        tally = Tally()
        turns = iter(range(sizes.resets))

        async def worker(session: AsyncComputeSession) -> None:
            for number in turns:
                while not await reset_once(server, session, f"{number:05d}", tally, luck):
                    pass  # it was over before the reset was due

        await asyncio.gather(*(worker(session) for session in sessions))
        what = f"bytes lost without a word, or doubled, {sizes.resets} resets"
        aside = (
            f"{tally.whole} were whole all the same, {tally.cut} were errors; {tally.resumed} resumed, with a "
            f"gap of {tally.gap} that the error had told of"
        )
        return [Figure(what, tally.wrong, 0, aside)]


async def reset_once(
    server: LocalCluster, session: AsyncComputeSession, mark: str, tally: Tally, luck: random.Random
) -> bool:
    """One run and one reset; false if the reset did not strike."""
    rest = luck.random() < 0.5
    # An answer over REST has that many bytes at least; those of a WebSocket have all that is written in them.
    fault = (
        LostReply(then="reset")
        if rest and luck.random() < 0.3
        else Reset(luck.randrange(300 if rest else 2400))
    )
    on = f"POST /session/{session.id}" if rest else f"GET /stream/session/{session.id}/execute*"
    wanted = "".join(f"{mark}-{n:04d}".ljust(79) + "\n" for n in range(LINES))
    run_id, received = "", ""
    with server.faults.add(fault, on, times=1, skip=luck.randrange(2) if rest else 0) as injection:
        try:
            code = WRITES.format(lines=LINES, mark=mark)
            result = await session.execute(code, transport="rest" if rest else "websocket")
        except BackendAIError as exc:
            received, run_id = text_of(getattr(exc, "received", ())), getattr(exc, "run_id", "")
            tally.cut += 1
            tally.wrong += differing(received, wanted[: len(received)])
        else:
            tally.wrong += differing(result.stdout, wanted)
            tally.whole += bool(injection.hits)
    if run_id:
        # What is written from now on: nothing that was received may come again, and no more is missing than the
        # answer that was lost.
        try:
            async with session.resume(run_id) as run:
                items = [item async for item in run]
        except BackendAIError:
            pass  # it had not begun, or its end was in the answer that was lost: the error has said so
        else:
            rest_of_it = text_of(items)
            tally.resumed += 1
            tally.gap += len(wanted) - len(received) - len(rest_of_it)
            tally.wrong += 0 if wanted[len(received) :].endswith(rest_of_it) else len(rest_of_it)
    return bool(injection.hits)


def text_of(items: Iterable[RunItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, Stdout))


def differing(seen: str, wanted: str) -> int:
    return abs(len(seen) - len(wanted)) + sum(a != b for a, b in zip(seen, wanted, strict=False))


async def half_open(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Connections over which nothing comes any more: how long until that is noticed, over the limit."""
    del sizes
    limit = 1.0
    limits = Timeouts(silence=limit, cleanup=20)
    async with (
        cluster(luck.randrange(1 << 30), ping_interval=0.02) as server,
        AsyncSession(**keys(server), timeouts=limits, retry=RetryPolicy(max_attempts=1)) as api,
        api.create("python", **SMALL) as session,
    ):
        await session.execute("1")

        async def events() -> None:
            """The stream is opened again, as the server sees."""
            async with session.stream_events():
                await again.await_hit(timeout=60)

        async def run(transport: Any) -> None:
            with suppress(StreamInterrupted):
                await session.execute("import time\ntime.sleep(3)", transport=transport)
                raise AssertionError("nobody has noticed")

        ways: dict[str, tuple[str, Callable[[], Awaitable[None]]]] = {
            "of events": ("GET /events/session*", events),
            "of a run, REST": (f"POST /session/{session.id}", lambda: run("rest")),
            "of a run, WebSocket": (f"GET /stream/session/{session.id}/execute*", lambda: run("websocket")),
        }
        figures = []
        for name, (on, act) in ways.items():
            with (
                server.faults.add(HalfOpen(400), on, times=1) as fault,
                server.faults.add(Latency(0), on, times=1, skip=1) as again,
            ):
                await act()
                ended = again.hits[0].time if again.hits else datetime.now(UTC)
                ratio = (ended - fault.hits[0].time).total_seconds() / limit
            figures.append(
                Figure(
                    f"half-open stream {name}: noticed, over the limit",
                    ratio,
                    MOST_RATIO,
                    f"timeouts.silence is {limit:g} s",
                    "x",
                )
            )
        return figures


async def threads(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Many threads that share one blocking session, each with a session of its own and one for all."""
    async with cluster(luck.randrange(1 << 30)) as server:

        def work() -> tuple[int, int]:
            with Session(**keys(server)) as api:
                own = [api.create("python", **SMALL) for _ in range(sizes.threads)]
                shared = api.create("python", **SMALL)
                ids = {s.name: s.id for s in server.live_sessions()}  # as the cluster knows them
                wrong, ran = [0] * sizes.threads, [0] * sizes.threads

                def thread(me: int) -> None:
                    for number in range(sizes.calls):
                        token = f"{me}-{number}"
                        match number % 4:
                            case 0:
                                name = own[(me + number) % sizes.threads].name
                                right = api.get(name).id == ids[name]
                            case 1:
                                right = {
                                    row.name: str(row.id) for row in api.list(fields=["name", "id"])
                                }.items() <= ids.items()
                            case 2:
                                ran[me] += 1
                                right = own[me].execute(f"print({token!r})").stdout == f"{token}\n"
                            case _:
                                ran[me] += 1
                                right = shared.execute(f"print({token!r})").stdout == f"{token}\n"
                        wrong[me] += not right

                crew = [threading.Thread(target=thread, args=(n,)) for n in range(sizes.threads)]
                for one in crew:
                    one.start()
                for one in crew:
                    one.join()
                queries = sum(s.num_queries for s in server.live_sessions())
                for cs in [*own, shared]:
                    cs.destroy()
                return sum(wrong), abs(queries - sum(ran))

        wrong, differ = await asyncio.to_thread(work)
        total = sizes.threads * sizes.calls
        what = f"wrong answers, {sizes.threads} threads x {sizes.calls} calls, one session"
        return [
            Figure(what, wrong, 0, f"{total} calls"),
            Figure("   runs on the cluster that were not asked for, or miss", differ, 0, ""),
        ]


KILLED = """
import asyncio
from backendai_sdk import AsyncSession

async def main():
    async with AsyncSession() as api:
        async def one():
            async with api.create("python", resources="cpu=1 mem=128m"):
                print("up", flush=True)
                await asyncio.Event().wait()
        await asyncio.gather(*(one() for _ in range({many})))

asyncio.run(main())
"""


async def killed(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """Programs that are killed while they create sessions; then one ``reap()`` by somebody else."""
    many, found, remained = 50, 0, 0
    async with cluster(luck.randrange(1 << 30)) as server:
        for _ in range(sizes.kills):
            with tempfile.TemporaryDirectory() as folder:
                journal = Path(folder, "journal")
                child = program(server, KILLED.format(many=many), BACKEND_JOURNAL=str(journal))
                with child:
                    try:
                        assert child.stdout is not None
                        for _ in range(luck.randrange(1, many)):
                            await asyncio.to_thread(child.stdout.readline)
                    finally:
                        child.send_signal(signal.SIGKILL)
                found += len(living(server))
                async with AsyncSession(**keys(server), journal=journal) as api:
                    (await api.reap()).check()
                remained += await left(server)
    what = f"sessions left after {sizes.kills} x SIGKILL and reap()"
    return [Figure(what, remained, 0, f"{found} were left before reap()")]


OPENS = """
import asyncio, os
from backendai_sdk import AsyncSession

def files():
    return len(os.listdir("/proc/self/fd")) - 1  # one reads the folder

async def main():
    async with AsyncSession() as api:
        await api.ping()
        print(files(), flush=True)
        held = await asyncio.gather(*(api.create("python", resources="cpu=1 mem=128m") for _ in range({many})))
        print(files(), flush=True)
        await asyncio.to_thread(input)
        del held

asyncio.run(main())
"""


async def open_files(sizes: Sizes, luck: random.Random) -> list[Figure]:
    """What a program that holds many sessions has open; the cluster is in another process."""
    if not Path("/proc/self/fd").is_dir():
        return []
    async with cluster(luck.randrange(1 << 30)) as server:
        with program(server, OPENS.format(many=sizes.open)) as child:
            try:
                assert child.stdout is not None
                before, after = [int(await asyncio.to_thread(child.stdout.readline)) for _ in range(2)]
                running = sum(s.status == "RUNNING" for s in server.live_sessions())
            finally:
                child.communicate("\n")
    what = f"file descriptors at {running} open sessions"
    return [Figure(what, after, MOST_FILES, f"{before} with none")]


FIGURES = [cancelled_creates, lost_replies, resets, half_open, threads, killed, open_files]


async def measure(sizes: Sizes, seed: int, only: str | None) -> list[Figure]:
    figures = []
    for number, figure in enumerate(FIGURES):
        if only not in {None, figure.__name__}:
            continue
        began = time.monotonic()
        for line in await figure(sizes, random.Random(f"{seed}:{number}")):
            print(line, flush=True)
            figures.append(line)
        print(f"   {figure.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller numbers")
    parser.add_argument("--check", action="store_true", help="fail if a promise is broken")
    parser.add_argument("--seed", type=int, help="of all luck; a new one by default")
    parser.add_argument("--only", choices=[figure.__name__ for figure in FIGURES], help="one part")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # connections break all the time
    seed = random.randrange(1 << 30) if options.seed is None else options.seed
    print(f"seed {seed}")
    print(f"{'':58}{'found':>9}{'at most':>9}")
    figures = asyncio.run(measure(QUICK if options.quick else FULL, seed, options.only))
    broken = [
        f"{f.what.strip()}: {f.value:g}{f.unit}; promised: {f.most:g}{f.unit}" for f in figures if not f.kept
    ]
    if options.check:
        print(*broken, sep="\n", end="\n" if broken else "")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
