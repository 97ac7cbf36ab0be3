"""Finding and destroying what dead owners left, by the journal.

An entry is settled by the session's id if the reply had come, else by its name, under the same servers and the
same key.  A name may have been used again since: a session is destroyed by its name only if the SDK had made
that name up, or if it was created just when the entry says and no living owner has asked for the name.  When in
doubt the session is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from backendai_sdk._async._destroy import destroy_surely
from backendai_sdk._async._find import row_of
from backendai_sdk._async._tidy import too_slow
from backendai_sdk._deadline import clamp
from backendai_sdk._journal.entry import Entry, State
from backendai_sdk._journal.owner import Owner, lives, this_process
from backendai_sdk._wire.creation import is_random_name
from backendai_sdk._wire.gql import equals
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import BackendAIError, SessionNotFound
from backendai_sdk.models.reap import ReapOutcome, ReapReport

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.session import SessionInfo

__all__ = ["Reaper"]

# A request that was under way when its owner died may still have its effect: for so long after it was sent it is
# looked for again and again, ...
_SOON = timedelta(seconds=5)
_POLL = 0.5
# ... and for so long its entry is kept, so that a later reap() looks for it.
_AT_LAST = timedelta(minutes=10)
# When a session of a chosen name must have been created to be the entry's: clocks and rounding before, and after it
# as long as a slow creation takes that was sent a second time.
_BEFORE = timedelta(seconds=5)
_AFTER = timedelta(minutes=5)
_AT_ONCE = 16
_FIELDS = ("id", "name", "status", "created_at", "user_email")


class _Verdict(Exception):
    """There is nothing to destroy, or it must not be."""

    def __init__(self, status: str, session_id: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.session_id = session_id


@attrs.frozen(kw_only=True)
class Reaper:
    """One call of ``reap()``.

    Attributes:
        owner: only this one's sessions, if it is dead; ``None`` for those of all.
        dry_run: look only.
    """

    client: Client
    owner: str | None
    dry_run: bool

    async def run(self) -> ReapReport:
        """Settle every entry that no living owner holds; one outcome each."""
        journal = self.client.journal
        entries = await journal.read()
        dead = await _dead({e.owner for e in entries})
        left = [e for e in entries if e.state == State.ABANDONED or e.owner in dead]
        wanted = [e for e in left if self.owner in {None, e.owner.id}]
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: Entry) -> ReapOutcome:
            async with at_once:
                return await self._settle(entry)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(entry)) for entry in wanted]
        if not self.dry_run:
            journal.forget_owners(await _dead(await journal.idle_owners()))
            await journal.flush()
        return ReapReport(
            outcomes=tuple(task.result() for task in tasks),
            held=len(entries) - len(left),
            dry_run=self.dry_run,
        )

    async def _settle(self, entry: Entry) -> ReapOutcome:
        session_id, error = entry.session_id, None
        try:
            row = await (self._by_id(entry) if entry.session_id else self._by_name(entry))
            session_id = row.id
            status = "left" if self.dry_run else await self._destroy(row)
        except _Verdict as verdict:
            status, session_id = verdict.status, verdict.session_id
        except BackendAIError as exc:
            status, error = "failed", exc
        if not self.dry_run and status not in {"unsettled", "failed"}:
            self.client.journal.forget(entry.key)
        return ReapOutcome(
            name=entry.name,
            session_id=session_id,
            owner=entry.owner.id,
            asked_at=_time(entry),
            status=status,
            error=error,
        )

    async def _by_id(self, entry: Entry) -> SessionInfo:
        try:
            row = await row_of(self.client, entry.session_id, _FIELDS)
        except SessionNotFound:
            raise _Verdict("gone", entry.session_id) from None
        if row.status.is_dead:
            raise _Verdict("gone", row.id)
        return row

    async def _by_name(self, entry: Entry) -> SessionInfo:
        """The session that a request without a reply has led to, if there is one and it is surely that one."""
        now = (await self.client.open()).now
        ends_at = time.monotonic() + _SOON.total_seconds()
        while not (rows := await self._named(entry)):
            left = min(ends_at - time.monotonic(), (_time(entry) + _SOON - now()).total_seconds())
            if left <= 0:
                raise _Verdict("unsettled" if now() - _time(entry) < _AT_LAST else "never made")
            await asyncio.sleep(clamp(min(left, _POLL)) or 0)
        row = rows[0]
        if is_random_name(entry.name):
            return row
        # Read only now: a living owner's entry is older than the session that it speaks of.
        others = [e for e in await self.client.journal.read() if e.name == entry.name and e.key != entry.key]
        if row.id in {e.session_id for e in others}:
            raise _Verdict("foreign")  # as names are unique among live sessions, the entry has none
        if {e.owner for e in others} - await _dead({e.owner for e in others}):
            raise _Verdict("unsettled")  # one of the two requests will be refused
        if not entry.access_key and row.user_email and row.user_email != entry.account:
            raise _Verdict("foreign")  # an administrator at a web server sees everybody's
        if not row.created_at or not _time(entry) - _BEFORE <= row.created_at <= _time(entry) + _AFTER:
            raise _Verdict("foreign")
        return row

    async def _named(self, entry: Entry) -> Sequence[SessionInfo]:
        page = await self.client.page(
            _FIELDS,
            limit=10,
            status="active",
            filter=equals("name", entry.name),
            access_key=entry.access_key or None,
        )
        return page.items

    async def _destroy(self, row: SessionInfo) -> str:
        if row.status == SessionStatus.TERMINATING:
            return "terminated"  # somebody, another reaper perhaps, has seen to it
        try:
            async with asyncio.timeout(self.client.config.timeouts.cleanup):
                return await destroy_surely(self.client, row.id)
        except TimeoutError as exc:
            if isinstance(exc, BackendAIError):
                raise
            raise too_slow(self.client, f"the session {row.name} could not be destroyed", row) from None


def _time(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.asked_at, UTC)


async def _dead(owners: Collection[Owner]) -> set[Owner]:
    """Those of *owners* that are dead."""

    def look() -> set[Owner]:
        here, now = this_process(), time.time()
        return {owner for owner in owners if not lives(owner, here, now=now)}

    return await asyncio.to_thread(look) if owners else set()
