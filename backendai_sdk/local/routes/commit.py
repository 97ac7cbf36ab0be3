"""Saving a session: as an archive of its files, or as an image for new sessions. Both go on in the background."""

from __future__ import annotations

import asyncio
import json
import re
import tarfile
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from aiohttp import web

from backendai_sdk.local.params import Field, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route
from .session import own_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backendai_sdk.local.images import Image
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
    name = f"{session.owner.email.replace('@', '_')}/{_file_name(session, now)}"
    target = state.work_dir / "commits" / name
    # Agents report nothing of it but its end.
    task = state.tasks.start(
        0, lambda _: _save(session, target, "" if not state.release.bare_tasks else None)
    )
    answer = {"bgtask_id": str(task.id), "kernel": str(session.main.id), "path": name}
    return web.json_response(answer, status=201)


async def imagify(request: web.Request) -> web.Response:
    """Make an image of the session."""
    state = state_of(request)
    if not state.release.imagify:
        raise Problem.url_not_found(request.path)
    params = await read(request, _IMAGE, source="body")
    session = own_session(request)
    if params["image_visibility"] != "user":
        if state.release.typed_sources:
            raise Problem.schema_failed(f"Unsupported visibility scope {params['image_visibility']}")
        raise Problem.invalid_params("Unsupported visibility type")
    _require_running(session)
    task = state.tasks.start(3, lambda task: _make_image(session, state, params["image_name"], task))
    return web.json_response({"task_id": str(task.id)})


def _require_running(session: SessionRecord) -> None:
    if session.status != "RUNNING":
        raise Problem.invalid_params(
            f"Unable to commit since kernel(id: {session.main.id}) of session(id: {session.id}) is"
            " currently not RUNNING."
        )


def _file_name(session: SessionRecord, now: datetime) -> str:
    image = f"{session.image.name.rpartition('/')[2]}:{session.image.tag}"
    return f"{now:%Y-%m-%dT%HH%MM%SS}_{session.name}_{image}.tar.gz".replace(":", "-")


async def _save(session: SessionRecord, target: Path, said: str | None) -> str | None:
    session.committing = True
    try:
        await asyncio.to_thread(_archive, session.work_dir, target)
    finally:
        session.committing = False
    return said


def _archive(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, arcname=".")


async def _make_image(session: SessionRecord, state: ServerState, name: str, task: BackgroundTask) -> str:
    session.committing = True
    try:
        task.update(0, "Commit started")
        image = _customized(session, state.images, name)
        task.update(1, "Committed image")
        state.images.add(image)
        task.update(2, "Pushed image to registry")
    finally:
        session.committing = False
    task.update(3, "Registered image")
    if state.release.bare_tasks:
        return json.dumps({"image_id": str(uuid.uuid4())}, separators=(",", ":"))
    return f"Completed: {image.canonical}"


def _customized(session: SessionRecord, images: Iterable[Image], name: str) -> Image:
    """The image of the session's files; the name is a label, and the same name of the same user the same image."""
    base = re.sub(r"-customized_[0-9a-f]+", "", session.image.tag)
    path = f"{session.group}/{session.image.name.rpartition('/')[2]}"
    whose = (
        ("ai.backend.customized-image.owner", f"user:{session.owner.user_id}"),
        ("ai.backend.customized-image.name", name),
    )
    for image in images:
        if image.name == path and image.tag.startswith(f"{base}-customized_") and {*whose} <= {*image.labels}:
            return image
    own = uuid.uuid4()
    labels = (*whose, ("ai.backend.customized-image.id", str(own)))
    return attrs.evolve(
        session.image, name=path, tag=f"{base}-customized_{own.hex}", aliases=(), labels=labels
    )


ROUTES: Final = (
    Route(("GET",), ("/session/{session_name}/commit",), status, alters=True),
    Route(("POST",), ("/session/{session_name}/commit",), commit, alters=True),
    Route(("POST",), ("/session/{session_name}/imagify",), imagify, alters=True),
)
