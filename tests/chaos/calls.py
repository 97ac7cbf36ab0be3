"""Every public call that talks to a server, as a short program: what a user would write, and nothing of the faults.

A call that is not here fails `test_every_call_is_here`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    BackendAIError,
    DeadlineExceeded,
    NotFound,
    StreamInterrupted,
    deadline,
)

__all__ = ["CALLS", "Call", "Case"]

HELLO = "print('hello')"


@attrs.frozen
class Case:
    """What a call has to work with."""

    api: AsyncSession
    cs: AsyncComputeSession  # runs
    name: str  # a name for a session that does not exist yet
    folder: Path
    held: list[AsyncComputeSession] = attrs.field(factory=list)  # sessions that the call gave to its caller


@attrs.frozen
class Call:
    """One call and what it needs."""

    name: str
    run: Callable[[Case], Awaitable[object]]
    covers: tuple[str, ...]
    own: bool = False  # a session of its own: the call ends or changes it
    runs: bool = False  # runs code, and may leave it running when it fails
    slow: bool = False  # its steps take a second, by design (`_wire/batch.py`)
    few: bool = False  # under a few troubles only: it takes seconds
    core: bool = False  # under the rarer troubles, too


CALLS: list[Call] = []


def call(*covers: str, **traits: bool) -> Callable[..., object]:
    def enlist(run: Callable[[Case], Awaitable[object]]) -> object:
        CALLS.append(Call(run.__name__, run, covers or (f"AsyncComputeSession.{run.__name__}",), **traits))
        return run

    return enlist


# --- the client session -----------------------------------------------------------------------------------


@call("AsyncSession.ping")
async def ping(case: Case) -> None:
    await case.api.ping()


@call("AsyncSession.list", "AsyncSession.with_options")
async def list_first(case: Case) -> None:
    assert case.cs.name in [row.name for row in await case.api.with_options(timeout=1.0).list()]


@call("AsyncSession.list", core=True)
async def list_all(case: Case) -> None:
    assert case.cs.id in [str(row.id) async for row in case.api.list(page_size=1, fields="id")]


@call("AsyncSession.get")
async def get(case: Case) -> None:
    assert (await case.api.get(case.cs.name)).id == case.cs.id


@call("AsyncSession.match")
async def match(case: Case) -> None:
    assert case.cs.name in [row.name for row in await case.api.match(case.cs.name[:-1])]


@call("AsyncImages.list", "AsyncImages.get")
async def images(case: Case) -> None:
    (image,) = [image for image in await case.api.images.list() if "python" in image.aliases]
    assert image == await case.api.images.get("python")


@call("AsyncSession.create", "AsyncSession.close", core=True)
async def create_and_keep(case: Case) -> None:
    case.held.append(await case.api.create("python", name=case.name))
    assert case.held[0].status == "RUNNING"


@call("AsyncSession.create", core=True)
async def create_in_a_block(case: Case) -> None:
    async with case.api.create("python", name=case.name) as cs:
        assert cs.status == "RUNNING"


@call("AsyncSession.create")
async def enqueue(case: Case) -> None:
    case.held.append(await case.api.create("python", name=case.name, enqueue_only=True))


@call("AsyncSession.ensure", core=True)
async def ensure(case: Case) -> None:
    case.held.append(await case.api.ensure(case.name, "python"))


@call("AsyncSession.run", core=True)
async def run(case: Case) -> None:
    assert (await case.api.run("python", code=HELLO, name=case.name)).stdout == "hello\n"


@call("AsyncSession.destroy", own=True, core=True)
async def destroy_by_name(case: Case) -> None:
    (await case.api.destroy(case.cs.name))[0].check()


@call("AsyncSession.background_task")
async def background_task(case: Case) -> None:
    with contextlib.suppress(BackendAIError):  # there is none
        await case.api.background_task(str(uuid.uuid4())).wait()


# --- a compute session ------------------------------------------------------------------------------------


@call("AsyncComputeSession.refresh")
async def refresh(case: Case) -> None:
    assert (await case.cs.refresh()).name == case.cs.name


@call()
async def wait(case: Case) -> None:
    await case.cs.wait()


@call("AsyncComputeSession.wait", own=True, core=True)
async def wait_for_the_end(case: Case) -> None:
    case.held.append(case.cs)
    waiting = asyncio.ensure_future(case.cs.wait("dead"))
    await asyncio.sleep(0)
    try:
        await case.cs.destroy()
        await waiting
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


@call()
async def explain(case: Case) -> None:
    assert await case.cs.explain()


@call()
async def logs(case: Case) -> None:
    await case.cs.logs()


@call()
async def task_log(case: Case) -> None:
    with contextlib.suppress(NotFound):
        await case.cs.task_log()


@call(own=True)
async def stream_logs(case: Case) -> None:
    case.held.append(case.cs)
    await case.cs.destroy()
    async for _ in case.cs.stream_logs(interval=0.05):
        pass


@call(own=True, core=True)
async def stream_events(case: Case) -> None:
    case.held.append(case.cs)
    async with case.cs.stream_events() as events:
        await case.cs.destroy()
        names = [event.name async for event in events]
    assert len(names) <= 20


@call("AsyncSession.watch", own=True, core=True)
async def watch(case: Case) -> None:
    case.held.append(case.cs)
    async with case.api.watch(case.cs) as events:
        await case.cs.destroy()
        names = [event.name async for event in events]
    assert len(names) <= 20


@call(runs=True)
async def resume(case: Case) -> None:
    """One that nobody knows: servers that cannot say so go on for ever."""
    with contextlib.suppress(StreamInterrupted, DeadlineExceeded), deadline(1):
        async with case.cs.resume(uuid.uuid4().hex) as run:
            assert [item async for item in run] == []


@call(runs=True, core=True)
async def execute(case: Case) -> None:
    assert (await case.cs.execute(HELLO)).stdout == "hello\n"


@call("AsyncComputeSession.execute", runs=True, core=True)
async def execute_by_websocket(case: Case) -> None:
    assert (await case.cs.execute(HELLO, transport="websocket")).stdout == "hello\n"


@call(runs=True, core=True)
async def stream_execute(case: Case) -> None:
    async with case.cs.stream_execute("print(input())") as steps:
        async for item in steps:
            if type(item).__name__ == "InputRequest":
                await steps.send_input("me")


@call(runs=True, slow=True)
async def execute_batch(case: Case) -> None:
    assert (await case.cs.execute_batch(exec="echo hello")).stdout == "hello\n"


@call()
async def interrupt(case: Case) -> None:
    await case.cs.interrupt()


@call()
async def complete(case: Case) -> None:
    await case.cs.complete("pri")


@call(core=True)
async def upload(case: Case) -> None:
    (case.folder / "up.bin").write_bytes(bytes(50_000))
    await case.cs.upload(case.folder / "up.bin")


@call("AsyncComputeSession.upload", runs=True, slow=True, few=True)
async def upload_big(case: Case) -> None:
    (case.folder / "big.bin").write_bytes(bytes(2_500_000))
    await case.cs.upload(case.folder / "big.bin")


@call(runs=True, core=True)
async def download(case: Case) -> None:
    await case.cs.download("there.bin", to=case.folder, overwrite=True)
    assert (case.folder / "there.bin").stat().st_size == 50_000


@call(runs=True)
async def read_file(case: Case) -> None:
    assert len(await case.cs.read_file("there.bin")) == 50_000


@call(runs=True)
async def write_file(case: Case) -> None:
    await case.cs.write_file("note.txt", "text")


@call(runs=True)
async def list_files(case: Case) -> None:
    assert "there.bin" in [entry.name for entry in await case.cs.list_files()]


@call(runs=True, slow=True)
async def remove(case: Case) -> None:
    await case.cs.write_file("gone.txt", "text")
    await case.cs.remove("gone.txt")


@call()
async def apps(case: Case) -> None:
    assert await case.cs.apps()


@call("AsyncComputeSession.start_app", "AsyncComputeSession.stop_app")
async def start_and_stop_app(case: Case) -> None:
    await case.cs.start_app("simple")
    await case.cs.stop_app("simple")


@call()
async def forward_port(case: Case) -> None:
    async with case.cs.forward_port("simple") as forward:
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            await reader.read()
        except ConnectionError:
            pass  # the tunnel was cut: what came over it ends here, too
        finally:
            writer.close()


@call(runs=True)
async def pty(case: Case) -> None:
    async with case.cs.pty() as terminal:
        await terminal.send(b"exit\r")
        async for _ in terminal:
            pass


@call("AsyncComputeSession.commit", "AsyncComputeSession.commit_status", own=True)
async def commit(case: Case) -> None:
    await (await case.cs.commit()).wait(timeout=5)
    await case.cs.commit_status()


@call(own=True)
async def convert_to_image(case: Case) -> None:
    await (await case.cs.convert_to_image("mine")).wait(timeout=5)


@call()
async def status_history(case: Case) -> None:
    assert await case.cs.status_history()


@call()
async def dependency_graph(case: Case) -> None:
    await case.cs.dependency_graph()


@call(own=True)
async def rename(case: Case) -> None:
    await case.cs.rename(case.name)


@call(own=True)
async def restart(case: Case) -> None:
    await case.cs.restart()


@call("AsyncComputeSession.destroy", own=True, core=True)
async def destroy(case: Case) -> None:
    (await case.cs.destroy()).check()
