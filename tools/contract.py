"""Holds the contract against servers, side by side, and prints one table.

    python tools/contract.py                                  # local-23.09 and local-26.9
    python tools/contract.py local-26.9 23.9.10 26.9.6        # real clusters are brought up, and taken down again

Real clusters (see ``tools/cluster``) need root on a Debian machine. A cluster that runs already is used and left
running. Where Docker cannot be started, that is said in one line, and the cluster gets an agent without containers:
the scenarios that need code are then listed as not run. Whatever else is missing makes this fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import contract_matrix

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "tools" / "cluster" / "cluster.py"
LOCAL = ("local-23.09", "local-26.9")
REAL = ("23.9.10", "26.9.6")
# What pytest ends with if tests have failed, and nothing else was wrong.
TESTS_FAILED = 1
# What `cluster.py up` ends with if there is no Docker to be had.
NO_DOCKER = 3
# Releases whose agent has a backend without containers.
WITHOUT_DOCKER = ("26.9.6",)
# Seconds after which something is badly wrong.
UP_LIMIT = 25 * 60
RUN_LIMIT = 25 * 60
# How many scenarios at once: on real servers they wait for sessions to start, most of the time.
WORKERS = {"local": 1, "real": 3}
# A real server may fail by itself: an agent of 26.9.6 that looks for its containers at the moment in which one starts
# takes it for lost, and is busy with that for a minute. So a few failures on a real server are tried again, alone;
# what fails twice has failed, and the table says what did not hold at once.
MOST_AGAIN = 5


def say(text: str) -> None:
    """One line for whoever reads along."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def command(*words: str, log: Path, limit: float) -> int:
    """Run a command with its output in a file; its exit code."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
        )
        try:
            async with asyncio.timeout(limit):
                return await process.wait()
        except BaseException:
            process.terminate()
            await process.wait()
            raise


def tail(log: Path, lines: int) -> str:
    """The end of a file."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def load(report: Path) -> dict[str, Any]:
    """What a file of a report says."""
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return told


def save(report: Path, told: dict[str, Any]) -> None:
    """Write a report."""
    report.write_text(json.dumps(told, indent=1), encoding="utf-8")


class RealCluster:
    """A real cluster, up for as long as it is needed."""

    def __init__(self, release: str, folder: Path, home: Sequence[str]) -> None:
        self.release = release
        self._folder = folder
        self._options = ("--release", release, *home)
        self._was_up = False
        self.absent = ""

    def report_absence(self) -> Path:
        """A report of a cluster that did not come up: every scenario is missing, or absent if there is a reason."""
        report = self._folder / f"{self.release}.json"
        save(report, {"server": self.release, "scenarios": {}, "absent": self.absent})
        return report

    async def _call(self, verb: str, *options: str, limit: float = UP_LIMIT) -> int:
        self.log = self._folder / f"{self.release}-{verb}.log"
        return await command(
            sys.executable, str(CLUSTER), verb, *self._options, *options, log=self.log, limit=limit
        )

    async def up(self) -> Path | None:
        """Bring it up; the file that describes it, or nothing if it did not come up, which is said."""
        self._was_up = await self._call("status", limit=60) == 0
        began = time.monotonic()
        code = await self._call("up")
        if code == NO_DOCKER and not self._was_up:
            say(f"{self.release}: no Docker here ({tail(self.log, 1)})")
            if self.release not in WITHOUT_DOCKER:
                self.absent = "no Docker here, and the published agent of this release cannot do without"
                return None
            code = await self._call("up", "--agent", "dummy")
        if code != 0:
            say(f"{self.release} did not come up:\n{tail(self.log, 40)}")
            return None
        say(f"{self.release} is up after {time.monotonic() - began:.0f} s")
        if await self._call("env") != 0:
            say(f"{self.release} does not describe itself:\n{tail(self.log, 40)}")
            return None
        described = self._folder / f"{self.release}.env.json"
        described.write_text(json.dumps(json.loads(self.log.read_text(encoding="utf-8"))), encoding="utf-8")
        return described

    async def down(self) -> None:
        """Take it down, unless it was up before."""
        if not self._was_up:
            code = await self._call("down", limit=300)
            say(
                f"{self.release} is down"
                if code == 0
                else f"{self.release} did not end:\n{tail(self.log, 40)}"
            )


