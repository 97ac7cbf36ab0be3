"""Batch runs and the shell command of a batch session, in the local kernel."""

from __future__ import annotations

import asyncio
import signal

import pytest

from backendai_sdk.local.kernel import Kernel, RunBusy

LONG = 20.0


@pytest.fixture
async def kernel(tmp_path):
    kernel = Kernel(work_dir=tmp_path, agent_timeout=LONG)
    yield kernel
    await kernel.close()


async def batch(kernel, options, answers=(), run_id="r", flush_timeout=LONG):
    """All answers of a batch run that say something."""
    answers = list(answers)
    result = await kernel.execute(run_id, "batch", "ignored", options, flush_timeout=flush_timeout)
    results = [result]
    while result["status"] != "finished":
        mode, text = ("input", answers.pop(0)) if result["status"] == "waiting-input" else ("continue", "")
        result = await kernel.execute(run_id, mode, text, None, flush_timeout=flush_timeout)
        results.append(result)
    return [(r["status"], r["exitCode"], r["console"]) for r in results]


async def test_as_captured_heuristics(kernel, tmp_path):
    (tmp_path / "main.py").write_text("import sys\nprint('main', sys.argv)\n")
    assert await batch(kernel, {"build": "*", "exec": "*", "buildLog": True}) == [
        ("clean-finished", 0, []),
        (
            "build-finished",
            0,
            [
                [
                    "stderr",
                    'python-kernel: python-kernel: skipping the build phase due to missing "setup.py" file\n',
                ]
            ],
        ),
        ("finished", 0, [["stdout", "main ['main.py']\n"]]),
    ]


async def test_as_captured_command_with_exit_code(kernel, tmp_path):
    (tmp_path / "main.py").write_text("import sys\nprint('main', sys.argv)\n")
    assert await batch(kernel, {"clean": "", "build": None, "exec": "python3 main.py a b; exit 3"}) == [
        ("clean-finished", 0, []),
        ("build-finished", 0, []),
        ("finished", 3, [["stdout", "main ['main.py', 'a', 'b']\n"]]),
    ]


async def test_steps_run_in_order_without_losing_output(kernel):
    options = {
        "clean": "echo clean >> steps",
        "build": "echo build >> steps; echo built",
        "exec": "echo exec >> steps; cat steps",
    }
    assert await batch(kernel, options) == [
        ("clean-finished", 0, []),
        ("build-finished", 0, [["stdout", "built\n"]]),
        ("finished", 0, [["stdout", "clean\nbuild\nexec\n"]]),
    ]


async def test_failed_build_skips_the_program(kernel):
    assert await batch(kernel, {"clean": "exit 9", "build": "echo no >&2; exit 2", "exec": "echo never"}) == [
        ("clean-finished", 9, []),
        ("build-finished", 2, [["stderr", "no\n"]]),
        ("finished", 127, []),
    ]


