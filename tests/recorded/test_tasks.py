"""Commits, images made of sessions, and what was told of both, read as the SDK reads them."""

from __future__ import annotations

import re

from recorded.capture import Capture
from recorded.reading import ID, api_on, json_from, of, row

from backendai_sdk import CommitStatus, TaskStatus
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.tasks import read_progress, task_id_of


@of("commit status")
async def test_commit_status(capture: Capture) -> None:
    async with api_on(capture, f"/session/{ID}/commit", row()) as api:
        assert await (await api.get("played")).commit_status() is CommitStatus.READY


@of("commit begun")
def test_commit_begun(capture: Capture) -> None:
    assert task_id_of(json_from(capture)) == json_from(capture)["bgtask_id"]


@of("image begun")
def test_image_begun(capture: Capture) -> None:
    assert task_id_of(json_from(capture)) == json_from(capture)["task_id"]


@of("task events")
def test_task_events(capture: Capture) -> None:
    assert capture.answer is not None
    task_id = next(iter(capture.sent.query.values()))
    events = list(SSEDecoder().feed(capture.answer.body))
    told = [read_progress(event.name, event.data, task_id=task_id) for event in events]
    if capture.number == "18-unknown-task":
        assert told == []
        return
    *reports, last, closed = told
    assert closed is None
    assert last is not None
    assert (last.task_id, last.status, last.total) == (task_id, TaskStatus.DONE, 0)
    made = re.fullmatch(r'\{"image_id":"[0-9a-f-]{36}"\}', last.message or "")
    assert bool(made) == ("imagify" in capture.name)
    assert all(
        r is not None and (r.status, r.message) == (TaskStatus.UPDATED, "Task started") for r in reports
    )
    assert bool(reports) == (capture.release == "26.9.6" and "again" not in capture.name)
