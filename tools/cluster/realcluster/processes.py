"""Starting, finding and ending the daemons of one folder, and nothing else.

A daemon is known by its process id together with its start time and the machine's start, never by id or name
alone.  It leads a session of its own; what is left of that session after its leader died is known by the session
id together with a working folder inside ours (which every daemon here is started in).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realcluster.console import POLL_SECONDS, ClusterError, run, say, tail, wait_for

LAUNCH = Path(__file__).parent / "programs" / "launch.py"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT = Path("/proc/sys/kernel/random/boot_id")
MIB = 1 << 20


@dataclass(frozen=True)
class Daemon:
    """A long-running program: ``cwd`` lies in our home, ``env`` is added to a small clean environment."""

    name: str
    argv: list[str | Path]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stat:
    """A process as /proc describes it; ``started`` in clock ticks since the machine's start."""

    pid: int
    state: str
    parent: int
    session: int
    started: int
    pages: int

    @property
    def runs(self) -> bool:
        return self.state not in "ZX"


@dataclass(frozen=True)
class Processes:
    """The daemons whose records and logs are in these folders."""

    home: Path
    records: Path
    logs: Path

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def names(self) -> list[str]:
        return sorted(record.stem for record in self.records.glob("*.json"))

    def pid(self, name: str) -> int | None:
        """The daemon's process id while it runs, None when it does not."""
        record = self._read(name)
        if record is None or record["boot"] != BOOT.read_text().strip():
            return None
        stat = read_stat(int(record["pid"]))
        return stat.pid if stat and stat.runs and stat.started == record["started"] else None

    def start(self, daemon: Daemon) -> None:
        """Start a daemon that does not run; what an earlier one left behind is ended first."""
        if self.pid(daemon.name) is not None:
            return
        self.stop(daemon.name)
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        daemon.cwd.mkdir(parents=True, exist_ok=True)
        record = self.records / f"{daemon.name}.json"
        with self.log(daemon.name).open("ab") as log:
            process = subprocess.Popen(  # not waited for: it outlives this program
                [sys.executable, "-IS", str(LAUNCH), str(record), *map(str, daemon.argv)],
                cwd=daemon.cwd,
                env={**clean_environment(), **daemon.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(
            daemon.name, 20, record.exists, lambda: None if process.poll() is None else self._why(daemon.name)
        )

    def wait(self, name: str, seconds: float, check: Callable[[], bool]) -> None:
        """Wait until ``check`` holds; raises `ClusterError` with the log's end if the daemon dies or is late."""
        try:
            wait_for(name, seconds, check, lambda: None if self.pid(name) else self._why(name))
        except ClusterError as problem:
            raise ClusterError(f"{problem}\n{tail(self.log(name))}") from None

    def stop(self, name: str, ask: signal.Signals = signal.SIGTERM, limit: float = 30) -> bool:
        """End a daemon and all of its session; False if there was nothing to end."""
        record = self._read(name)
        if record is None:
            return False
        pid = self.pid(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, ask)
            end = time.monotonic() + limit
            while self.pid(name) is not None and time.monotonic() < end:
                time.sleep(POLL_SECONDS / 4)
            if self.pid(name) is not None:
                say(f"{name} did not end within {limit:.0f} s: killed")
        rest = self.members(name)
        kill_all(rest)
        (self.records / f"{name}.json").unlink(missing_ok=True)
        return pid is not None or bool(rest)

    def members(self, name: str) -> list[Stat]:
        """The daemon's session as far as it is surely ours."""
        record = self._read(name)
        if record is None or record["boot"] != BOOT.read_text().strip():
            return []
        leader = int(record["pid"])
        return [
            stat
            for stat in all_processes()
            if stat.session == leader
            and stat.started >= record["started"]
            and (stat.pid != leader or stat.started == record["started"])
            and (self.pid(name) is not None or is_inside(stat.pid, self.home))
        ]

    def memory(self, name: str) -> int:
        """Resident memory of the daemon's session in MiB."""
        return sum(stat.pages for stat in self.members(name)) * os.sysconf("SC_PAGE_SIZE") // MIB

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self.records / f"{name}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def _why(self, name: str) -> str:
        return f"{name} ended instead of coming up"


def clean_environment() -> dict[str, str]:
    """What daemons and tools are given of our environment: nothing that could lead Python or Docker elsewhere."""
    return {"PATH": PATH, "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8", "TZ": "UTC"}


def as_user(user: str, group: str, argv: list[str | Path]) -> list[str | Path]:
    """A command that runs as another user yet can search a folder below root's own home.

    The capability lets it read and search there; it writes only what belongs to it.  Without the secure bit,
    access(2) would look away from the capability.
    """
    caps = "+dac_read_search"
    setpriv = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups"]
    setpriv += ["--securebits", "+no_setuid_fixup"]
    return [*setpriv, "--inh-caps", caps, "--ambient-caps", caps, "--", *argv]


def read_stat(pid: int) -> Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Stat(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        pages=int(fields[21]),
    )


def all_processes() -> Iterator[Stat]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := read_stat(int(entry.name))):
            yield stat


def is_inside(pid: int, folder: Path) -> bool:
    """Whether a process' working folder lies in ``folder``."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def kill_all(stats: list[Stat], limit: float = 10) -> None:
    """Kill these very processes and wait until they are gone."""
    for stat in stats:
        now = read_stat(stat.pid)
        if now and now.started == stat.started:
            with suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
    end = time.monotonic() + limit
    while any(_still(stat) for stat in stats) and time.monotonic() < end:
        time.sleep(POLL_SECONDS / 4)


def _still(stat: Stat) -> bool:
    now = read_stat(stat.pid)
    return bool(now and now.runs and now.started == stat.started)


def unmount_below(folder: Path) -> None:
    """Take away every mount inside ``folder``, the deepest first; raises `ClusterError` if one stays."""
    for point in sorted(mounts_below(folder), key=len, reverse=True):
        with suppress(ClusterError):
            run(["umount", "--lazy", point], limit=30)
    if left := mounts_below(folder):
        raise ClusterError(f"still mounted: {' '.join(left)}")


def mounts_below(folder: Path) -> list[str]:
    # Spaces and the like are written as octal numbers there.
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if Path(point).is_relative_to(folder) and Path(point) != folder]
