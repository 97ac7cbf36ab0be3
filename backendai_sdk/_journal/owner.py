"""Who owns a session: one process, told apart from every other that ever had its pid.

A process is named by the place in which its pid means something (one boot of one kernel, one pid namespace),
its pid, and the moment at which it started.  Whoever looks from the same place can say for sure whether it
lives.  From elsewhere (another container, another machine, after a reboot, or where there is no ``/proc``, as
on macOS and Windows) its heartbeat decides: the time that it writes down every :data:`BEAT` seconds.

Assumed: processes that share a journal share a clock, which does not jump by :data:`SILENT_FOR`.  A process
that ``exec``s another program stays the same owner.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from uuid import uuid4

import attrs

__all__ = ["BEAT", "SILENT_FOR", "Owner", "lives", "this_process"]

# How often an owner says that it lives, and for how many seconds it must have been silent to count as dead: long
# enough for a process that is stopped for a while, or whose event loop is held up.
BEAT = 30.0
SILENT_FOR = 600.0

_PROC = Path("/proc")


@attrs.frozen(kw_only=True)
class Owner:
    """A process, and the last time at which it said that it lives.

    Attributes:
        host: the name of its machine or container, for people only: names of hosts are not unique.
        place: where its pid means something, or ``""`` if that cannot be told.
        pid: its number there.
        started: when it started, in the kernel's own ticks since boot; without ``/proc`` a random word.
        beat: the time of its last heartbeat, in seconds since the epoch.
    """

    host: str
    place: str
    pid: int
    started: str
    beat: float = attrs.field(default=0.0, eq=False)

    @property
    def id(self) -> str:
        """The owner as one word, the same for as long as the process lives."""
        return "/".join((self.host, self.place or "-", str(self.pid), self.started))


def lives(owner: Owner, here: Owner, *, now: float) -> bool:
    """Whether *owner* lives, as far as the process *here* can tell; in doubt it does.

    Args:
        now: seconds since the epoch.
    """
    if owner == here:
        return True
    if not owner.place or owner.place != here.place:
        return now - owner.beat < SILENT_FOR
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # it exists, and belongs to another user
    found = _stat(owner.pid)
    if found is None:
        # Another user's, which /proc may hide; or it has ended this very moment.
        return now - owner.beat < SILENT_FOR
    state, started = found
    return state not in {"Z", "X"} and started == owner.started


_known: dict[int, Owner] = {}


def this_process() -> Owner:
    """The owner that this process is; a forked child is another one than its parent."""
    pid = os.getpid()
    if pid not in _known:
        _known.clear()
        _known[pid] = _look(pid)
    return _known[pid]


def _look(pid: int) -> Owner:
    host = re.sub(r"[^\w.-]", "_", socket.gethostname()) or "unnamed"
    place, found = _place(), _stat(pid)
    if not place or found is None:
        return Owner(host=host, place="", pid=pid, started=uuid4().hex[:12])
    return Owner(host=host, place=place, pid=pid, started=found[1])


def _place() -> str:
    """This boot of this kernel, and the pid namespace: ``""`` where the system does not tell."""
    if sys.platform != "linux":
        return ""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except (OSError, ValueError):
        return ""
    digits = re.sub(r"\D", "", namespace)
    return f"{boot}:{digits}" if boot and digits else ""


def _stat(pid: int) -> tuple[str, str] | None:
    """The state and the start of a process, or ``None`` if they cannot be read."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything, parentheses and spaces too; the fields after it are counted from 3.
    fields = text.rpartition(b")")[2].split()
    return (fields[0].decode(), fields[19].decode()) if len(fields) > 19 else None
