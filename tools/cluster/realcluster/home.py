"""The folder that everything lives in, the locks in it, and what is remembered from run to run."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from realcluster.console import POLL_SECONDS, ClusterError, say

# Two homes share apt and the machine's ports; /run is emptied at each start of the machine, as locks should be.
MACHINE_LOCKS = Path("/run/lock")
# Unix sockets have 107 bytes; the longest name that is made below a home takes about 45 of them.
LONGEST_HOME = 60
# To be raised when other rows are seeded: a database with older ones is filled anew.
SEED_VERSION = 2


@dataclass(frozen=True)
class Home:
    path: Path

    @property
    def docker(self) -> Path:
        return self.path / "docker"

    @property
    def environments(self) -> Path:
        return self.path / "environments"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def release(self, version: str) -> Folder:
        return Folder(self.path / version)

    def releases(self) -> list[Folder]:
        """Every release that has been set up here."""
        return [Folder(state.parent) for state in sorted(self.path.glob("*/state.json"))]

    def create(self) -> None:
        if len(os.fsencode(self.path)) > LONGEST_HOME:
            raise ClusterError(
                f"--home is too long for the Unix sockets below it: {self.path} (at most {LONGEST_HOME} bytes)"
            )
        for folder in (self.path, self.docker, self.environments, self.logs):
            folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class Folder:
    """One release's own folder: its settings, data, logs and process records."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def processes(self) -> Path:
        return self.path / "processes"

    @property
    def sockets(self) -> Path:
        return self.path / "ipc"

    def create(self) -> None:
        for folder in (self.settings, self.data, self.logs, self.processes, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)

    def read_state(self) -> State | None:
        try:
            return State(**json.loads((self.path / "state.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ClusterError(f"{self.path / 'state.json'} is damaged; `reset` this release") from None

    def write_state(self, state: State) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / "state.json", json.dumps(asdict(state), indent=1))


@dataclass
class State:
    """What later runs must know: chosen ports, the agent's kind, and what the databases are filled with.

    ``seeded`` is `SEED_VERSION` of the run that filled them, 0 if none has done so wholly.
    """

    ports: dict[str, int] = field(default_factory=dict)
    agent: str = ""
    seeded: int = 0


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old text or the new, never half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.chmod(mode)
    part.replace(path)


@contextmanager
def lock(path: Path, limit: float, why: str) -> Iterator[None]:
    """Hold ``path``'s lock; it falls by itself when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + limit
    told = False
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    say(f"waiting for another run of this tool ({why})")
                    told = True
                if time.monotonic() > end:
                    raise ClusterError(
                        f"another run still holds {path} after {limit:.0f} s ({why})"
                    ) from None
                time.sleep(POLL_SECONDS)
        yield


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
