"""Every exception that the SDK raises, as one tree with one root.

"No answer" (:class:`TransportError`), "an answer that says no" (:class:`APIError`) and "the request was
fine, the session was not" (:class:`SessionError`) are separate branches, because what a caller does next
differs.  This module imports nothing of ours.

::

    BackendAIError
    ├─ InvalidArgument (ValueError)     a bad argument; nothing was sent
    ├─ ConfigError                      settings are missing or contradict each other; nothing was sent
    ├─ JournalError                     the journal's file cannot be read or written; no session was asked for
    ├─ UsageError (RuntimeError)        a method was called at the wrong moment
    │  ├─ ClientClosed                  the session object was used after close()
    │  └─ PortalError                   a blocking call was made where it would wait for itself
    ├─ DeadlineExceeded (TimeoutError)  deadline() ran out
    ├─ TransportError                   no usable answer came
    │  ├─ ConnectError                  nothing was sent: refused, unknown host, TLS
    │  ├─ ConnectionLost                sent, then cut: the server may have acted
    │  ├─ RequestTimeout (TimeoutError) sent, no answer in time: the server may have acted
    │  ├─ StreamInterrupted             a stream was cut before its end
    │  └─ ProtocolError                 something answered, but not as a Backend.AI manager does
    │     └─ WireError                  an answer without the shape that its model needs
    ├─ UnsupportedServer                the server is too old or too new for this SDK
    │  └─ NotSupported                  this server release cannot do what was asked
    ├─ APIError                         the server answered with an error
    │  ├─ BadRequest 400                └─ ClockSkewError
    │  ├─ AuthenticationError 401       ├─ PermissionDenied 403
    │  ├─ NotFound 404                  ├─ SessionNotFound     ├─ ImageNotFound    ├─ AppNotFound
    │  ├─ AmbiguousSession 404          ├─ SessionExists 400/409
    │  ├─ QuotaExceeded 412/400         ├─ RateLimited 429
    │  ├─ GraphQLError                  an error inside a GraphQL answer
    │  └─ ServerError 5xx               ├─ ServiceUnavailable 502/503/504  └─ AgentError
    └─ SessionError                     the session is not what was asked for
       ├─ SessionFailed                 it was cancelled or ended instead of starting
       ├─ SessionTimeout (TimeoutError) it did not get there in time
       ├─ SessionNotReady               it does not run (yet, or any more)
       ├─ ExecutionFailed               ExecutionResult.check(): the code failed
       ├─ ExecutionTimeout (TimeoutError)
       ├─ FileTransferError             a file could not be carried into or out of the session
       │  ├─ RemoteFileNotFound (FileNotFoundError)
       │  └─ FileExists (FileExistsError)  and may not be replaced without overwrite=True
       └─ TaskFailed                    a background task (a commit, say) failed or was cancelled
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "APIError",
    "AgentError",
    "AmbiguousSession",
    "AppNotFound",
    "AuthenticationError",
    "BackendAIError",
    "BadRequest",
    "ClientClosed",
    "ClockSkewError",
    "ConfigError",
    "ConnectError",
    "ConnectionLost",
    "DeadlineExceeded",
    "ExecutionFailed",
    "ExecutionTimeout",
    "FileExists",
    "FileTransferError",
    "GraphQLError",
    "ImageNotFound",
    "InvalidArgument",
    "JournalError",
    "NotFound",
    "NotSupported",
    "PermissionDenied",
    "PortalError",
    "ProtocolError",
    "QuotaExceeded",
    "RateLimited",
    "RemoteFileNotFound",
    "RequestTimeout",
    "ServerError",
    "ServiceUnavailable",
    "SessionError",
    "SessionExists",
    "SessionFailed",
    "SessionNotFound",
    "SessionNotReady",
    "SessionTimeout",
    "StreamInterrupted",
    "TaskFailed",
    "TransportError",
    "UnsupportedServer",
    "UsageError",
    "WireError",
]


class BackendAIError(Exception):
    """The root of every error of this package; ``str()`` says what happened and what to do."""


class InvalidArgument(BackendAIError, ValueError):
    """An argument was refused before anything was sent.

    Attributes:
        argument: the parameter's name.
    """

    def __init__(self, message: str, *, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class ConfigError(BackendAIError):
    """The settings are incomplete or contradict each other; nothing was sent."""


class JournalError(BackendAIError):
    """The journal's file cannot be read or written; no session was asked for without being written down."""


