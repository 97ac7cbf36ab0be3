"""Saving a session, into an archive on the server or as an image, and the reports of work in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    BadRequest,
    CommitStatus,
    NotSupported,
    SessionNotReady,
    TaskStatus,
)

# One worker has them all: an agent of 26.9 saves two sessions of one image at a time badly ("image has dependent child
# images", seen once).
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.needs_code,
    pytest.mark.xdist_group("commit"),
]

SMALL = "cpu=1 mem=512m"


async def becomes(cs: AsyncComputeSession, status: CommitStatus, limit: float = 60) -> None:
    """Wait for a status of the commit: agents report it every few seconds."""
    async with asyncio.timeout(limit):
        while await cs.commit_status() != status:
            await asyncio.sleep(0.2)


async def test_a_commit_is_followed_to_its_end(server: Any, api: AsyncSession, unique: str) -> None:
    async with api.create(server.image_to_save, name=f"{unique}-commit", resources=SMALL) as cs:
        assert await cs.commit_status() == CommitStatus.READY
        task = await cs.commit()
        async with asyncio.timeout(240):
            reports = [report async for report in task]
        assert {report.task_id for report in reports} == {task.id}
        assert [report.status for report in reports[:-1]] == [TaskStatus.UPDATED] * (len(reports) - 1)
        assert reports[-1].status is TaskStatus.DONE, reports[-1].message
        # Whoever comes later is told the end, from another client session, too.
        again = [report async for report in api.background_task(task.id)]
        assert [report.status for report in again] == [TaskStatus.DONE]
        assert (await api.background_task(task.id).wait(timeout=30)).status is TaskStatus.DONE
        await becomes(cs, CommitStatus.READY)
        assert (await cs.execute("print('still here')")).stdout == "still here\n"


@pytest.mark.fault("23.09", "makes no images: servers do from 24.03 on (PROTOCOL §2.3)", raises=NotSupported)
@pytest.mark.differs("local-26.9", "sessions share this machine's /tmp: there are no containers")
async def test_a_session_becomes_an_image(server: Any, api: AsyncSession, unique: str) -> None:
    """Sessions that start from it have the files, but for those of the work folder."""
    kept = f"/tmp/{unique}.txt"
    async with api.create(server.image_to_save, name=f"{unique}-template", resources=SMALL) as cs:
        (await cs.execute(f"for p in ({kept!r}, 'work.txt'): open(p, 'w').write('content')")).check()
        task = await cs.convert_to_image(unique)
        async with asyncio.timeout(240):
            reports = [report async for report in api.background_task(task.id)]
        assert reports[-1].status is TaskStatus.DONE, reports[-1].message
        assert [report.status for report in reports[:-1]] == [TaskStatus.UPDATED] * (len(reports) - 1)
    image = await server.image_made(api, unique)
    async with api.create(image, name=f"{unique}-copy", resources=SMALL) as copy:
        assert (await copy.refresh()).image == image
        code = f"import os; print(open({kept!r}).read(), os.path.exists('work.txt')); os.remove({kept!r})"
        assert (await copy.execute(code)).check().stdout == "content False\n"


async def test_a_session_that_waits_cannot_be_saved(
    api: AsyncSession, cs: AsyncComputeSession, unique: str
) -> None:
    waiting = await api.create("python", name=f"{unique}-waits", dependencies=[cs.id], enqueue_only=True)
    try:
        with pytest.raises((SessionNotReady, BadRequest)):
            await waiting.commit()
    finally:
        await waiting.destroy()
