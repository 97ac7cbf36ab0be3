"""The async-first Python SDK for Backend.AI compute sessions.

Public names are loaded when they are first used, so that importing the package costs next to nothing; in
particular it does not import aiohttp.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from backendai_sdk._version import __version__

if TYPE_CHECKING:
    from backendai_sdk._async._shapes import AwaitableContext
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk._async.events import AsyncEventStream
    from backendai_sdk._async.forward import AsyncPortForward
    from backendai_sdk._async.images import AsyncImages
    from backendai_sdk._async.pager import AsyncPager
    from backendai_sdk._async.pty import AsyncPty
    from backendai_sdk._async.run import AsyncRun
    from backendai_sdk._async.session import AsyncSession
    from backendai_sdk._async.task import AsyncBackgroundTask
    from backendai_sdk._deadline import deadline
    from backendai_sdk._sync.compute import ComputeSession
    from backendai_sdk._sync.events import EventStream
    from backendai_sdk._sync.forward import PortForward
    from backendai_sdk._sync.images import Images
    from backendai_sdk._sync.pager import Pager
    from backendai_sdk._sync.pty import Pty
    from backendai_sdk._sync.run import Run
    from backendai_sdk._sync.session import Session
    from backendai_sdk._sync.task import BackgroundTask
    from backendai_sdk.config import Config, Timeouts
    from backendai_sdk.enums import (
        ClusterMode,
        CommitStatus,
        Phase,
        ReasonKind,
        SessionResult,
        SessionStatus,
        SessionType,
        TaskStatus,
        Verdict,
    )
    from backendai_sdk.errors import (
        AgentError,
        AmbiguousSession,
        APIError,
        AppNotFound,
        AuthenticationError,
        BackendAIError,
        BadRequest,
        ClientClosed,
        ClockSkewError,
        ConfigError,
        ConnectError,
        ConnectionLost,
        DeadlineExceeded,
        ExecutionFailed,
        ExecutionTimeout,
        FileExists,
        FileTransferError,
        GraphQLError,
        ImageNotFound,
        InvalidArgument,
        JournalError,
        NotFound,
        NotSupported,
        PermissionDenied,
        PortalError,
        ProtocolError,
        QuotaExceeded,
        RateLimited,
        RemoteFileNotFound,
        RequestTimeout,
        ServerError,
        ServiceUnavailable,
        SessionError,
        SessionExists,
        SessionFailed,
        SessionNotFound,
        SessionNotReady,
        SessionTimeout,
        StreamInterrupted,
        TaskFailed,
        TransportError,
        UnsupportedServer,
        UsageError,
        WireError,
    )
    from backendai_sdk.local import LocalCluster
    from backendai_sdk.models.app import App, AppAccess
    from backendai_sdk.models.completion import Completions
    from backendai_sdk.models.dependency import DependencyNode
    from backendai_sdk.models.event import SessionEvent
    from backendai_sdk.models.explanation import Explanation, PendingReason
    from backendai_sdk.models.file import FileEntry, FileTransfer, TransferProgress
    from backendai_sdk.models.image import ImageInfo
    from backendai_sdk.models.options import CreateOptions
    from backendai_sdk.models.outcome import DestroyOutcome
    from backendai_sdk.models.page import Page
    from backendai_sdk.models.reap import ReapOutcome, ReapReport
    from backendai_sdk.models.run import (
        ExecutionResult,
        Finished,
        Html,
        InputRequest,
        Log,
        Media,
        RemoteError,
        RunItem,
        RunTransport,
        Stderr,
        Stdout,
        StepFinished,
    )
    from backendai_sdk.models.server import ServerInfo
    from backendai_sdk.models.session import SessionInfo, SessionRef
    from backendai_sdk.models.slots import ByteSize, ResourceSlots
    from backendai_sdk.models.task import TaskProgress
    from backendai_sdk.models.unset import UNSET
    from backendai_sdk.retry import RetryPolicy

# Which module a public name is loaded from; a test holds this table against the imports above.
_HOMES: dict[str, str] = {
    name: module
    for module, names in {
        "_async._shapes": "AwaitableContext",
        "_async.compute": "AsyncComputeSession",
        "_async.events": "AsyncEventStream",
        "_async.forward": "AsyncPortForward",
        "_async.images": "AsyncImages",
        "_async.pager": "AsyncPager",
        "_async.pty": "AsyncPty",
        "_async.run": "AsyncRun",
        "_async.session": "AsyncSession",
        "_async.task": "AsyncBackgroundTask",
        "_sync.compute": "ComputeSession",
        "_sync.events": "EventStream",
        "_sync.forward": "PortForward",
        "_sync.images": "Images",
        "_sync.pager": "Pager",
        "_sync.pty": "Pty",
        "_sync.run": "Run",
        "_sync.session": "Session",
        "_sync.task": "BackgroundTask",
        "config": "Config Timeouts",
        "_deadline": "deadline",
        "enums": "ClusterMode CommitStatus Phase ReasonKind SessionResult SessionStatus SessionType TaskStatus Verdict",
        "errors": (
            "APIError AgentError AmbiguousSession AppNotFound AuthenticationError BackendAIError BadRequest ClientClosed "
            "ClockSkewError ConfigError ConnectError ConnectionLost DeadlineExceeded ExecutionFailed "
            "ExecutionTimeout FileExists FileTransferError GraphQLError ImageNotFound InvalidArgument JournalError NotFound "
            "NotSupported PermissionDenied PortalError ProtocolError QuotaExceeded RateLimited "
            "RemoteFileNotFound RequestTimeout ServerError ServiceUnavailable SessionError SessionExists "
            "SessionFailed SessionNotFound SessionNotReady SessionTimeout StreamInterrupted TaskFailed TransportError "
            "UnsupportedServer UsageError WireError"
        ),
        "local": "LocalCluster",
        "models.app": "App AppAccess",
        "models.completion": "Completions",
        "models.dependency": "DependencyNode",
        "models.event": "SessionEvent",
        "models.explanation": "Explanation PendingReason",
        "models.file": "FileEntry FileTransfer TransferProgress",
        "models.image": "ImageInfo",
        "models.options": "CreateOptions",
        "models.outcome": "DestroyOutcome",
        "models.page": "Page",
        "models.reap": "ReapOutcome ReapReport",
        "models.run": (
            "ExecutionResult Finished Html InputRequest Log Media RemoteError RunItem RunTransport Stderr StepFinished Stdout"
        ),
        "models.server": "ServerInfo",
        "models.session": "SessionInfo SessionRef",
        "models.slots": "ByteSize ResourceSlots",
        "models.task": "TaskProgress",
        "models.unset": "UNSET",
        "retry": "RetryPolicy",
    }.items()
    for name in names.split()
}

__all__ = [
    "UNSET",
    "APIError",
    "AgentError",
    "AmbiguousSession",
    "App",
    "AppAccess",
    "AppNotFound",
    "AsyncBackgroundTask",
    "AsyncComputeSession",
    "AsyncEventStream",
    "AsyncImages",
    "AsyncPager",
    "AsyncPortForward",
    "AsyncPty",
    "AsyncRun",
    "AsyncSession",
    "AuthenticationError",
    "AwaitableContext",
    "BackendAIError",
    "BackgroundTask",
    "BadRequest",
    "ByteSize",
    "ClientClosed",
    "ClockSkewError",
    "ClusterMode",
    "CommitStatus",
    "Completions",
    "ComputeSession",
    "Config",
    "ConfigError",
    "ConnectError",
    "ConnectionLost",
    "CreateOptions",
    "DeadlineExceeded",
    "DependencyNode",
    "DestroyOutcome",
    "EventStream",
    "ExecutionFailed",
    "ExecutionResult",
    "ExecutionTimeout",
    "Explanation",
    "FileEntry",
    "FileExists",
    "FileTransfer",
    "FileTransferError",
    "Finished",
    "GraphQLError",
    "Html",
    "ImageInfo",
    "ImageNotFound",
    "Images",
    "InputRequest",
    "InvalidArgument",
    "JournalError",
    "LocalCluster",
    "Log",
    "Media",
    "NotFound",
    "NotSupported",
    "Page",
    "Pager",
    "PendingReason",
    "PermissionDenied",
    "Phase",
    "PortForward",
    "PortalError",
    "ProtocolError",
    "Pty",
    "QuotaExceeded",
    "RateLimited",
    "ReapOutcome",
    "ReapReport",
    "ReasonKind",
    "RemoteError",
    "RemoteFileNotFound",
    "RequestTimeout",
    "ResourceSlots",
    "RetryPolicy",
    "Run",
    "RunItem",
    "RunTransport",
    "ServerError",
    "ServerInfo",
    "ServiceUnavailable",
    "Session",
    "SessionError",
    "SessionEvent",
    "SessionExists",
    "SessionFailed",
    "SessionInfo",
    "SessionNotFound",
    "SessionNotReady",
    "SessionRef",
    "SessionResult",
    "SessionStatus",
    "SessionTimeout",
    "SessionType",
    "Stderr",
    "Stdout",
    "StepFinished",
    "StreamInterrupted",
    "TaskFailed",
    "TaskProgress",
    "TaskStatus",
    "Timeouts",
    "TransferProgress",
    "TransportError",
    "UnsupportedServer",
    "UsageError",
    "Verdict",
    "WireError",
    "__version__",
    "deadline",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
