"""Measures clients beside bare aiohttp: in one process, in turn, a slice of work each, so that noise meets both.

A client's figure is the median, over all pairs of slices, of its rate over the bare one beside it.  Whether a
promise is kept is judged by each side's best slices as well: on a busy machine slices are only ever too slow, and a
check must not depend on the machine.  Each case of each client runs in a fresh process, against one stub; the
official client in its own environment, with the aiohttp and the Python that it needs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

HERE = Path(__file__).resolve().parent
OFFICIAL = ("23.9.10", "26.9.6")
# A slice of a process that hangs fails the benchmark.
_LIMIT = 300.0


class Case(NamedTuple):
    """One row of a table.

    Attributes:
        method: of the clients in ``clients`` and ``bare``, called with *size*; it returns how many were done.
        times: calls in a slice, so many that it takes some hundredths of a second.
        least: what ``--check`` demands of the rate over bare aiohttp: what was measured, less a good quarter.
        session: the session's number; see ``stub``.
    """

    name: str
    method: str
    size: int
    times: int
    least: float
    session: int = 1


class Slice(NamedTuple):
    """What one slice took, for each thing done, in seconds."""

    wall: float
    cpu: float


class Measured(NamedTuple):
    """What a client takes beside bare aiohttp."""

    client: list[Slice]
    bare: list[Slice]

    @property
    def rate(self) -> float:
        """The client's rate over the bare one, median of pairs."""
        return statistics.median(b.wall / c.wall for c, b in zip(self.client, self.bare, strict=True))

    @property
    def cpu(self) -> float:
        """The client's CPU time over the bare one's, median of pairs."""
        return statistics.median(c.cpu / b.cpu for c, b in zip(self.client, self.bare, strict=True))

    @property
    def best(self) -> float:
        """The same for the best slices of both, by wall or by CPU, whichever looks better."""
        c, b = self.client, self.bare
        return max(
            min(s.wall for s in b) / min(s.wall for s in c), min(s.cpu for s in b) / min(s.cpu for s in c)
        )


# --- in a process of its own ----------------------------------------------------------------------------


async def measure(client: str, endpoint: str, case: Case, pairs: int) -> list[list[Slice]]:
    """Slices of the client's and of the bare one's, in turn."""
    import bare
    import clients

    session_id = str(UUID(int=case.session))
    both = [getattr(clients, client)(endpoint, session_id), bare.Client(endpoint, session_id)]
    for one in both:
        await one.open()
    slices: list[list[Slice]] = [[], []]
    try:
        for one in both:  # opens connections, fills caches
            await take_slice(getattr(one, case.method), case)
        gc.collect()
        gc.freeze()  # what is there by now need not be looked through in every slice
        for number in range(pairs):
            # In turn also within the pair: whoever comes second finds warmer caches.
            for i in (0, 1) if number % 2 else (1, 0):
                slices[i].append(await take_slice(getattr(both[i], case.method), case))
    finally:
        for one in both:
            await one.close()
    return slices


async def take_slice(work: Any, case: Case) -> Slice:
    gc.collect()
    cpu, wall, done = time.process_time(), time.perf_counter(), 0
    for _ in range(case.times):
        done += await work(case.size)
    return Slice((time.perf_counter() - wall) / done, (time.process_time() - cpu) / done)


# --- all of them ----------------------------------------------------------------------------------------


@contextmanager
def stub(events: int) -> Iterator[str]:
    """A stub manager in a process of its own; its address."""
    command = [sys.executable, str(HERE / "stub.py"), str(events)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.communicate("", timeout=30)


def in_process(python: str, client: str, endpoint: str, case: Case, pairs: int) -> Measured:
    asked = json.dumps([client, endpoint, case, pairs])
    done = subprocess.run(
        [python, "-W", "ignore", str(HERE / "paired.py"), asked],
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    if done.returncode:
        raise SystemExit(f"{client}: {case.name}: {done.stderr}")
    slices = json.loads(done.stdout.splitlines()[-1])
    return Measured(*([Slice(*one) for one in side] for side in slices))


def cache_folder() -> Path:
    """Where other clients have their environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backendai_sdk"


def official_pythons() -> dict[str, str]:
    """The interpreters of the official client's releases that are installed; see ``tools/official_client.py``."""
    folders = {version: cache_folder() / "official-client" / version for version in OFFICIAL}
    return {v: str(f / "bin" / "python") for v, f in folders.items() if (f / "complete.json").exists()}


def main(about: str, cases: Sequence[Case], *, events: int = 0, goal: str = "") -> int:
    """Measure *cases* and print their table.

    Args:
        events: how many the stub's event stream has.
        goal: an absolute one, to be printed; it is not checked, because machines differ.

    Returns:
        The exit code: 1 if a promise was to be checked and is broken.
    """
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--pairs", type=int, help="slices of each side")
    parser.add_argument("--quick", action="store_true", help="fewer pairs, and no official client")
    parser.add_argument("--check", action="store_true", help="fail if a promised ratio is missed")
    options = parser.parse_args()
    pairs = options.pairs or (15 if options.quick else 75)
    official = {} if options.quick else official_pythons()
    for version in OFFICIAL if not options.quick else ():
        if version not in official:
            print(f"official client {version}: not installed (tools/official_client.py install {version})")
    if options.quick:
        print("official clients: left out by --quick")
    columns = "".join(f"{'v' + version:>14}" for version in official)
    print(
        f"{'':24}{'sdk /s':>8}{'bare /s':>8}{'sdk us':>8}{'bare us':>8}{'rate':>6}{'cpu':>6}{'best':>6}{'least':>6}{columns}"
    )
    broken = []
    with stub(events) as endpoint:
        for case in cases:
            sdk = in_process(sys.executable, "Sdk", endpoint, case, pairs)
            others = [in_process(p, "Official", endpoint, case, pairs) for p in official.values()]
            rates = [statistics.median(1 / s.wall for s in side) for side in sdk]
            costs = [statistics.median(s.cpu for s in side) * 1e6 for side in sdk]
            print(
                f"{case.name:24}{rates[0]:8.0f}{rates[1]:8.0f}{costs[0]:8.1f}{costs[1]:8.1f}"
                f"{sdk.rate:6.2f}{sdk.cpu:6.2f}{sdk.best:6.2f}{case.least:6.2f}"
                + "".join(f"{o.rate:9.2f}{o.cpu:5.2f}" for o in others),
                flush=True,
            )
            if max(sdk.rate, sdk.best) < case.least:
                broken.append(f"{case.name}: {sdk.best:.2f} of bare aiohttp's rate; promised: {case.least}")
    print(
        "us: the client's CPU time for each. rate and cpu: over bare aiohttp beside it, medians of pairs, "
        + ("also of official clients; " if official else "")
        + "best: of the best slices; least: of the better of rate and best, as --check demands"
    )
    if goal:
        print(goal)
    if options.check:
        print(*broken, sep="\n", end="\n" if broken else "")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    client_, endpoint_, case_, pairs_ = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(measure(client_, endpoint_, Case(*case_), pairs_))))
