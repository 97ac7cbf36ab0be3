"""How the runs of one session get along in the local kernel: turns, walking away, coming back."""

from __future__ import annotations

import asyncio
import time

import pytest

from backendai_sdk.local.kernel import Kernel, RunBusy, RunParameterError

LONG = 20.0


@pytest.fixture
async def kernel(tmp_path):
    kernel = Kernel(work_dir=tmp_path, agent_timeout=LONG)
    yield kernel
    await kernel.close()


def text_of(result, kind="stdout"):
    return "".join(data for item, data in result["console"] if item == kind)


async def query(kernel, code, run_id=None, flush_timeout=LONG):
    return await kernel.execute(run_id, "query", code, None, flush_timeout=flush_timeout)


async def test_another_run_waits_its_turn(kernel):
    assert (await query(kernel, "input()", "first"))["status"] == "waiting-input"
    second = asyncio.create_task(query(kernel, "print('second')", "second"))
    done, _ = await asyncio.wait({second}, timeout=0.05)
    assert not done
    assert (await kernel.execute("first", "input", "x", None))["status"] == "finished"
    assert text_of(await second) == "second\n"


async def test_another_run_waits_no_longer_than_the_agent_does(tmp_path):
    kernel = Kernel(work_dir=tmp_path, agent_timeout=0.5)
    try:
        await query(kernel, "input()", "first")
        with pytest.raises(RunBusy):
            await query(kernel, "print('never')", "second")
        await kernel.execute("first", "input", "x", None)
        assert text_of(await query(kernel, "print('third')", "third")) == "third\n"
        assert "never" not in kernel.logs()
    finally:
        await kernel.close()


async def test_cancelling_a_call_loses_nothing(kernel, tmp_path):
    code = "import os, time\nprint('one')\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')"
    call = asyncio.create_task(query(kernel, code, "r"))
    while "one" not in kernel.logs():
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (tmp_path / "go").touch()
    while kernel.busy:
        await asyncio.sleep(0.01)
    result = await kernel.execute("r", "continue", "", None)
    assert (result["status"], text_of(result)) == ("finished", "one\ntwo\n")


async def test_output_goes_on_while_nobody_listens(kernel):
    await query(kernel, "for i in range(5000): print(i, flush=True)\nprint('last')", "r", flush_timeout=0.0)
    while kernel.busy:
        await asyncio.sleep(0.01)
    result = await kernel.execute("r", "continue", "", None)
    assert result["status"] == "finished"
    assert text_of(result).endswith("4999\nlast\n")


@pytest.mark.parametrize("mode", ["continue", "input"])
async def test_calls_that_go_on_need_a_run(kernel, mode):
    with pytest.raises(RunParameterError, match="continuation requires explicit run ID"):
        await kernel.execute(None, mode, "", None)
    assert await kernel.execute("unknown", mode, "", None) == {
        "status": "finished",
        "runId": "unknown",
        "exitCode": 130,
        "options": {},
        "files": [],
        "console": [],
    }
    await query(kernel, "1", "over")
    assert (await kernel.execute("over", mode, "", None))["exitCode"] == 130


async def test_bad_mode(kernel):
    with pytest.raises(RunParameterError, match="mode has an invalid value"):
        await kernel.execute(None, "weird", "", None)


async def test_last_used_moves(kernel):
    before = time.monotonic()
    await query(kernel, "1")
    assert kernel.last_used >= before