async def hold(server: str, name: str, folder: Path, pytest_options: Sequence[str]) -> tuple[Path, str]:
    """Run the scenarios on one server; its report, and what failed."""
    report, log = folder / f"{name}.json", folder / f"{name}.log"
    workers = WORKERS["local" if name.startswith("local-") else "real"]
    began = time.monotonic()
    options = (
        "-q",
        "-n",
        str(workers),
        "--dist",
        "loadgroup",
        "--contract-server",
        server,
        "--contract-report",
        str(report),
    )
    code = await command(
        sys.executable, "-m", "pytest", "tests/contract", *options, *pytest_options, log=log, limit=RUN_LIMIT
    )
    say(f"{name}: {tail(log, 1)} ({time.monotonic() - began:.0f} s)")
    if code == 0:
        return report, ""
    failures = f"--- {name}\n{tail(log, 400)}"
    if code == TESTS_FAILED and name in REAL and await held_again(server, name, report, pytest_options):
        say(f"{name}: what had failed at first held when tried again:\n{failures}")
        failures = ""
    return report, failures


async def held_again(server: str, name: str, report: Path, pytest_options: Sequence[str]) -> bool:
    """Try what has failed once more, one after the other; whether all of it holds now, which the report says then."""
    first = load(report)
    failed = contract_matrix.failed_in(first)
    if not 0 < len(failed) <= MOST_AGAIN:
        return False
    second, log = report.with_suffix(".again.json"), report.with_suffix(".again.log")
    options = ("-q", "--contract-server", server, "--contract-report", str(second))
    cases = [f"tests/contract/{case}" for case in failed]
    code = await command(
        sys.executable, "-m", "pytest", *cases, *options, *pytest_options, log=log, limit=RUN_LIMIT
    )
    say(f"{name}, again: {tail(log, 1)}")
    if code != 0:
        return False
    told = contract_matrix.settled(first, load(second))
    save(report, told)
    return not contract_matrix.failed_in(told)


async def main(servers: Sequence[str], home: Sequence[str], pytest_options: Sequence[str]) -> int:
    """Hold the contract against *servers*; 0 if it holds on all."""
    me = asyncio.current_task()
    assert me is not None
    # Ended from outside, it takes down what it has started, too.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    folder = Path(tempfile.mkdtemp(prefix="contract-"))
    clusters = [RealCluster(name, folder, home) for name in servers if name not in LOCAL]
    try:
        described = await asyncio.gather(*(c.up() for c in clusters))
        absent = [c.report_absence() for c, path in zip(clusters, described, strict=True) if path is None]
        there = {name: name for name in servers if name in LOCAL}
        there |= {c.release: str(p) for c, p in zip(clusters, described, strict=True) if p is not None}
        held = await asyncio.gather(
            *(hold(there[name], name, folder, pytest_options) for name in servers if name in there)
        )
    finally:
        await asyncio.gather(*(c.down() for c in clusters), return_exceptions=True)
    for _, failures in held:
        if failures:
            print(failures)
    missing = [str(report) for report, _ in held if not report.exists()]
    if missing:
        print("no report was written:", *missing)
        return 1
    verdict = contract_matrix.main([str(report) for report in (*(report for report, _ in held), *absent)])
    return verdict or int(any(failures for _, failures in held))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("servers", nargs="*", help=", ".join((*LOCAL, *REAL)))
    parser.add_argument("--home", help="where clusters are kept (see tools/cluster)")
    parser.add_argument("--pytest", action="append", default=[], help="an option for pytest, may be repeated")
    given = parser.parse_args()
    for name in given.servers:
        if name not in (*LOCAL, *REAL):
            parser.error(f"there is no server {name!r}: choose from {', '.join((*LOCAL, *REAL))}")
    home = ("--home", given.home) if given.home else ()
    sys.exit(asyncio.run(main(list(dict.fromkeys(given.servers or LOCAL)), home, given.pytest)))
