"""Work in the background on the wire: commits, images, and the stream that tells of them to its end."""

from __future__ import annotations

import asyncio
import json

import pytest

from backendai_sdk.local.tasks import BackgroundTasks

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]


async def events_of(api, task_id):
    """Every event of the stream, which the server ends."""
    query = {"taskId": task_id}
    async with api.open("GET", "/events/background-task", query=query) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        raw = (await response.read()).decode()
    found = []
    for block in filter(None, raw.split("\r\n\r\n")):
        lines = block.split("\r\n")
        if not lines[0].startswith(":"):
            found.append((lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))))
    return found


@pytest.mark.parametrize("release", RELEASES)
async def test_a_commit(both, release):
    _, api = await both(release)
    await api.create("task-1")
    ready = (await api("GET", "/session/task-1/commit")).json
    assert ready["status"] == "ready"
    begun = await api("POST", "/session/task-1/commit")
    assert begun.status == 201
    assert begun.json["kernel"] == ready["kernel"]
    assert begun.json["path"].endswith(".tar.gz")
    task_id = begun.json["bgtask_id"]
    *reports, done, end = await events_of(api, task_id)
    assert all(name == "bgtask_updated" for name, _ in reports)
    assert (done[0], done[1]["task_id"]) == ("bgtask_done", task_id)
    assert end == ("server_close", {})
    # Afterwards the end is all that is told, its numbers as text.
    last, end = await events_of(api, task_id)
    if release in {"26.8", "26.9"}:
        assert last == ("bgtask_done", {"task_id": task_id, "message": "None"})
    else:
        numbers = {"status": "done", "current_progress": "0", "total_progress": "0"}
        assert last == ("bgtask_done", {"task_id": task_id, "message": ""} | numbers)
    assert end[0] == "server_close"


@pytest.mark.parametrize("release", RELEASES)
async def test_an_image(both, release):
    _, api = await both(release)
    await api.create("task-1")
    begun = await api("POST", "/session/task-1/imagify", body={"image_name": "mine"})
    if release == "23.09":
        assert begun.status == 404
        return
    assert begun.status == 200
    assert [name for name, _ in await events_of(api, begun.json["task_id"])][-1] == "server_close"
    for body in ({"image_name": "no spaces"}, {}, {"image_name": "x", "image_visibility": "project"}):
        assert (await api("POST", "/session/task-1/imagify", body=body)).status == 400


async def test_a_task_that_nobody_knows_is_a_silent_stream(both):
    _, api = await both("26.9")
    query = {"taskId": "00000000-0000-0000-0000-000000000000"}
    async with api.open("GET", "/events/background-task", query=query) as response:
        assert response.status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await response.content.readany()


@pytest.mark.parametrize(("release", "status"), [("23.09", 500), ("24.03", 404), ("26.8", 404)])
async def test_a_task_that_nobody_knows(both, release, status):
    _, api = await both(release)
    unknown = {"taskId": "00000000-0000-0000-0000-000000000000"}
    assert (await api("GET", "/events/background-task", query=unknown)).status == status
    assert (await api("GET", "/events/background-task", query={"taskId": "x"})).status == 400
    assert (await api("GET", "/events/background-task")).status == 400


async def test_a_session_that_waits_cannot_be_committed(both):
    _, api = await both(step_delay=0.2)
    await api.create("task-1", enqueueOnly=True)
    assert (await api("POST", "/session/task-1/commit")).status == 400


async def test_ends_of_tasks():
    tasks = BackgroundTasks()
    blocked = asyncio.Event()

    async def fails(_task):
        raise ValueError("broken")

    async def waits(task):
        task.update(1, "waiting")
        await blocked.wait()

    failed, cancelled = tasks.start(1, fails), tasks.start(2, waits)
    async with asyncio.timeout(20):
        while not (failed.over and cancelled.current):
            await asyncio.sleep(0)
    assert (failed.status, failed.message) == ("failed", "ValueError('broken')")
    await tasks.close()
    await tasks.close()
    assert [name for name, _ in cancelled.reports] == ["bgtask_updated", "bgtask_cancelled"]
    assert tasks.get(cancelled.id) is cancelled
