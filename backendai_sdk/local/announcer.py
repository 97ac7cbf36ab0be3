"""Which events a change of status causes, in the words of the release.

Assumes that the record has changed already when a method here is called. The real servers disagree most in
this place: names that never arrive, names that arrive twice, order that surprises. All of it is wanted.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from .events import Event

if TYPE_CHECKING:
    from .events import EventHub
    from .records import SessionRecord
    from .releases import Release

__all__ = ["Announcer"]

_SCHEDULER: Final = "triggered-by-scheduler"
_KILLED: Final = -1  # exit code of a container that was asked to go


class Announcer:
    """Publishes what a release would publish."""

    def __init__(self, release: Release, hub: EventHub) -> None:
        self._release = release
        self._hub = hub

    def enqueued(self, session: SessionRecord) -> None:
        self._session(session, "enqueued")
        if self._release.status_named_events:
            self._named(session, "pending", "Session enqueued")

    def moved(self, session: SessionRecord) -> None:
        """Announce the step that `session` has just taken on its way to RUNNING."""
        status = session.status
        if self._release.status_named_events:
            self._moved_new(session, status)
            return
        if status == "SCHEDULED":
            self._session(session, "scheduled")
        elif status == "PREPARING":
            self._kernels(session, "kernel_preparing")
        elif status == "PULLING":
            self._kernels(session, "kernel_pulling", session.image.canonical)
        elif status == "RUNNING":
            self._kernels(session, "kernel_creating")
            self._kernels(session, "kernel_started")
            self._session(session, "started")

    def _moved_new(self, session: SessionRecord, status: str) -> None:
        if status == "SCHEDULED":
            self._session(session, "scheduled")
            self._named(session, "scheduled", _SCHEDULER)
        elif status == "PREPARING":
            self._named(session, "preparing", "passed-preconditions")
        elif status == "PULLING":
            self._kernels(session, "kernel_pulling", session.image.canonical)
        elif status == "PREPARED":
            self._named(session, "prepared", _SCHEDULER)
        elif status == "CREATING":
            self._kernels(session, "kernel_preparing")
            self._kernels(session, "kernel_creating")
        elif status == "RUNNING":
            self._kernels(session, "kernel_started")
            self._named(session, "creating", _SCHEDULER)
            self._session(session, "started")
            self._named(session, "started", _SCHEDULER)

    def restarted(self, session: SessionRecord) -> None:
        self._session(session, "started")
        if self._release.status_named_events:
            self._named(session, "started", _SCHEDULER)

    def cancelled(self, session: SessionRecord, reason: str) -> None:
        if self._release.kernel_cancelled_event:
            self._kernels(session, "kernel_cancelled", reason)
        self._session(session, "cancelled", reason)
        if self._release.status_named_events:
            self._named(session, "cancelled", reason)

    def finished(self, session: SessionRecord, exit_code: int) -> None:
        """Announce the end of a batch session's command."""
        good = session.result == "SUCCESS"
        name, reason = ("session_success", "task-done") if good else ("session_failure", "task-failed")
        self._publish(session, name, reason, exit_code)

    def terminating(self, session: SessionRecord, reason: str) -> None:
        self._publish(session, "session_terminating", reason)
        if self._release.duplicate_session_events:
            self._publish(session, "session_terminating", reason)
        if self._release.kernel_terminating_event:
            self._kernels(session, "kernel_terminating", reason, _KILLED)

    def terminated(self, session: SessionRecord, reason: str) -> None:
        times = self._release.kernel_terminated_times
        for _ in range(min(times, 2)):
            self._kernels(session, "kernel_terminated", reason, _KILLED)
        end = _SCHEDULER if self._release.status_named_events else reason
        self._publish(session, "session_terminated", end)
        if self._release.duplicate_session_events:
            self._publish(session, "session_terminated", reason)
        for _ in range(2, times):  # seen: one more comes when the session is gone already
            self._kernels(session, "kernel_terminated", reason, _KILLED)

    def _session(self, session: SessionRecord, name: str, reason: str = "") -> None:
        """One of the names that only some releases let through."""
        if name in self._release.session_events:
            self._publish(session, f"session_{name}", reason)

    def _named(self, session: SessionRecord, name: str, reason: str) -> None:
        self._publish(session, f"session_{name}", reason)

    def _publish(self, session: SessionRecord, name: str, reason: str, exit_code: int | None = None) -> None:
        self._hub.publish(Event(name, session, reason, exit_code, kernel_id=session.main.id))

    def _kernels(
        self, session: SessionRecord, name: str, reason: str = "", exit_code: int | None = None
    ) -> None:
        for kernel in session.kernels:
            self._hub.publish(Event(name, session, reason, exit_code, kernel))


def new_container_id() -> str:
    """Something that looks like a container's id."""
    return uuid.uuid4().hex + uuid.uuid4().hex
