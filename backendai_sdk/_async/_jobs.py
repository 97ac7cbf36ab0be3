"""Jobs on a session's files, done in the session: what servers have no request for.

A job is a small program that is uploaded and run as a batch (see ``_wire/in_session.py``).  It waits its turn
among the session's runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backendai_sdk._async._tidy import tidy
from backendai_sdk._log import logger
from backendai_sdk._wire.files import upload_request
from backendai_sdk._wire.job import NO_PYTHON, Job
from backendai_sdk.errors import (
    APIError,
    BackendAIError,
    FileExists,
    FileTransferError,
    RemoteFileNotFound,
    ServerError,
    SessionNotFound,
    SessionNotReady,
)

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.run import ExecutionResult

__all__ = ["clean", "explained", "patience", "run_job"]

log = logger("files")

WAY_OUT = "a virtual folder (mounts=) takes files of any size"
# What a slow network or disk still does in a second; with the time limit of a request on top.
_SLOWEST = 64 * 1024
_JOB_SECONDS = 120.0
_JOB_BYTES_PER_SECOND = 1 << 20


def patience(session: AsyncComputeSession, size: int) -> float | None:
    """The time limit of a request that carries *size* bytes."""
    limit = session._client.config.timeouts.request
    return None if limit is None else limit + size / _SLOWEST


@asynccontextmanager
async def explained(session: AsyncComputeSession) -> AsyncIterator[None]:
    """Servers answer anything at all for a session that does not run: say that it does not."""
    try:
        yield
    except (ServerError, SessionNotFound) as exc:
        await session._explain_not_running(exc)
        raise


async def run_job(
    session: AsyncComputeSession, job: Job, *, file: str, size: int = 0, cleans: bool = True
) -> dict[str, object]:
    """Do *job* in the session.

    Args:
        file: what it is about, for errors.
        size: how many bytes it handles, for its time limit.
        cleans: whether the files of a job that may never have begun are removed here; else the caller does it.

    Raises:
        FileTransferError: the session refused, or cannot do it at all.
        SessionNotReady: the session does not run.
    """
    try:
        await session._client.send(upload_request(session.id, job.parts, timeout=None))
        result = await _run(session, job, file=file, seconds=_JOB_SECONDS + size / _JOB_BYTES_PER_SECOND)
    except (APIError, FileTransferError, SessionNotReady):
        raise  # the server, or the session, has said why: there is nothing to remove, or no way to do it
    except BaseException:
        if cleans:
            await clean(session, job.files)
        raise
    answer = job.answer(result.stdout)
    if answer is None:
        if result.exit_code == NO_PYTHON:
            why = f"the session's image has no Python, which this needs: {WAY_OUT}"
        else:
            said = (result.stderr or result.stdout).strip()[-300:]
            why = f"the command in the session failed with exit code {result.exit_code}: {said or 'it said nothing'}"
        raise _error(session, FileTransferError, f"{file!r}: {why}", file)
    match answer:
        case {"refused": str(kind), "said": str(said)}:
            raise _refused(session, kind, said, file)
    return answer


async def _run(session: AsyncComputeSession, job: Job, *, file: str, seconds: float) -> ExecutionResult:
    try:
        return await session.execute_batch(exec=job.command, timeout=seconds)
    except ServerError as exc:
        raise _error(
            session, FileTransferError, f"{file!r}: the session cannot run commands: {WAY_OUT}", file
        ) from exc


def _refused(session: AsyncComputeSession, kind: str, said: str, file: str) -> FileTransferError:
    match kind:
        case "missing":
            return _error(session, RemoteFileNotFound, f"there is no such file in the session: {said}", file)
        case "exists":
            return _error(
                session,
                FileExists,
                f"{file!r} exists in the session: give overwrite=True to replace it",
                file,
            )
        case "changed":
            return _error(session, FileTransferError, f"{file!r} in the session: {said}", file)
        case "space":
            return _error(
                session, FileTransferError, f"{file!r}: the session's disk is full: {said}; {WAY_OUT}", file
            )
    if said.startswith("PermissionError"):
        said += " (folders that an upload makes belong to the server's agent: let code make the folder first)"
    return _error(session, FileTransferError, f"{file!r} in the session: {said}", file)


def _error(
    session: AsyncComputeSession, kind: type[FileTransferError], said: str, file: str
) -> FileTransferError:
    return kind(said, file=file, session_id=session.id, session_name=session.name, status=session.status)


async def clean(session: AsyncComputeSession, names: Sequence[str]) -> None:
    """Remove what a transfer has left in the session, also under cancellation; bounded, and never an error."""
    try:
        await tidy(
            session._client,
            run_job(session, Job("clean", names=list(names)), file=names[0], cleans=False),
            what=f"the pieces in {session.name} could not be removed",
            session=session.info,
        )
    except BackendAIError as exc:
        log.warning("pieces of a transfer were left in the session %s (%s): %s", session.name, names[0], exc)