async def test_makefile_and_missing_main(kernel, tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\t@echo made\n")
    results = await batch(kernel, {"clean": "*", "build": "*", "exec": "*"})
    assert results[1] == ("build-finished", 0, [["stdout", "made\n"]])
    assert results[2][:2] == ("finished", 127)
    assert "main.py" in results[2][2][0][1]


async def test_no_options_at_all(kernel):
    assert [r[:2] for r in await batch(kernel, None)] == [
        ("clean-finished", 0),
        ("build-finished", 0),
        ("finished", 0),
    ]


async def test_long_output_is_complete(kernel):
    results = await batch(kernel, {"exec": "seq 1 100000"})
    text = "".join(text for *_, console in results for _, text in console)
    assert text == "".join(f"{i}\n" for i in range(1, 100001))


async def test_programs_can_ask(kernel, tmp_path):
    (tmp_path / "ask.py").write_text(
        "import getpass, sys\nprint([input('name? '), getpass.getpass('pw? '), sys.stdin.readline()])\n"
    )
    results = await batch(kernel, {"exec": "python ask.py"}, answers=["bob", "secret", "line"])
    assert [r[0] for r in results[2:]] == ["waiting-input"] * 3 + ["finished"]
    assert results[2][2] == [["stdout", "name? "]]
    assert results[-1][1:] == (0, [["stdout", "['bob', 'secret', 'line\\n']\n"]])


async def test_programs_with_a_pipe_read_the_pipe(kernel):
    results = await batch(kernel, {"exec": "echo piped | python -c 'print(input())'"})
    assert results[-1] == ("finished", 0, [["stdout", "piped\n"]])


async def test_interrupt_of_a_command(kernel):
    call = asyncio.create_task(batch(kernel, {"build": "true", "exec": "echo begun; exec sleep 60"}))
    while "begun" not in kernel.logs():
        await asyncio.sleep(0.01)
    await kernel.interrupt()
    assert (await call)[-1][:2] == ("finished", 130)


async def test_interrupt_of_a_command_of_a_cluster_in_the_background(kernel):
    """A shell has what it runs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        await test_interrupt_of_a_command(kernel)
    finally:
        signal.signal(signal.SIGINT, before)


async def test_background_programs_outlive_their_step(kernel, tmp_path):
    options = {
        "build": "(while ! test -e go; do sleep 0.02; done; echo from background; touch gone) &",
        "exec": "touch go; while ! test -e gone; do sleep 0.02; done",
    }
    results = await batch(kernel, options)
    assert results[-1] == ("finished", 0, [["stdout", "from background\n"]])


async def test_the_fault_loses_what_comes_between_two_calls(tmp_path):
    kernel = Kernel(work_dir=tmp_path, drop_output_between_steps=True, agent_timeout=0.3)
    try:
        first = await kernel.execute("r", "batch", "", {"exec": "echo fast"}, flush_timeout=LONG)
        assert first["status"] == "clean-finished"
        while kernel.busy:
            await asyncio.sleep(0.01)
        for _ in range(3):
            lost = await kernel.execute("r", "continue", "", None, flush_timeout=0.05)
            assert (lost["status"], lost["console"]) == ("continued", [])
        with pytest.raises(RunBusy):
            await kernel.execute("other", "query", "1", None)
        await kernel.restart()
        result = await kernel.execute("other", "query", "print(1)", None, flush_timeout=LONG)
        assert result["console"] == [["stdout", "1\n"]]
    finally:
        await kernel.close()


async def test_the_fault_spares_slow_steps(tmp_path):
    kernel = Kernel(work_dir=tmp_path, drop_output_between_steps=True)
    options = {"clean": "sleep 1", "build": "sleep 1.5; echo built", "exec": "sleep 1.5; echo ran; exit 3"}
    try:
        assert await batch(kernel, options) == [
            ("clean-finished", 0, []),
            ("build-finished", 0, [["stdout", "built\n"]]),
            ("finished", 3, [["stdout", "ran\n"]]),
        ]
    finally:
        await kernel.close()


async def test_command_of_a_batch_session(kernel, tmp_path):
    assert await kernel.run_command("echo out; echo err >&2; touch made; exit 4") == 4
    assert sorted(kernel.logs().split()) == ["err", "out"]
    assert (tmp_path / "made").exists()
    assert not kernel.busy


async def test_command_that_takes_too_long(kernel):
    assert await kernel.run_command("sleep 60", timeout=0.2) == -2
    assert not kernel.busy
    assert await kernel.run_command("true") == 0


async def test_command_is_interrupted_and_holds_the_turn(kernel):
    command = asyncio.create_task(kernel.run_command("echo begun; exec sleep 60"))
    while "begun" not in kernel.logs():
        await asyncio.sleep(0.01)
    assert kernel.busy
    query = asyncio.create_task(kernel.execute("q", "query", "print(1)", None, flush_timeout=LONG))
    done, _ = await asyncio.wait({query}, timeout=0.05)
    assert not done
    await kernel.interrupt()
    assert await command == 130
    assert (await query)["console"] == [["stdout", "1\n"]]


async def test_cancelled_command_is_ended(kernel, tmp_path):
    command = asyncio.create_task(kernel.run_command("echo begun; sleep 60; touch never"))
    while "begun" not in kernel.logs():
        await asyncio.sleep(0.01)
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    assert not kernel.busy
    assert not kernel._programs
