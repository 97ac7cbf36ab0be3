"""Watching and waiting for many sessions, and going on with a run of another program: async and blocking."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from backendai_sdk import InvalidArgument, SessionNotFound, Stdout, StreamInterrupted

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
SMALL = "cpu=1 mem=256m"


@RELEASES
async def test_several_sessions_from_their_start_to_their_end(api: Any) -> None:
    some = [await api.create("python", resources=SMALL, enqueue_only=True) for _ in range(3)]
    told: dict[str, list[Any]] = {cs.id: [] for cs in some}
    async with api.watch(*some) as events:
        await asyncio.gather(*(cs.wait(timeout=20) for cs in some))
        for cs in some:
            await cs.destroy(forced=True)
        async for event in events:
            told[event.session_id].append(event)
    for seen in told.values():
        names = [e.name for e in seen]
        assert names[-1] == "session_terminated"
        assert len([n for n in names if n.startswith("session_")]) == len(
            {n for n in names if n.startswith("session_")}
        )


@RELEASES
async def test_the_ends_of_all_sessions(api: Any) -> None:
    async with api.watch(status="dead") as events:
        first = await api.create("python", resources=SMALL)
        second = await api.create("python", resources=SMALL)
        for cs in (second, first):
            await cs.destroy(forced=True)
            async for event in events:
                if event.session_id == cs.id:
                    assert event.status == "TERMINATED"
                    break


async def test_what_cannot_be_watched(api: Any) -> None:
    with pytest.raises(InvalidArgument, match="status"):
        api.watch(status="runing")
    with pytest.raises(InvalidArgument, match="sessions"):
        api.watch("")
    with pytest.raises(SessionNotFound):
        async with api.watch("no-such-session"):
            pass


BEGUN = """
import sys
from backendai_sdk import Session, Stdout

endpoint, access_key, secret_key, session_id = sys.argv[1:]
code = "import time\\nfor n in range(50):\\n    print(n, flush=True)\\n    time.sleep(0.1)"
with Session(endpoint, access_key=access_key, secret_key=secret_key) as api:
    with api.get(session_id).stream_execute(code) as run:
        print(run.run_id, flush=True)
        for item in run:
            print("read", flush=True)
"""


@pytest.mark.parametrize("release", ["23.09", "26.8"])
async def test_a_run_whose_program_was_killed_is_resumed_by_another(api: Any, cluster: Any) -> None:
    async with api.create("python", resources=SMALL) as cs:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", BEGUN, cluster.endpoint, cluster.access_key, cluster.secret_key, cs.id),
            stdout=asyncio.subprocess.PIPE,
        )
        assert program.stdout is not None
        run_id = (await program.stdout.readline()).decode().strip()
        await program.stdout.readline()
        program.kill()
        await program.communicate()
        async with cs.resume(run_id) as run:
            text = "".join([item.text async for item in run if isinstance(item, Stdout)])
        # What the dead program had asked for is lost; everything after that comes, once.
        numbers = [int(n) for n in text.split()]
        assert numbers == list(range(numbers[0], 50))
        result = run.result()
        assert (result.ok, result.run_id, result.error, result.steps) == (True, run_id, None, {})
        # The session is free again, and does not know the run any more.
        assert (await cs.execute("print('next')")).stdout == "next\n"
        with pytest.raises(StreamInterrupted, match="does not know the run"):
            async with cs.resume(run_id) as run:
                async for _ in run:
                    pass
