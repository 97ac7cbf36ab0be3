"""The journal's file: an SQLite database that many processes write at once.

What is called here blocks: callers run it in a thread.  Every call opens the file, does all of its steps in one
transaction that is on the disk when the call returns, and closes it again: nothing is held that a ``fork``
would share, and a file that was removed is made anew.  SQLite keeps processes apart by locks, so the file
belongs on a local disk; a network file system may not have them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

import attrs

from backendai_sdk._journal.entry import Entry, State
from backendai_sdk._journal.owner import Owner
from backendai_sdk.errors import JournalError

__all__ = [
    "JournalFile",
    "Step",
    "abandon",
    "beat",
    "entries",
    "forget",
    "forget_session",
    "idle_owners",
    "intend",
    "leave",
    "made",
    "prune",
]

# One thing to do in a transaction.
Step = Callable[[sqlite3.Connection], object]

# How long another process may hold the file before this one gives up.
_PATIENCE = 10.0
_APPLICATION = 0x42534A4E
_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS owners (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, place TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
    beat REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, account TEXT NOT NULL, access_key TEXT NOT NULL,
    name TEXT NOT NULL, session_id TEXT NOT NULL, asked_at REAL NOT NULL, state TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES owners (id)
);
CREATE INDEX IF NOT EXISTS sessions_by_id ON sessions (session_id);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""

# One at a time in a process: it has no use for waiting on its own locks, and closing a file that another thread has
# open would give that one's locks away (POSIX).  A fork waits for its turn as well: a child that begins with SQLite
# in the middle of something would find the file locked for ever.
_turn = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_turn.release)


@attrs.frozen
class JournalFile:
    """The file of that path; made by the first call, with its folder, for its user alone."""

    path: Path

    def do(self, steps: Sequence[Step]) -> list[object]:
        """Do all *steps* in one transaction, or none of them; what each has returned.

        Raises:
            JournalError: the file cannot be read or written.
        """
        try:
            with _turn:
                return self._do(steps)
        except sqlite3.Error as exc:
            raise JournalError(f"the journal {self.path} cannot be {_wrong(exc)}. {_ADVICE}") from exc
        except OSError as exc:
            why = exc.strerror or exc
            raise JournalError(f"the journal {self.path} cannot be opened: {why}. {_ADVICE}") from exc

    def _do(self, steps: Sequence[Step]) -> list[object]:
        ends_at = time.monotonic() + _PATIENCE
        while True:
            self._make()
            try:
                with closing(
                    sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
                ) as connection:
                    self._prepare(connection)
                    connection.execute("BEGIN IMMEDIATE")
                    try:
                        results = [step(connection) for step in steps]
                        connection.execute("COMMIT")
                    except BaseException:
                        if connection.in_transaction:
                            connection.execute("ROLLBACK")
                        raise
                    return results
            except sqlite3.OperationalError as exc:
                # Some locks SQLite does not wait for, so as not to wait for ever: those of a new file above all.
                if "locked" not in str(exc) or time.monotonic() > ends_at:
                    raise
            time.sleep(0.01)

    def _make(self) -> None:
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")  # or another process could make the tables between two of the questions
        version = _number(connection, "PRAGMA user_version")
        application = _number(connection, "PRAGMA application_id")
        tables = _number(connection, "SELECT count(*) FROM sqlite_master")
        connection.execute("COMMIT")
        if not (version or application or tables):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        elif application != _APPLICATION:
            raise JournalError(f"the file {self.path} is a database, but no journal of this SDK. {_ADVICE}")
        elif version != _VERSION:
            raise JournalError(
                f"the journal {self.path} was written by another version of the SDK (format {version}, this one "
                f"knows {_VERSION}). {_ADVICE}"
            )
        # On the disk before the call returns: what follows is a request that must not be forgotten.
        connection.execute("PRAGMA synchronous = FULL")


_ADVICE = "Name another file with journal= or BACKEND_JOURNAL, or move this one away"


def _wrong(exc: sqlite3.Error) -> str:
    if isinstance(exc, sqlite3.OperationalError):
        return f"written: {exc}"
    return f"read: {exc}"


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)


# --- what is done in a transaction ------------------------------------------------------------------------


def intend(entry: Entry, *, now: float) -> Step:
    """Write down that a session is about to be asked for, and that its owner lives."""
    owner = entry.owner
    mine = (owner.id, owner.host, owner.place, owner.pid, owner.started, now)
    row = (
        *(entry.key, entry.endpoint, entry.account, entry.access_key, entry.name, entry.session_id),
        *(entry.asked_at, str(entry.state), owner.id),
    )

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?, ?)", mine)
        connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    return step


def made(key: str, session_id: str) -> Step:
    """The session of that entry exists and has that id."""
    return _execute(
        "UPDATE sessions SET session_id = ?, state = ? WHERE key = ?", session_id, str(State.LIVE), key
    )


def abandon(*, key: str = "", session_id: str = "") -> Step:
    """The owner holds that session no more and could not destroy it."""
    where, what = ("key", key) if key else ("session_id", session_id)
    return _execute(f"UPDATE sessions SET state = ? WHERE {where} = ?", str(State.ABANDONED), what)  # noqa: S608


def forget(key: str) -> Step:
    """There is nothing to be destroyed for that entry (any more)."""
    return _execute("DELETE FROM sessions WHERE key = ?", key)


def forget_session(session_id: str) -> Step:
    """That session is gone, or is to outlive its owner."""
    return _execute("DELETE FROM sessions WHERE session_id = ?", session_id)


def beat(owner: Owner, *, now: float) -> Step:
    """The owner lives."""
    return _execute("UPDATE owners SET beat = ? WHERE id = ?", now, owner.id)


def leave(owner: Owner) -> Step:
    """Nobody needs to know whether the owner lives, if nothing is owned by it."""
    return _execute(
        "DELETE FROM owners WHERE id = ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE owner = ?)",
        owner.id,
        owner.id,
    )


def prune(owners: Collection[Owner]) -> Step:
    """Forget those of the dead *owners* that own nothing any more."""

    def step(connection: sqlite3.Connection) -> None:
        for owner in owners:
            leave(owner)(connection)

    return step


def entries() -> Step:
    """All that is written down, the oldest first."""

    def step(connection: sqlite3.Connection) -> list[Entry]:
        rows = connection.execute(
            "SELECT host, place, pid, started, beat, endpoint, account, access_key, name, session_id, asked_at, "
            "state, key FROM sessions JOIN owners ON owners.id = sessions.owner ORDER BY asked_at, key"
        )
        return [_entry(*row) for row in rows]

    return step


def idle_owners() -> Step:
    """The owners that own nothing."""

    def step(connection: sqlite3.Connection) -> list[Owner]:
        rows = connection.execute(
            "SELECT host, place, pid, started, beat FROM owners "
            "WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE owner = owners.id)"
        )
        return [Owner(host=h, place=p, pid=i, started=s, beat=b) for h, p, i, s, b in rows]

    return step


def _entry(
    host: str, place: str, pid: int, started: str, beat: float, endpoint: str, account: str, access_key: str,
    name: str, session_id: str, asked_at: float, state: str, key: str,
) -> Entry:  # fmt: skip
    return Entry(
        endpoint=endpoint,
        account=account,
        access_key=access_key,
        name=name,
        session_id=session_id,
        asked_at=asked_at,
        state=State(state),
        owner=Owner(host=host, place=place, pid=pid, started=started, beat=beat),
        key=key,
    )


def _execute(statement: str, *values: object) -> Step:
    def step(connection: sqlite3.Connection) -> None:
        connection.execute(statement, values)

    return step