class UsageError(BackendAIError, RuntimeError):
    """A method was called at a moment when it cannot work."""


class ClientClosed(UsageError):
    """The session object (``AsyncSession`` or ``Session``) was used after ``close()``."""


class PortalError(UsageError):
    """A blocking call was made from a place where it would wait for itself for ever."""


class DeadlineExceeded(BackendAIError, TimeoutError):
    """The time of an enclosing :func:`~backendai_sdk.deadline` ran out."""


# --- no usable answer -----------------------------------------------------------------------------------


class TransportError(BackendAIError):
    """No usable answer came back.

    Attributes:
        method, path: the request, when there was one.
        attempts: the errors of all attempts, the last one included.
    """

    def __init__(
        self, message: str, *, method: str = "", path: str = "", attempts: Sequence[BaseException] = ()
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.attempts: tuple[BaseException, ...] = tuple(attempts)


class ConnectError(TransportError):
    """No connection could be made: the server has not seen the request."""


class ConnectionLost(TransportError):
    """The connection broke after sending began: the server may have acted on the request."""


class RequestTimeout(TransportError, TimeoutError):
    """No answer came within the time limit: the server may have acted on the request."""


class ProtocolError(TransportError):
    """Something answered, but not with what a Backend.AI manager answers.

    Attributes:
        status: the HTTP status, if one was read.
        body: the beginning of what was answered.
    """

    def __init__(self, message: str, *, status: int | None = None, body: str = "", **request: Any) -> None:
        super().__init__(message, **request)
        self.status = status
        self.body = body


class WireError(ProtocolError):
    """An answer does not have the shape that its model needs; the message names the path."""


class StreamInterrupted(TransportError):
    """A stream ended before its end marker.

    Attributes:
        received: what had arrived before, in order.
        run_id: of a run over REST: ``ComputeSession.resume(run_id)`` reads what it writes from now on.
    """

    def __init__(
        self, message: str, *, received: Sequence[Any] = (), run_id: str = "", **request: Any
    ) -> None:
        super().__init__(message, **request)
        self.received: tuple[Any, ...] = tuple(received)
        self.run_id = run_id


class UnsupportedServer(BackendAIError):
    """The server speaks no version of the API that this SDK speaks (PROTOCOL §1.5)."""


class NotSupported(UnsupportedServer):
    """This release of the server cannot do what was asked."""


# --- an answer that says no -----------------------------------------------------------------------------


class APIError(BackendAIError):
    """The server answered with an error (PROTOCOL §6.1).

    Attributes:
        status: the HTTP status.
        type: the problem's slug, for example ``"object-not-found"``.
        title: the server's title.
        msg: the server's message, or ``None``.
        data: whatever else the server put under ``data``.
        error_code: the newer servers' code, for example ``"session_read_not-found"``, or ``None``.
        agent_details: what an agent said, or ``None``.
        method, path: the request.
        body: the whole answer, decoded.
        attempts: the errors of all attempts, the last one included.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        type: str = "",
        title: str = "",
        msg: str | None = None,
        data: Any = None,
        error_code: str | None = None,
        agent_details: Any = None,
        method: str = "",
        path: str = "",
        body: Any = None,
        attempts: Sequence[BaseException] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.title = title
        self.msg = msg
        self.data = data
        self.error_code = error_code
        self.agent_details = agent_details
        self.method = method
        self.path = path
        self.body = body
        self.attempts: tuple[BaseException, ...] = tuple(attempts)


class BadRequest(APIError):
    """400: the server refused the parameters."""


class ClockSkewError(BadRequest):
    """The server's clock and this machine's differ by more than the 15 minutes that signing allows."""


class AuthenticationError(APIError):
    """401: unknown key, wrong secret key, or a role that may not do this (servers answer 401 for both)."""


class PermissionDenied(APIError):
    """403: the thing belongs to somebody else, or is in a state that forbids the operation."""


class NotFound(APIError):
    """404: there is no such thing."""


class SessionNotFound(NotFound):
    """There is no such compute session (or it has ended)."""


class ImageNotFound(NotFound):
    """There is no such image or alias."""


class AppNotFound(NotFound):
    """The session has no app of that name."""


class AmbiguousSession(APIError):
    """Several sessions have that name; ``data["matches"]`` lists them. Use the id."""


class SessionExists(APIError):
    """A live session has that name already.

    Attributes:
        session_id: the id of the session that holds the name, if the server told.
    """

    @property
    def session_id(self) -> str | None:
        """The id of the session that holds the name, if the server told."""
        found = self.data.get("existingSessionId") if isinstance(self.data, dict) else None
        return str(found) if found else None


class QuotaExceeded(APIError):
    """412 (400 on newer servers): a limit of the resource policy was reached."""


class RateLimited(APIError):
    """429: too many requests within the server's window (900 s)."""


class GraphQLError(APIError):
    """The answer to a GraphQL query carries errors; ``data`` has all of them."""


class ServerError(APIError):
    """5xx: the server failed."""


class ServiceUnavailable(ServerError):
    """502, 503 or 504: the server, or something before it, cannot serve now (maintenance included)."""


class AgentError(ServerError):
    """An agent failed while working for the session; ``agent_details`` has what it said."""


# --- the request was fine, the session was not ----------------------------------------------------------


class SessionError(BackendAIError):
    """A compute session is not in the state that the call needs.

    Attributes:
        session_id, session_name: which session.
        status: its last known status.
        status_info: the server's reason, or ``None``.
        status_data: the server's details, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        session_id: str = "",
        session_name: str = "",
        status: str = "",
        status_info: str | None = None,
        status_data: Any = None,
    ) -> None:
        super().__init__(message)
        self.session_id = session_id
        self.session_name = session_name
        self.status = status
        self.status_info = status_info
        self.status_data = status_data


class SessionFailed(SessionError):
    """The session ended (CANCELLED, TERMINATED, ERROR) instead of getting where it was awaited."""


class SessionTimeout(SessionError, TimeoutError):
    """The session did not get where it was awaited in time."""


class SessionNotReady(SessionError):
    """The session does not run: it waits in the queue, still starts, or has ended."""


class ExecutionFailed(SessionError):
    """Raised by ``ExecutionResult.check()`` and ``execute(check=True)``: the code failed.

    Attributes:
        result: the :class:`~backendai_sdk.ExecutionResult`.
    """

    def __init__(self, message: str, *, result: Any = None, **session: Any) -> None:
        super().__init__(message, **session)
        self.result = result


class ExecutionTimeout(SessionError, TimeoutError):
    """``execute(timeout=…)`` ran out: the code was interrupted, the session lives.

    Attributes:
        outputs: what the code had written.
    """

    def __init__(self, message: str, *, outputs: Sequence[Any] = (), **session: Any) -> None:
        super().__init__(message, **session)
        self.outputs: tuple[Any, ...] = tuple(outputs)


class FileTransferError(SessionError):
    """A file could not be carried: what is in the way is said, with the way out; an ``OSError`` is its cause.

    Attributes:
        file: the file, as it was named: a local path, or a path in the session.
    """

    def __init__(self, message: str, *, file: str = "", **session: Any) -> None:
        super().__init__(message, **session)
        self.file = file


class RemoteFileNotFound(FileTransferError, FileNotFoundError):
    """There is no such file or folder in the session."""


class FileExists(FileTransferError, FileExistsError):
    """Something has that name already, and ``overwrite=True`` was not given."""


class TaskFailed(SessionError):
    """A background task of the server failed or was cancelled.

    Attributes:
        progress: its last report, a :class:`~backendai_sdk.TaskProgress`.
    """

    def __init__(self, message: str, *, progress: Any = None, **session: Any) -> None:
        super().__init__(message, **session)
        self.progress = progress
