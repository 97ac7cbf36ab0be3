"""Saving a session's container: into an archive on the server, or as an image (PROTOCOL §2.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from backendai_sdk._async.task import AsyncBackgroundTask
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.tasks import task_id_of
from backendai_sdk._wire.versions import require
from backendai_sdk.enums import CommitStatus
from backendai_sdk.errors import BadRequest, InvalidArgument, ServerError, SessionNotFound, WireError

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession

__all__ = ["commit", "commit_status", "convert_to_image"]


async def commit(session: AsyncComputeSession) -> AsyncBackgroundTask:
    """Begin a commit."""
    # Without a body: servers make up the file's name, whatever they are told.
    answer = await _ask(session, Request(method="POST", path=path("/session/{}/commit", session.id)))
    return AsyncBackgroundTask(session._client, task_id_of(answer), what=f"the commit of {session.name}")


async def commit_status(session: AsyncComputeSession) -> CommitStatus:
    """Whether a commit goes on."""
    request = Request(method="GET", path=path("/session/{}/commit", session.id), idempotent=True)
    match await _ask(session, request):
        case {"status": str(status)}:
            return CommitStatus(status)
        case answer:
            raise WireError(f"the answer has no status of a commit: {excerpt(answer)}")


async def convert_to_image(session: AsyncComputeSession, name: str) -> AsyncBackgroundTask:
    """Begin to make an image."""
    if not isinstance(name, str) or re.fullmatch(r"[a-zA-Z0-9.\-_]+", name) is None:
        raise InvalidArgument(
            f"name: {name!r} cannot name an image: only letters, digits, '.', '-' and '_'", argument="name"
        )
    require("convert_to_image()", await session._client.server())
    body = {"image_name": name}
    request = Request(method="POST", path=path("/session/{}/imagify", session.id), json=body)
    return AsyncBackgroundTask(
        session._client, task_id_of(await _ask(session, request)), what=f"making an image of {session.name}"
    )


async def _ask(session: AsyncComputeSession, request: Request) -> object:
    try:
        return await session._client.json(request)
    except (SessionNotFound, ServerError, BadRequest) as exc:
        await session._explain_not_running(exc)
        raise
