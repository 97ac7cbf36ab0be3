"""The stream of one background task's events. Unlike the stream of session events it has an end, and says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local.params import Field, Invalid, read
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route

if TYPE_CHECKING:
    from backendai_sdk.local.releases import Release
    from backendai_sdk.local.tasks import BackgroundTask

__all__ = ["ROUTES"]

_PING: Final = b": ping\r\n\r\n"
_END: Final = b"event: server_close\r\ndata: {}\r\n\r\n"


def _uuid(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise Invalid("cannot convert value to UUID") from None


async def events(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    names = ("taskId",) if state.release.typed_sources else ("task_id", "taskId")
    params = await read(request, [Field(names, _uuid)])
    task = state.tasks.get(params[names[0]])
    if task is None and state.release.unknown_task_500:
        raise Problem.internal()
    if task is None and not state.release.unknown_task_silent:
        raise Problem.not_found("background task", code="bgtask_read_not-found")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        if task is None:
            while True:
                await asyncio.sleep(state.ping_interval)
                await response.write(_PING)
        if task.over:
            await response.write(
                _encoded(f"bgtask_{task.status}", _end_of(task, state.release), state.release)
            )
        else:
            await _follow(response, task, state.release, state.ping_interval)
        await response.write(_END)
    return response


def _end_of(task: BackgroundTask, release: Release) -> dict[str, Any]:
    """What is told of a task that had ended before."""
    if release.bare_tasks:
        return {"task_id": str(task.id), "message": task.message}
    return {
        "task_id": str(task.id),
        "status": task.status,
        "current_progress": str(task.current),
        "total_progress": str(task.total),
        "message": task.message,
    }


async def _follow(
    response: web.StreamResponse, task: BackgroundTask, release: Release, ping_interval: float
) -> None:
    told = len(task.reports)  # only what is reported from now on
    if release.bare_tasks:
        started = {"message": "Task started", "current_progress": 0.0, "total_progress": 0.0}
        await response.write(_encoded("bgtask_updated", {"task_id": str(task.id), **started}, release))
    while True:
        for name, data in task.reports[told:]:
            told += 1
            if name != "bgtask_updated" or not release.bare_tasks:
                await response.write(_encoded(name, data, release))
        if task.over and told == len(task.reports):
            return
        try:
            async with asyncio.timeout(ping_interval):
                await task.changed.wait()
        except TimeoutError:
            await response.write(_PING)


def _encoded(name: str, data: dict[str, Any], release: Release) -> bytes:
    if release.bare_tasks:
        data = {**data, "message": str(data["message"])}  # "None", if there is none
    text = json.dumps(data, separators=(",", ":") if release.compact_json else None)
    retry = "retry: 5\r\n" if (name == "bgtask_updated") == release.bare_tasks else ""
    return f"event: {name}\r\ndata: {text}\r\n{retry}\r\n".encode()


ROUTES: Final = (Route(("GET",), ("/events/background-task",), events),)
