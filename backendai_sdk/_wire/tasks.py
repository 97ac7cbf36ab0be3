"""The events of a background task become progress reports (PROTOCOL §5.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import WireError
from backendai_sdk.models.task import TaskProgress

__all__ = ["END_MARKER", "read_progress", "task_id_of"]

END_MARKER = "server_close"
_PREFIX = "bgtask_"


def read_progress(name: str, data: str, *, task_id: str) -> TaskProgress | None:
    """Read one event of the stream; ``None`` for one that tells nothing of the task.

    Raises:
        WireError: it is about the task, and cannot be read.
    """
    if not name.startswith(_PREFIX):
        return None
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise WireError(f"the event {name} of the background task {task_id} is not an object: {data[:200]}")
    status = name.removeprefix(_PREFIX)
    if told.get("message") == "None":  # the way of 26.x to say nothing
        told = {**told, "message": None}
    # An event of a task that had ended before carries another `status`; the event's name is the same word.
    return structure(TaskProgress, {"task_id": task_id} | dict(told) | {"status": status}, where=name)


def task_id_of(answer: object) -> str:
    """The id in the answer to a request that has begun a background task."""
    match answer:
        case {"bgtask_id": str(task_id)} | {"task_id": str(task_id)} | {"taskId": str(task_id)}:
            return task_id
    raise WireError(f"the answer names no background task: {excerpt(answer)}")
