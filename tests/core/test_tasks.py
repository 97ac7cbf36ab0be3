"""Commits, images and other work in the background, async and blocking."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import (
    CommitStatus,
    InvalidArgument,
    LocalCluster,
    NotFound,
    NotSupported,
    RetryPolicy,
    ServerError,
    ServiceUnavailable,
    SessionNotReady,
    SessionTimeout,
    TaskProgress,
    TaskStatus,
    TransportError,
)
from backendai_sdk.local.faults import Cut, ErrorStatus, Reset

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


@RELEASES
async def test_a_commit_saves_the_files(api: Any, release: str, cluster: LocalCluster) -> None:
    async with api.create("python") as cs:
        await cs.execute("open('kept.txt', 'w').write('content')")
        assert await cs.commit_status() == CommitStatus.READY
        task = await cs.commit()
        reports: list[TaskProgress] = []
        last = await task.wait(timeout=20, on_progress=reports.append)
        assert last.status is TaskStatus.DONE
        assert last == reports[-1]
        assert {report.task_id for report in reports} == {task.id}
        assert await cs.commit_status() == CommitStatus.READY
        # What had ended before tells its end to whoever asks.
        again = [report async for report in task]
        assert [report.status for report in again] == ["done"]
        assert again[0].fraction is None  # agents count nothing of a commit
        (snapshot,) = (s for s in cluster.sessions() if s.id == cs.id)
        (file,) = Path(snapshot.work_dir).parent.glob(f"commits/*/*_{cs.name}_*.tar.gz")
        with tarfile.open(file) as archive:
            assert "./kept.txt" in archive.getnames()


@RELEASES
async def test_iteration_ends_with_the_end(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        await cs.execute("open('big', 'wb').write(__import__('os').urandom(8 << 20))")
        reports = [report async for report in await cs.commit()]
        assert reports[-1].is_final
        assert not any(report.is_final for report in reports[:-1])


@pytest.mark.parametrize("release", ["25.19"])
async def test_reports_tell_how_far_it_is(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        reports = [report async for report in await cs.convert_to_image("mine")]
        done = [report.current for report in reports]
        assert done == sorted(done)
        # Its end is told with the numbers of the report before, or by themselves to whoever comes too late.
        (last,) = [report async for report in api.background_task(reports[-1].task_id)]
        assert last.fraction == 1.0


@pytest.mark.parametrize("release", ["24.03", "25.19", "26.8", "26.9"])
async def test_an_image_of_a_session(api: Any, release: str, cluster: LocalCluster) -> None:
    async with api.create("python") as cs:
        last = await (await cs.convert_to_image("my.image-1")).wait(timeout=20)
        assert last.message is not None
        made = _made(cluster, "my.image-1")
        async with api.create(made) as other:
            assert (await other.execute("print(1)")).stdout == "1\n"
            # The same name is the same image, also from a session of that image.
            await (await other.convert_to_image("my.image-1")).wait(timeout=20)
            assert _made(cluster, "my.image-1") == made
            await (await other.convert_to_image("another")).wait(timeout=20)
            assert _made(cluster, "another") != made


def _made(cluster: LocalCluster, name: str) -> str:
    """The reference of the one image that a session was converted to under *name*."""
    label = ("ai.backend.customized-image.name", name)
    (image,) = (image for image in cluster._images if label in image.labels)
    return image.canonical


async def test_images_that_cannot_be_made(api: Any) -> None:
    async with api.create("python") as cs:
        for name in ("", "no spaces", "ünï", None):
            with pytest.raises(InvalidArgument, match="name"):
                await cs.convert_to_image(name)


@pytest.mark.parametrize("release", ["23.09"])
async def test_an_old_server_makes_no_images(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        with pytest.raises(NotSupported, match=r"convert_to_image\(\) needs a server of release 24.03"):
            await cs.convert_to_image("mine")


async def test_a_session_that_has_ended(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.destroy()
        await cs.wait("dead", timeout=20)
        for call in (cs.commit, cs.commit_status, lambda: cs.convert_to_image("mine")):
            with pytest.raises(SessionNotReady, match="has ended"):
                await call()


@RELEASES
async def test_a_task_that_nobody_knows(api: Any, release: str) -> None:
    task = api.background_task("00000000-0000-0000-0000-00000000abcd")
    if release == "26.9":  # it answers with a stream that tells nothing
        with pytest.raises(SessionTimeout):
            await task.wait(timeout=0.3)
    else:
        with pytest.raises((NotFound, ServerError)):
            await task.wait(timeout=20)
    with pytest.raises(InvalidArgument, match="task_id"):
        api.background_task("not a UUID")


async def test_two_may_follow_one_task(way: str, api: Any) -> None:
    async with api.create("python") as cs:
        task = await cs.commit()
        same = api.background_task(task.id)
        one, two = await asyncio.gather(task.wait(timeout=20), same.wait(timeout=20))
        assert one.status == two.status == "done"


async def test_what_cannot_be_opened_is_tried_as_often_as_any_request(
    api: Any, cluster: LocalCluster
) -> None:
    task = api.background_task("00000000-0000-0000-0000-00000000abcd")
    with (
        cluster.faults.add(ErrorStatus(503), "GET /events/background-task") as away,
        pytest.raises(ServiceUnavailable),
    ):
        await task.wait(timeout=60)
    assert len(away.hits) == RetryPolicy().max_attempts
    with (
        cluster.faults.add(Reset(), "GET /events/background-task") as away,
        pytest.raises(TransportError),
    ):
        await task.wait(timeout=60)
    assert len(away.hits) == RetryPolicy().max_attempts
    # What is cut before it has told anything is opened again.
    async with api.create("python") as cs:
        made = await cs.commit()
        with cluster.faults.add(Cut(0), "GET /events/background-task", times=2) as cut:
            assert (await made.wait(timeout=60)).status == "done"
        assert len(cut.hits) == 2
