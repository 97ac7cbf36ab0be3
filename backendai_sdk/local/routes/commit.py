"""Saving a session: as an archive of its files, or as an image for new sessions. Both go on in the background."""

from __future__ import annotations

import asyncio
import tarfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from aiohttp import web

from backendai_sdk.local.params import Field, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route
from .session import own_session

if TYPE_CHECKING:
    from backendai_sdk.local.records import SessionRecord
    from backendai_sdk.local.server import ServerState
    from backendai_sdk.local.tasks import BackgroundTask

__all__ = ["ROUTES"]

_LOGIN: Final = Field(("login_session_token",), nullable(string(blank=True)), None)
_IMAGE: Final = (
    Field(("image_name",), string(pattern=r"^[a-zA-Z0-9.\-_]+$")),
    Field(("image_visibility",), string(), "user"),
    _LOGIN,
)


async def status(request: web.Request) -> web.Response:
    session = own_session(request)
    word = "ongoing" if session.committing else "ready"
    return web.json_response({"status": word, "kernel": str(session.main.id)})


async def commit(request: web.Request) -> web.Response:
    """Save the session's files into an archive, under a name of the server's choice."""
    state = state_of(request)
    session = own_session(request)
    await read(request, (Field(("filename", "fname"), nullable(string()), None), _LOGIN))
    _require_running(session)
    now = state.clock.now()
    folder = state.work_dir / "commits" / session.owner.email
    target = folder / _file_name(session, now)
    task = state.tasks.start(2, lambda task: _save(session, target, task))
    answer = {
        "bgtask_id": str(task.id),
        "kernel": str(session.main.id),
        "path": str(target.relative_to(state.work_dir)),
    }
    return web.json_response(answer, status=201)


async def imagify(request: web.Request) -> web.Response:
    """Make an image of the session."""
    state = state_of(request)
    if not state.release.imagify:
        raise Problem.url_not_found(request.path)
    params = await read(request, _IMAGE, source="body")
    session = own_session(request)
    if params["image_visibility"] != "user":
        raise Problem.invalid_params("Unsupported visibility type")
    _require_running(session)
    task = state.tasks.start(3, lambda task: _make_image(session, state, params["image_name"], task))
    return web.json_response({"task_id": str(task.id)})


def _require_running(session: SessionRecord) -> None:
    if session.status != "RUNNING":
        raise Problem.invalid_params("Can't commit: kernel is not RUNNING.")


def _file_name(session: SessionRecord, now: datetime) -> str:
    image = session.image.canonical.replace("/", "_").replace(":", "_")
    return f"{now:%Y%m%dT%H%M%S}-{session.name}-{image}.tar.gz"


async def _save(session: SessionRecord, target: Path, task: BackgroundTask) -> str:
    session.committing = True
    try:
        task.update(0, "Commit started")
        await asyncio.to_thread(_archive, session.work_dir, target)
        task.update(1, "Commit finished")
    finally:
        session.committing = False
    task.update(2)
    return "Completed"


def _archive(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, arcname=".")


async def _make_image(session: SessionRecord, state: ServerState, name: str, task: BackgroundTask) -> str:
    session.committing = True
    try:
        task.update(0, "Commit started")
        tag: Any = f"{session.image.tag}-customized_{task.id.hex}"
        image = attrs.evolve(session.image, name=f"{session.group}/{name}", tag=tag, aliases=())
        task.update(1, "Committed image")
        state.images.add(image)
        task.update(2, "Pushed image to registry")
    finally:
        session.committing = False
    task.update(3, "Registered image")
    return f"Completed: {image.canonical}"


ROUTES: Final = (
    Route(("GET",), ("/session/{session_name}/commit",), status, alters=True),
    Route(("POST",), ("/session/{session_name}/commit",), commit, alters=True),
    Route(("POST",), ("/session/{session_name}/imagify",), imagify, alters=True),
)
