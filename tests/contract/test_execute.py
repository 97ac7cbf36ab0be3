"""Running code in a session: state, output, errors, input, interrupts, steps."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import (
    AsyncComputeSession,
    AsyncSession,
    ExecutionTimeout,
    Finished,
    InputRequest,
    SessionNotReady,
    Stdout,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_code]

SMALL = "cpu=1 mem=512m"


@pytest.fixture(params=["rest", "websocket"])
def over(request: pytest.FixtureRequest) -> Any:
    """The way that runs go: scenarios that take it hold over both."""
    return {"transport": request.param}


async def test_state_and_output(cs: AsyncComputeSession, over: Any) -> None:
    assert (await cs.execute("number = 41", **over)).outputs == ()
    result = await cs.execute("import sys\nprint(number + 1)\nprint('oops', file=sys.stderr)", **over)
    assert (result.stdout, result.stderr, result.exit_code) == ("42\n", "oops\n", 0)
    assert result.ok
    assert result.complete


async def test_text_of_all_kinds(cs: AsyncComputeSession, over: Any) -> None:
    text = "žluťoučký kůň ☃ 𝔘𝔫𝔦\ttab 'quote' \"double\" \\ back"
    result = await cs.execute(f"print({text!r})", **over)
    assert result.stdout == text + "\n"


@pytest.mark.differs(
    "23.09", "the exit code after an exception is 0; `ok` and `error` tell (SEEN, docker-12)"
)
async def test_errors(server: Any, cs: AsyncComputeSession, over: Any) -> None:
    result = await cs.execute("def broken():\n    return 1 / 0\nbroken()", **over)
    assert not result.ok
    assert result.error is not None
    assert (result.error.name, result.error.message) == ("ZeroDivisionError", "division by zero")
    assert "Traceback" in result.stderr
    assert result.exit_code == (0 if server.release == "23.09" else 1)
    result = await cs.execute("1 +", **over)
    assert result.error is not None
    assert result.error.name == "SyntaxError"
    assert (await cs.execute("print('fine')")).ok


async def test_input(cs: AsyncComputeSession, over: Any) -> None:
    code = "name = input('who? ')\nage = input('age? ')\nprint(f'{name} is {age}')"
    result = await cs.execute(code, stdin="me\n42\n", **over)
    assert result.stdout.endswith("me is 42\n")
    items = []
    async with cs.stream_execute("print('hi', input('who? '))", **over) as run:
        async for item in run:
            items.append(item)
            if isinstance(item, InputRequest):
                await run.send_input("you")
    assert InputRequest(False) in items
    assert items[-1] == Finished(0)
    assert run.result().stdout.endswith("hi you\n")


async def test_long_output(cs: AsyncComputeSession, over: Any) -> None:
    """Nothing is lost and nothing comes twice, over several polls."""
    result = await cs.execute(
        "import time\nfor i in range(3000):\n    print(i, 'x' * 100)\n    if i % 1000 == 999: time.sleep(1.2)",
        **over,
    )
    assert result.stdout == "".join(f"{i} {'x' * 100}\n" for i in range(3000))


async def test_output_comes_while_it_runs(cs: AsyncComputeSession, over: Any) -> None:
    """The first line is there long before the code, which waits for a file, can end."""
    await cs.execute("import os, time\nif os.path.exists('gate'): os.remove('gate')", **over)
    async with cs.stream_execute(
        "print('first', flush=True)\nwhile not os.path.exists('gate'): time.sleep(0.05)\nprint('second')",
        **over,
    ) as run:
        seen = ""
        async for item in run:
            if isinstance(item, Stdout):
                seen += item.text
                if seen == "first\n":
                    await _open_gate(cs)
    assert seen == "first\nsecond\n"


async def _open_gate(cs: AsyncComputeSession) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "gate"
        gate.write_text("open")
        await cs.upload(gate)


async def test_interrupt(cs: AsyncComputeSession, over: Any) -> None:
    async with cs.stream_execute("import time\nprint('go', flush=True)\ntime.sleep(120)", **over) as run:
        async for item in run:
            if isinstance(item, Stdout) and "go" in item.text:
                await run.interrupt()
    result = run.result()
    assert result.error is not None
    assert result.error.name == "KeyboardInterrupt"
    assert (await cs.execute("print('still here')", **over)).stdout == "still here\n"


async def test_timeout_interrupts_and_keeps(server: Any, cs: AsyncComputeSession, over: Any) -> None:
    await cs.execute("kept = 'kept'", **over)
    with pytest.raises(ExecutionTimeout) as caught:
        await cs.execute(
            "import time\nprint('begun', flush=True)\ntime.sleep(240)",
            timeout=2 if server.is_local else 15,
            **over,
        )
    assert "begun" in "".join(item.text for item in caught.value.outputs if isinstance(item, Stdout))
    assert (await cs.execute("print(kept)", **over)).stdout == "kept\n"


async def test_runs_take_turns(cs: AsyncComputeSession) -> None:
    results = await asyncio.gather(*(cs.execute(f"print({i})") for i in range(5)))
    assert [result.stdout for result in results] == [f"{i}\n" for i in range(5)]


async def test_rich_output(cs: AsyncComputeSession, over: Any) -> None:
    result = await cs.execute(
        "class Plot:\n"
        "    def _repr_svg_(self): return '<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>'\n"
        "Plot()",
        **over,
    )
    assert [item.mime for item in result.outputs if hasattr(item, "mime")] == ["image/svg+xml"]


async def test_steps(cs: AsyncComputeSession, over: Any) -> None:
    result = await cs.execute_batch(
        clean="echo cleaning",
        build="echo building; sleep 1",
        exec="echo running; echo bad >&2; sleep 1; exit 3",
        **over,
    )
    assert result.exit_code == 3
    assert not result.ok
    assert result.steps["build"] == 0
    assert "building\n" in result.stdout
    assert "running\n" in result.stdout
    assert "bad\n" in result.stderr


async def test_steps_that_end_at_once(cs: AsyncComputeSession, over: Any) -> None:
    """What ends fast is not lost (PROTOCOL §4.1: agents from 25.11 drop it between calls)."""
    for _ in range(3):
        result = await cs.execute_batch(build="echo built", exec="echo ran", **over)
        assert (result.exit_code, result.stdout) == (0, "built\nran\n")
        assert result.ok


async def test_a_build_that_fails(cs: AsyncComputeSession, over: Any) -> None:
    result = await cs.execute_batch(build="echo trying; exit 7", exec="echo never", **over)
    assert result.exit_code == 127
    assert result.steps["build"] == 7
    assert "never" not in result.stdout


async def test_a_program_with_files(
    cs: AsyncComputeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lib").mkdir()
    Path("lib/word.txt").write_text("hello", encoding="utf-8")
    Path("my script.py").write_text(
        "import sys\nprint(open('lib/word.txt').read(), *sys.argv[1:])\nprint(input())\n", encoding="utf-8"
    )
    result = await cs.execute_batch(
        exec="python 'my script.py' arg1 arg2", files=["my script.py", "lib/word.txt"], stdin="typed"
    )
    assert result.exit_code == 0
    assert result.stdout.startswith("hello arg1 arg2\n")
    assert result.stdout.endswith("typed\n")


async def test_one_shot(api: AsyncSession, tmp_path: Path, unique: str) -> None:
    """``run()``: a session of its own for one program, gone afterwards."""
    script = tmp_path / "myscript.py"
    script.write_text("import sys\nprint(*sys.argv)\n", encoding="utf-8")
    result = await api.run(
        "python", exec="python myscript.py arg1 arg2", files=[script], name=f"{unique}-shot", resources=SMALL
    )
    assert (result.exit_code, result.stdout) == (0, "myscript.py arg1 arg2\n")
    assert all(row.status == "TERMINATING" for row in await api.match(unique))


async def test_not_in_a_session_that_waits(api: AsyncSession, unique: str) -> None:
    cs = await api.create("python", name=f"{unique}-wait", resources="cpu=6 mem=1000g", enqueue_only=True)
    try:
        with pytest.raises(SessionNotReady, match="PENDING"):
            await cs.execute("print(1)")
    finally:
        await cs.destroy()
    await cs.wait("dead", timeout=60)
    with pytest.raises(SessionNotReady, match="CANCELLED"):
        await cs.execute("print(1)")
