"""Running code: state, streams, input, errors, time limits, batch steps, files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import (
    APIError,
    ExecutionFailed,
    ExecutionTimeout,
    Finished,
    InputRequest,
    InvalidArgument,
    SessionNotReady,
    Stdout,
    StepFinished,
    StreamInterrupted,
    UsageError,
)

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
TRANSPORTS = pytest.mark.parametrize("transport", ["rest", "websocket"])


@RELEASES
async def test_state_output_and_errors(api: Any) -> None:
    async with api.create("python") as cs:
        result = await cs.execute("x = 41")
        assert result.ok
        assert result.complete
        assert result.outputs == ()
        result = await cs.execute("import sys\nprint(x + 1)\nprint('oops', file=sys.stderr)")
        assert (result.stdout, result.stderr, result.exit_code) == ("42\n", "oops\n", 0)
        assert result.ok
        result = await cs.execute("x / 0")
        assert not result.ok
        assert result.error is not None
        assert result.error.name == "ZeroDivisionError"
        assert result.error.message == "division by zero"
        assert "Traceback" in result.stderr
        with pytest.raises(ExecutionFailed, match="ZeroDivisionError: division by zero") as caught:
            result.check()
        assert caught.value.result is result
        with pytest.raises(ExecutionFailed, match="SyntaxError"):
            await cs.execute("1 +", check=True)
        result = await cs.execute("import sys; sys.exit(3)")
        assert (result.ok, result.error.name, result.error.message) == (False, "SystemExit", "3")
        assert (await cs.execute("sys.exit(0)")).ok
        assert (await cs.execute("sys.exit()")).ok
        # A program that prints a traceback of its own has not failed.
        result = await cs.execute(
            "import traceback\ntry:\n    1/0\nexcept ZeroDivisionError:\n    traceback.print_exc()"
        )
        assert result.ok
        assert "ZeroDivisionError" in result.stderr


@TRANSPORTS
async def test_output_arrives_as_it_is_written(api: Any, transport: str) -> None:
    """The code waits for a file that is only made once its first line has arrived."""
    async with api.create("python") as cs:
        code = (
            "import os, time\nprint('first', flush=True)\n"
            "while not os.path.exists(gate): time.sleep(0.01)\nprint('second')"
        )
        gate = (await cs.execute("import os; print(os.getcwd(), end='')")).stdout + "/gate"
        await cs.execute(f"gate = {gate!r}")
        seen: list[str] = []

        def on_output(item: Any) -> None:
            if isinstance(item, Stdout):
                seen.append(item.text)
                if "first" in item.text:
                    Path(gate).touch()

        result = await cs.execute(code, on_output=on_output, transport=transport)
        assert result.stdout == "first\nsecond\n"
        assert seen == ["first\n", "second\n"]


@RELEASES
async def test_over_a_websocket(api: Any) -> None:
    async with api.create("python") as cs:
        assert (await cs.execute("x = 41", transport="websocket")).outputs == ()
        result = await cs.execute(
            "import sys\nprint(x + 1)\nprint('oops', file=sys.stderr)", transport="websocket"
        )
        assert (result.stdout, result.stderr, result.exit_code, result.ok) == ("42\n", "oops\n", 0, True)
        result = await cs.execute("x / 0", transport="websocket")
        assert result.error is not None
        assert result.error.name == "ZeroDivisionError"
        # Both transports see one interpreter.
        assert (await cs.execute("print(x)")).stdout == "41\n"
        result = await cs.execute_batch(
            build="echo built", exec="echo ran; exit 7", transport="websocket", timeout=20
        )
        assert (result.stdout, result.exit_code, result.steps["build"]) == ("built\nran\n", 7, 0)


@RELEASES
@TRANSPORTS
async def test_input(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        code = "name = input('who? ')\nage = input('age? ')\nprint(f'{name} is {age}')"
        result = await cs.execute(code, stdin="me\n42\n", transport=transport)
        assert result.stdout.endswith("me is 42\n")
        result = await cs.execute(code, stdin=["you", "43"], transport=transport)
        assert result.stdout.endswith("you is 43\n")
        prompts: list[str] = []

        def answer(prompt: str) -> str:
            prompts.append(prompt)
            return "it" if "who" in prompt else "7"

        result = await cs.execute(code, stdin=answer, transport=transport)
        assert result.stdout.endswith("it is 7\n")
        assert prompts[0] == "who? "
        assert prompts[1].endswith("age? ")
        with pytest.raises(UsageError, match="stdin="):
            await cs.execute(code, stdin="only one", transport=transport)
        # The interrupted run does not stand in the way of the next.
        assert (await cs.execute("print(1)")).stdout == "1\n"
        with pytest.raises(InvalidArgument, match="stdin"):
            await cs.execute(code, stdin=42)


@TRANSPORTS
async def test_items_of_a_stream(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        async with cs.stream_execute("name = input('who? ')\nprint('hi', name)", transport=transport) as run:
            items = []
            async for item in run:
                items.append(item)
                if isinstance(item, InputRequest):
                    with pytest.raises(UsageError, match="waits for input"):
                        await (
                            run.__anext__()
                            if hasattr(run, "__anext__")
                            else asyncio.to_thread(next, run._obj)
                        )
                    await run.send_input("me")
            assert run.finished
            with pytest.raises(UsageError, match="does not wait"):
                await run.send_input("again")
        assert items == [Stdout("who? "), InputRequest(False), Stdout("hi me\n"), Finished(0)]
        assert run.result().stdout == "who? hi me\n"
        assert len(run.run_id) == (32 if transport == "rest" else 0)


@TRANSPORTS
async def test_leaving_a_stream_early_interrupts_the_code(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        async with cs.stream_execute(
            "import time\nprint('go', flush=True)\ntime.sleep(600)", transport=transport
        ) as run:
            async for item in run:
                assert item == Stdout("go\n")
                break
        assert (await cs.execute("print('free')")).stdout == "free\n"
        with pytest.raises(UsageError, match="not over"):
            cs.stream_execute("1").result()


@TRANSPORTS
async def test_timeout_interrupts_and_keeps_the_session(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        await cs.execute("kept = 5")
        with pytest.raises(ExecutionTimeout, match="0.5 s") as caught:
            await cs.execute(
                "import time\nprint('begun', flush=True)\ntime.sleep(600)", timeout=0.5, transport=transport
            )
        assert isinstance(caught.value, TimeoutError)
        assert Stdout("begun\n") in caught.value.outputs
        assert (await cs.execute("print(kept)")).stdout == "5\n"


@RELEASES
@TRANSPORTS
async def test_timeout_of_a_batch_interrupts_all_that_runs(api: Any, transport: str) -> None:
    """Agents interrupt the shell only; the session must be free all the same."""
    async with api.create("python") as cs:
        with pytest.raises(ExecutionTimeout):
            await cs.execute_batch(exec="echo begun; sleep 600; echo never", timeout=2.5, transport=transport)
        assert (await cs.execute("print('free')", timeout=10)).stdout == "free\n"


@TRANSPORTS
async def test_interrupt_from_elsewhere(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        async with cs.stream_execute(
            "import time\nprint('go', flush=True)\ntime.sleep(600)", transport=transport
        ) as run:
            async for item in run:
                if item == Stdout("go\n"):
                    await run.interrupt()
        result = run.result()
        assert result.error is not None
        assert result.error.name == "KeyboardInterrupt"


@TRANSPORTS
async def test_runs_of_one_session_take_turns(api: Any, transport: str) -> None:
    async with api.create("python") as cs:
        code = "import time\nprint({0}, flush=True)\ntime.sleep(0.1)\nprint({0})"
        results = await asyncio.gather(*(cs.execute(code.format(i), transport=transport) for i in range(4)))
        assert [r.stdout for r in results] == [f"{i}\n{i}\n" for i in range(4)]


@RELEASES
async def test_batch_steps_with_files(api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my script.py").write_text("import sys\nprint(sys.argv[1:], file=sys.stderr)\nsys.exit(7)")
    Path("data").mkdir()
    Path("data/in.txt").write_text("inside")
    async with api.create("python") as cs:
        result = await cs.execute_batch(
            build="cat data/in.txt > built.txt",
            exec="cat built.txt; python 'my script.py' arg1 arg2",
            files=["./my script.py", Path("data/in.txt")],
        )
        assert result.stdout.endswith("inside")
        assert "['arg1', 'arg2']" in result.stderr
        assert result.exit_code == 7
        assert not result.ok
        assert result.steps["exec"] == 7
        assert next(i for i in result.outputs if isinstance(i, StepFinished)).step == "clean"
        with pytest.raises(ExecutionFailed, match="exited with 7"):
            result.check()
        failed = await cs.execute_batch(build="exit 2", exec="echo never")
        assert failed.exit_code == 127
        assert failed.stdout == ""
        with pytest.raises(InvalidArgument, match="nothing was given"):
            await cs.execute_batch()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("missing.py", "there is no file"),
        ("../outside.py", "leaves the work folder"),
        ('quo"te.txt', "quotes"),
    ],
)
async def test_files_that_cannot_be_uploaded(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, said: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (tmp_path / "outside.py").write_text("")
    Path('quo"te.txt').write_text("")
    async with api.create("python") as cs:
        with pytest.raises(InvalidArgument, match=said):
            await cs.upload(file)
        await cs.upload([])


async def test_one_shot(api: Any, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("myscript.py").write_text("import sys; print('got', sys.argv[1:])")
    result = await api.run("python:3.6-ubuntu18.04", code='print("hello world")', rm=True)
    assert result.stdout == "hello world\n"
    result = await api.run(
        "python:3.6-ubuntu18.04",
        exec="python myscript.py arg1 arg2",
        files=["./myscript.py"],
        resources=["cpu=4", "mem=8g", "cuda.shares=2"],
    )
    assert result.stdout == "got ['arg1', 'arg2']\n"
    kept = await api.run("python", code="y = 2", rm=False)
    session = await api.get(kept.session_id)
    assert (await session.execute("print(y)")).stdout == "2\n"
    await session.destroy()
    before = len(cluster.sessions())
    with pytest.raises(InvalidArgument, match="there is no file"):
        await api.run("python", exec="ls", files=["missing.py"])
    assert len(cluster.sessions()) == before
    with pytest.raises(ExecutionFailed) as caught:
        await api.run("python", code="1/0", rm=False, check=True, name="kept-by-run")
    assert "kept-by-run" in caught.value.__notes__[0]
    await api.destroy("kept-by-run")
    with pytest.raises(InvalidArgument, match="either code="):
        await api.run("python")
    with pytest.raises(InvalidArgument, match="either code="):
        await api.run("python", code="1", exec="ls")


@RELEASES
async def test_sessions_that_do_not_run(small_api: Any) -> None:
    async with small_api.create("python", resources="cpu=2 mem=1g") as cs:
        queued = await small_api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
        with pytest.raises(SessionNotReady, match="PENDING: it has not started yet"):
            await queued.execute("print(1)")
        await queued.destroy()
        with pytest.raises(SessionNotReady, match="it has ended"):
            await queued.execute("print(1)")
        with pytest.raises(InvalidArgument, match="code"):
            await cs.execute(b"print(1)")


@RELEASES
async def test_sessions_that_do_not_run_over_a_websocket(small_api: Any) -> None:
    async with small_api.create("python", resources="cpu=2 mem=1g") as cs:
        queued = await small_api.create("python", resources="cpu=1 mem=1g", enqueue_only=True)
        with pytest.raises(SessionNotReady, match="PENDING: it has not started yet"):
            await queued.execute("print(1)", transport="websocket")
        await queued.destroy()
        with pytest.raises(SessionNotReady, match="it has ended"):
            await queued.execute("print(1)", transport="websocket")
        with pytest.raises(InvalidArgument, match="transport: 'pigeon' is neither 'rest' nor 'websocket'"):
            await cs.execute("print(1)", transport="pigeon")
        with pytest.raises(InvalidArgument, match="transport"):
            cs.stream_execute("print(1)", transport="pigeon")


@TRANSPORTS
async def test_a_session_that_ends_during_a_run(api: Any, transport: str) -> None:
    """What is left of the run is an error, never a result."""
    async with api.create("python") as cs:

        async def end(item: Any) -> None:
            if item == Stdout("go\n"):
                await cs.destroy(forced=True)

        with pytest.raises((StreamInterrupted, SessionNotReady, APIError)):
            await cs.execute(
                "import time\nprint('go', flush=True)\ntime.sleep(600)", on_output=end, transport=transport
            )
