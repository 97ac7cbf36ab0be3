"""The blocking ``Session``: what a call costs over the async one, and its calls a second beside other blocking clients.

Each client has a process of its own, because each needs an environment of its own; they work in turn, a slice each,
against one stub, so that noise meets all of them.  A figure is the median over the rounds, ``best`` is from the best
slices of both sides: on a busy machine slices are only ever too slow.  ``--install`` makes the environments of
``requests`` and ``httpx``; it assumes a package index.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from paired import HERE, OFFICIAL, Slice, cache_folder, official_pythons, stub

HTTP_CLIENTS = ("requests", "httpx")
# This SDK: as it is inside, its blocking face, and the least that a blocking face could be.
OURS = ("async", "blocking", "hand-over")
_OVER_ASYNC = 40.0  # microseconds for each call: the goal


class Case(NamedTuple):
    """What is called, how often in a slice, and what ``--check`` demands: measured ratios, less a good third.

    Attributes:
        over_async: of the blocking rate over the async one.
        over_best: of the blocking rate over the best of the other clients.
    """

    name: str
    method: str
    times: int
    over_async: float
    over_best: float


CASES = (
    Case("interrupt", "interrupt", times=100, over_async=0.5, over_best=0.7),
    Case("execute, 1 answer", "execute", times=100, over_async=0.5, over_best=0.7),
)
# Through the portal and back, without any work: too far from real calls for a ratio to mean anything.
NOTHING = Case("nothing", "nothing", times=500, over_async=0, over_best=0)


class Worker:
    """A client in its process."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._out, self._in = child.stdin, child.stdout

    def answer(self) -> str:
        line = self._in.readline()
        if not line:
            raise SystemExit("a client has ended; what it said is above")
        return line

    def slice(self, case: Case) -> Slice:
        print(case.method, case.times, file=self._out, flush=True)
        return Slice(*json.loads(self.answer()))


@contextmanager
def worker(python: str, client: str, endpoint: str) -> Iterator[Worker]:
    command = [python, "-W", "ignore", str(HERE / "blocking_clients.py"), client, endpoint, str(UUID(int=1))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            made = Worker(child)
            made.answer()
            yield made
        finally:
            child.kill()


def in_turn(workers: dict[str, Worker], case: Case, rounds: int) -> dict[str, list[Slice]]:
    """Slices of each client.  Every other round goes backwards: whoever comes later finds another machine."""
    able = [name for name in workers if case is not NOTHING or name in OURS]
    for name in able:  # opens connections, fills caches
        workers[name].slice(case)
    slices: dict[str, list[Slice]] = {name: [] for name in able}
    for number in range(rounds):
        for name in reversed(able) if number % 2 else able:
            slices[name].append(workers[name].slice(case))
    return slices


def ratio(ours: list[Slice], theirs: list[Slice]) -> tuple[float, float]:
    """Our rate over theirs: the median of rounds, and from the best slices."""
    rate = statistics.median(t.wall / o.wall for o, t in zip(ours, theirs, strict=True))
    return rate, min(t.wall for t in theirs) / min(o.wall for o in ours)


def report(case: Case, slices: dict[str, list[Slice]]) -> list[str]:
    """Print the rows of a case; the promises that it breaks."""
    ours, broken = slices["blocking"], []
    for name, theirs in slices.items():
        rate, best = ratio(ours, theirs)
        wall, cpu = (statistics.median(s[i] for s in theirs) * 1e6 for i in (0, 1))
        print(f"{case.name:20}{name:18}{1e6 / wall:>9.0f}{wall:>9.0f}{cpu:>9.0f}{rate:>8.2f}{best:>8.2f}")
    over = statistics.median(o.wall - t.wall for o, t in zip(ours, slices["async"], strict=True)) * 1e6
    best_over = (min(o.wall for o in ours) - min(t.wall for t in slices["async"])) * 1e6
    floor = (min(t.wall for t in slices["hand-over"]) - min(t.wall for t in slices["async"])) * 1e6
    print(
        f"{'':20}over async: {over:.0f} us, best slices {best_over:.0f} us (goal: {_OVER_ASYNC:.0f}; "
        f"the barest hand-over between two threads: {floor:.0f} us)"
    )
    if (got := max(ratio(ours, slices["async"]))) < case.over_async:
        broken.append(f"{case.name}: {got:.2f} of async, promised {case.over_async}")
    others = {name: theirs for name, theirs in slices.items() if name not in OURS}
    if others:
        fastest = min(others, key=lambda name: statistics.median(s.wall for s in others[name]))
        got = max(ratio(ours, others[fastest]))
        print(f"{'':20}over {fastest}, the best of the others: {got:.2f} (goal: 1)")
        if got < case.over_best:
            broken.append(f"{case.name}: {got:.2f} of {fastest}, promised {case.over_best}")
    return broken


# --- environments ---------------------------------------------------------------------------------------


def http_client_folder(name: str) -> Path:
    """One for each Python: all but the official client are measured on the one that runs this."""
    return cache_folder() / "http-clients" / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"


def install() -> None:
    for name in HTTP_CLIENTS:
        folder = http_client_folder(name)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip = [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                name,
            ]
            subprocess.run(pip, check=True, timeout=900)
            (folder / "complete").touch()  # last: its presence says that everything before it was done


def pythons(*, quick: bool) -> dict[str, tuple[str, str]]:
    """Interpreter and class of each client that is there; says which one is not."""
    found = {
        "async": (sys.executable, "Async"),
        "blocking": (sys.executable, "Blocking"),
        "hand-over": (sys.executable, "HandOver"),
    }
    for name in HTTP_CLIENTS:
        folder = http_client_folder(name)
        if (folder / "complete").exists():
            found[name] = (str(folder / "bin" / "python"), name.capitalize())
        else:
            print(f"{name}: not installed (benchmarks/blocking.py --install)")
    if quick:
        print("official clients: left out by --quick")
        return found
    official = official_pythons()
    for version in OFFICIAL:
        if version in official:
            found[f"official {version}"] = (official[version], "Official")
        else:
            print(f"official client {version}: not installed (tools/official_client.py install {version})")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="slices of each client")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no official client")
    parser.add_argument("--check", action="store_true", help="fail if a promised ratio is missed")
    parser.add_argument("--install", action="store_true", help="make the environments of the HTTP clients")
    options = parser.parse_args()
    if options.install:
        install()
        return 0
    rounds, broken = options.rounds or (10 if options.quick else 50), []
    with ExitStack() as stack:
        endpoint = stack.enter_context(stub(0))
        workers = {
            name: stack.enter_context(worker(python, client, endpoint))
            for name, (python, client) in pythons(quick=options.quick).items()
        }
        print(f"{'':38}{'calls/s':>9}{'us':>9}{'cpu us':>9}{'rate':>8}{'best':>8}")
        for case in (NOTHING, *CASES):
            broken += report(case, in_turn(workers, case, rounds))
    print(
        "us: wall time for each call, medians; rate: the blocking SDK's over this one, median of rounds; best: of best slices"
    )
    if options.check:
        print(*broken, sep="\n", end="\n" if broken else "")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
