"""The protocol's word lists, as string enums that stay open.

A newer server may say a word that is not listed here: it is kept as it is, equals its own string, and
``is_known`` is false.  Compare with ``==``; an unknown member is not a singleton.  Imports nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

__all__ = [
    "ClusterMode",
    "CommitStatus",
    "OpenEnum",
    "Phase",
    "ReasonKind",
    "SessionResult",
    "SessionStatus",
    "SessionType",
    "TaskStatus",
    "Verdict",
]


class OpenEnum(StrEnum):
    """A string enum that keeps a value it does not know."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """Whether this SDK's release knows the word."""
        return self._value_ in type(self)._value2member_map_

    def __reduce_ex__(self, proto: object) -> tuple[type[Self], tuple[str]]:
        return type(self), (self._value_,)


class SessionStatus(OpenEnum):
    """A compute session's status (PROTOCOL §3.1)."""

    PENDING = "PENDING"
    DEPRIORITIZING = "DEPRIORITIZING"
    RESERVED = "RESERVED"
    SCHEDULED = "SCHEDULED"
    PREPARING = "PREPARING"
    PREPARED = "PREPARED"
    PULLING = "PULLING"
    CREATING = "CREATING"
    RUNNING = "RUNNING"
    RUNNING_DEGRADED = "RUNNING_DEGRADED"
    RESTARTING = "RESTARTING"
    RESIZING = "RESIZING"
    SUSPENDED = "SUSPENDED"
    PREEMPTED = "PREEMPTED"
    RESCHEDULING = "RESCHEDULING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"

    @property
    def is_dead(self) -> bool:
        """CANCELLED or TERMINATED: final, the name is free again."""
        return self in {SessionStatus.CANCELLED, SessionStatus.TERMINATED}

    @property
    def is_running(self) -> bool:
        """Code can be run: RUNNING or RUNNING_DEGRADED."""
        return self in {SessionStatus.RUNNING, SessionStatus.RUNNING_DEGRADED}


class SessionType(OpenEnum):
    """What a session is for. Written in lower case when created, read in upper case from GraphQL."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
    INFERENCE = "inference"
    SYSTEM = "system"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if isinstance(value, str) and value != value.lower() and value.lower() in cls._value2member_map_:
            return cls(value.lower())
        return super()._missing_(value)


class SessionResult(OpenEnum):
    """How a batch session ended (PROTOCOL §3.1); interactive ones stay UNDEFINED."""

    UNDEFINED = "UNDEFINED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class ClusterMode(OpenEnum):
    """Where the containers of a cluster session may be placed."""

    SINGLE_NODE = "single-node"
    MULTI_NODE = "multi-node"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Some releases answer the enum's name instead of its value (PROTOCOL §2.5).
        if isinstance(value, str) and (known := value.lower().replace("_", "-")) in cls._value2member_map_:
            return cls(known)
        return super()._missing_(value)


class Phase(OpenEnum):
    """The coarse phase of a start, as given to ``on_progress``."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    PULLING = "pulling"
    PREPARING = "preparing"
    RUNNING = "running"
    ENDED = "ended"


class CommitStatus(OpenEnum):
    """Whether a session is being committed just now."""

    READY = "ready"
    ONGOING = "ongoing"


class TaskStatus(OpenEnum):
    """How far a background task of the server is (PROTOCOL §5.2)."""

    UPDATED = "updated"
    DONE = "done"
    PARTIAL_SUCCESS = "partial_success"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_success(self) -> bool:
        """It has ended, and has done what it was for (or most of it)."""
        return self in {TaskStatus.DONE, TaskStatus.PARTIAL_SUCCESS}


class ReasonKind(OpenEnum):
    """What keeps a session from running."""

    START_TIME = "start_time"
    DEPENDENCIES = "dependencies"
    CONCURRENCY = "concurrency"
    QUOTA = "quota"
    RESOURCES = "resources"
    IMAGE_PULL = "image_pull"
    FAILURE = "failure"
    OTHER = "other"


class Verdict(OpenEnum):
    """Whether a session that waits will get to run."""

    BUSY = "busy"
    """It starts by itself: when something is free, has ended or has arrived."""
    NEVER = "never"
    """It cannot start as things are set up, however long it waits."""
    UNKNOWN = "unknown"
    """What the server tells does not decide it."""
