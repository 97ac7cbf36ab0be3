"""One run of a session: the records its program produced and nobody has fetched yet.

Every answer of the agent is cut out of this queue: console records up to the first status record, or up to the flush
time. Records are taken only when an answer is really given, so a call that is cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

MAX_RECORDS = 4096
MAX_CHARACTERS = 64 * 1024 * 1024
# Small writes join into one record up to this size: a program that prints a million lines is not a million records.
JOIN_BELOW = 64 * 1024
TEXT_KINDS = frozenset({"stdout", "stderr"})


@dataclass
class _Console:
    kind: str
    data: Any
    pieces: list[str] = field(default_factory=list)
    size: int = 0


@dataclass
class _Status:
    status: str
    exit_code: int | None
    options: dict[str, Any] | None


def answer(
    run_id: str,
    status: str,
    exit_code: int | None = None,
    options: dict[str, Any] | None = None,
    console: list[list[Any]] | None = None,
) -> dict[str, Any]:
    """The `result` object of an execute call."""
    return {
        "status": status,
        "runId": run_id,
        "exitCode": exit_code,
        "options": options,
        "files": [],
        "console": console or [],
    }


def nothing(run_id: str) -> dict[str, Any]:
    """What a manager makes up when the agent has nothing to say about a run."""
    return answer(run_id, "finished", 130, {})


class Run:
    """A queue of records with a name."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.ended = False
        self.detached = False
        # Two calls for one run take turns: each record goes to exactly one of them.
        self.reading = asyncio.Lock()
        self._records: deque[_Console | _Status] = deque()
        self._size = 0
        self._settled = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to fetch."""
        return not self._records

    @property
    def full(self) -> bool:
        """Whether the program has to wait until somebody fetches its output."""
        return len(self._records) >= MAX_RECORDS or self._size >= MAX_CHARACTERS

    def write(self, kind: str, data: Any) -> None:
        """Adds console output."""
        if self.detached or self.ended:
            return
        if kind in TEXT_KINDS:
            last = self._records[-1] if self._records else None
            if not isinstance(last, _Console) or last.kind != kind or last.size >= JOIN_BELOW:
                last = _Console(kind, None)
                self._records.append(last)
            last.pieces.append(data)
            last.size += len(data)
            self._size += len(data)
        else:
            self._records.append(_Console(kind, data))
        if self.full:
            self._settled.set()

    def post(self, status: str, exit_code: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Adds a status, which ends the answer that reaches it."""
        if self.ended:
            return
        self.ended = status == "finished"
        if not self.detached:
            self._records.append(_Status(status, exit_code, options))
            self._settled.set()

    def abort(self) -> None:
        """Ends the run from outside, whatever its program does: its calls are answered at once."""
        self.detached = False
        self.post("finished", 130, {})

    def detach(self) -> None:
        """Loses what is queued and what comes, until a call attaches again."""
        self.detached = True
        self._records.clear()
        self._size = 0
        self._settled.clear()

    async def settle(self, timeout: float) -> None:
        """Waits until there is a status to report or no room for more, but not longer than `timeout`."""
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._settled.wait()
            except TimeoutError:
                pass

    def take(self) -> dict[str, Any]:
        """Removes and returns everything up to the first status."""
        console: list[list[Any]] = []
        pieces: list[str] = []
        kind: str | None = None
        status = _Status("continued", None, None)

        def join() -> None:
            if kind is not None:
                console.append([kind, "".join(pieces)])
                pieces.clear()

        while self._records:
            record = self._records.popleft()
            if isinstance(record, _Status):
                status = record
                break
            self._size -= record.size
            if record.kind not in TEXT_KINDS:
                join()
                kind = None
                console.append([record.kind, record.data])
                continue
            if record.kind != kind:
                join()
                kind = record.kind
            pieces.extend(record.pieces)
        join()
        if not any(isinstance(record, _Status) for record in self._records):
            self._settled.clear()
        return answer(self.id, status.status, status.exit_code, status.options, console)
