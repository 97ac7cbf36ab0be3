"""Creating: resources, progress, the queue, names, and what is left when it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backendai_sdk import (
    ImageNotFound,
    InvalidArgument,
    NotSupported,
    Phase,
    SessionExists,
    SessionFailed,
    SessionStatus,
    SessionTimeout,
)

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


@RELEASES
async def test_awaiting_keeps_it_and_a_block_destroys_it(api: Any, cluster: Any) -> None:
    async with api.create("python:3.11", resources={"cpu": 4, "mem": "8g", "cuda.shares": 2}) as cs:
        assert cs.status is SessionStatus.RUNNING
        info = await cs.refresh()
        assert info.occupying_slots.to_wire()["mem"] == str(8 << 30)
    assert cs.id not in {s.id for s in cluster.live_sessions() if s.status != "TERMINATING"}
    kept = await api.create("python")
    assert kept.id in {s.id for s in cluster.live_sessions()}
    assert (await kept.destroy()).status == "terminated"


async def test_progress_tells_every_phase_once(api: Any) -> None:
    seen: list[tuple[Phase, SessionStatus]] = []
    async with api.create("python", on_progress=lambda phase, status, _: seen.append((phase, status))):
        pass
    assert seen[-1] == (Phase.RUNNING, SessionStatus.RUNNING)
    assert len(set(seen)) == len(seen)


async def test_an_exception_in_the_block_destroys_it_too(api: Any, cluster: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with api.create("python"):
            _ = 1 / 0


async def test_enqueue_only_wait_and_cancel_pending(small_api: Any) -> None:
    async with small_api.create("python", resources="cpu=2 mem=1g") as holder:
        queued = await small_api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
        assert queued.status == "PENDING"
        with pytest.raises(SessionTimeout, match="still PENDING") as caught:
            await queued.wait(timeout=0.2)
        assert caught.value.session_id == queued.id
        assert caught.value.status_info == "no-available-instances"
        assert (await queued.destroy()).status == "cancelled"
        assert (await queued.refresh()).status == "CANCELLED"
        assert (await queued.destroy()).status == "gone"
        with pytest.raises(SessionFailed, match="CANCELLED"):
            await queued.wait("running", timeout=5)
        following = await small_api.create("python", resources="cpu=2 mem=1g", enqueue_only=True)
        await holder.destroy()
        assert (await following.wait(timeout=20)).status == "RUNNING"
        await following.destroy()


async def test_max_wait_gives_up_and_leaves_nothing(small_api: Any, small_cluster: Any) -> None:
    async with small_api.create("python", resources="cpu=2 mem=1g"):
        with pytest.raises(SessionTimeout, match="max_wait ran out.*enqueue_only") as caught:
            await small_api.create("python", resources="cpu=1 mem=1g", max_wait=0.3)
        assert caught.value.status == "PENDING"
        (gone,) = [s for s in small_cluster.sessions() if s.id == caught.value.session_id]
        assert gone.status == "CANCELLED"
        with pytest.raises(TimeoutError):
            async with small_api.create("python", resources="cpu=1 mem=1g", max_wait=0):
                raise AssertionError("it cannot have started")
    assert [s for s in small_cluster.live_sessions() if s.status != "TERMINATING"] == []


async def test_names(api: Any) -> None:
    async with api.create("python", name="my-session") as cs:
        with pytest.raises(SessionExists, match="ensure") as caught:
            await api.create("python", name="my-session")
        assert caught.value.session_id == cs.id
        assert (await api.get("my-session")).id == cs.id
        again = await api.ensure("my-session", "python")
        assert again.id == cs.id
        with pytest.raises(SessionExists):
            await api.ensure("my-session", "python:3.9")
        await cs.rename("my-session-2")
        assert cs.name == "my-session-2"
        assert (await api.get("my-session-2")).id == cs.id
    made = await api.ensure("my-session-3", "python", resources="cpu=1 mem=1g")
    assert (await api.destroy(made))[0].ok


@pytest.mark.parametrize("image", ["python", "python:3.11", "python:3.6-ubuntu18.04"])
async def test_aliases_resolve(api: Any, image: str) -> None:
    async with api.create(image) as cs:
        assert "/python:" in (await cs.refresh()).image


@RELEASES
async def test_unknown_image(api: Any) -> None:
    with pytest.raises(ImageNotFound, match="check the name or alias"):
        await api.create("no-such-image:1.0")


async def test_environment_and_bootstrap(api: Any) -> None:
    async with api.create(
        "python", env={"GREETING": "ciao"}, bootstrap_script="echo booted > boot.txt\n"
    ) as cs:
        result = await cs.execute("import os; print(os.environ['GREETING'], open('boot.txt').read())")
        assert result.stdout.split() == ["ciao", "booted"]


@pytest.mark.parametrize("release", ["23.09"])
async def test_options_that_the_server_is_too_old_for(api: Any) -> None:
    with pytest.raises(NotSupported, match=r"priority needs a server of release 24.09 or newer"):
        await api.create("python", priority=5)


async def test_options_of_newer_servers(api: Any) -> None:
    async with api.create("python", priority=5):
        pass


@pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
async def test_batch_session_to_its_result(api: Any, release: str) -> None:
    good = await api.create("python", type="batch", startup_command="echo fine", enqueue_only=True)
    bad = await api.create("python", type="batch", startup_command="echo bad; exit 3", enqueue_only=True)
    assert good.exit_code is None
    assert (await good.wait("result", timeout=20)).result == "SUCCESS"
    assert (await bad.wait("result", timeout=20)).result == "FAILURE"
    assert good.exit_code == 0
    # The event that tells it may have come before anybody waited.
    assert bad.exit_code in ({3, None} if release in {"23.09", "24.03"} else {None})
    await good.wait("dead", timeout=20)
    await bad.wait("dead", timeout=20)
    # The log of what they ran is there after their end.
    assert "fine" in await good.logs()
    assert "bad" in await bad.logs()
    assert (await bad.refresh()).result == "FAILURE"


async def test_batch_sessions_one_after_the_other(api: Any) -> None:
    first = await api.create("python", type="batch", startup_command="true", enqueue_only=True)
    second = await api.create(
        "python", type="batch", startup_command="true", enqueue_only=True, dependencies=[first.id]
    )
    assert (await second.wait("result", timeout=20)).result == "SUCCESS"
    assert (await first.refresh()).result == "SUCCESS"
    await second.wait("dead", timeout=20)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"image": ""}, "image"),
        ({"image": "a\nb"}, "image"),
        ({"name": "ab"}, "4 to 64"),
        ({"name": "from-template"}, "reserved"),
        ({"name": "späße-1"}, "ASCII"),
        ({"resources": "cpu"}, "="),
        ({"resources": {"cpu": -1}}, "cpu"),
        ({"resources": {"gpu": 1}}, "cuda"),
        ({"resources": ["mem=lots"]}, "mem"),
        ({"cluster_size": 0}, "cluster_size"),
        ({"cluster_mode": "many"}, "cluster_mode"),
        ({"type": "interactiv"}, "type"),
        ({"type": "batch"}, "startup_command"),
        ({"batch_timeout": 5}, "batch"),
        ({"preopen_ports": [80]}, "1024"),
        ({"priority": 101}, "100"),
        ({"tag": ""}, "tag"),
        ({"env": {"A": 1}}, "strings"),
        ({"mounts": "data"}, "list"),
        ({"callback_url": "ftp://x"}, "http"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": 1, "enqueue_only": True}, "nothing is waited for"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    api: Any, cluster: Any, arguments: dict[str, Any], said: str
) -> None:
    before = len(cluster.sessions())
    image, rest = arguments.get("image", "python"), {k: v for k, v in arguments.items() if k != "image"}
    with pytest.raises(InvalidArgument, match=said):
        await api.create(image, **rest)
    assert len(cluster.sessions()) == before


async def test_cancelling_a_create_leaves_nothing(small_cluster: Any) -> None:
    """Async only: a blocking call is cancelled by Ctrl-C, which tests/sync covers."""
    from backendai_sdk import AsyncSession

    async with AsyncSession(
        small_cluster.endpoint, access_key=small_cluster.access_key, secret_key=small_cluster.secret_key
    ) as api:
        async with api.create("python", resources="cpu=2 mem=1g"):
            for pause in (0.0, 0.001, 0.003, 0.01, 0.05, 0.2):

                async def waits_for_ever() -> None:
                    await api.create("python", resources="cpu=1 mem=1g")

                task = asyncio.create_task(waits_for_ever())
                await asyncio.sleep(pause)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        left = [s for s in small_cluster.live_sessions() if s.status != "TERMINATING"]
        assert left == []


async def test_cancelled_by_its_own_progress(cluster: Any) -> None:
    """A cancellation from inside ``on_progress``, at the last moment: the session that nobody gets is destroyed."""
    from backendai_sdk import AsyncSession

    async with AsyncSession(
        cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key
    ) as api:

        async def create() -> None:
            task = asyncio.current_task()
            assert task is not None

            def on_progress(phase: str, status: str, message: str) -> None:
                if status == "RUNNING":
                    task.cancel()

            await api.create("python", resources="cpu=1 mem=1g", on_progress=on_progress)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(create())
