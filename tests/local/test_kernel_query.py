"""Query runs of the local kernel: what a call gets back for a piece of code."""

from __future__ import annotations

import asyncio
import re
import signal

import pytest

from backendai_sdk.local.kernel import Kernel

LONG = 20.0


@pytest.fixture
async def kernel(tmp_path):
    kernel = Kernel(work_dir=tmp_path, agent_timeout=LONG)
    yield kernel
    await kernel.close()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def text_of(result, kind="stdout"):
    return "".join(data for item, data in result["console"] if item == kind)


async def query(kernel, code, run_id=None, flush_timeout=LONG):
    return await kernel.execute(run_id, "query", code, None, flush_timeout=flush_timeout)


async def until_settled(kernel, result):
    """Continues a run until it ends or asks, and returns the last answer and all output."""
    console = list(result["console"])
    while result["status"] == "continued":
        result = await kernel.execute(result["runId"], "continue", "", None)
        console += result["console"]
    return result, console


async def begun(kernel, code, run_id):
    """Starts a run and returns when its program says so."""
    if "begun" not in code:
        code = f"print('begun')\n{code}"
    result = await query(kernel, code, run_id, flush_timeout=0.01)
    while "begun" not in text_of(result):
        assert result["status"] == "continued"
        result = await kernel.execute(run_id, "continue", "", None, flush_timeout=0.01)


async def test_as_captured_print_stderr_and_last_value(kernel):
    code = "print('hello')\nimport sys; print('oops', file=sys.stderr)\n1+1"
    assert await query(kernel, code, "runprint") == {
        "status": "finished",
        "runId": "runprint",
        "exitCode": 0,
        "options": None,
        "files": [],
        "console": [["stdout", "hello\n"], ["stderr", "oops\n"], ["stdout", "2"]],
    }


async def test_state_is_kept_and_the_module_is_main(kernel):
    await query(kernel, "x = 20")
    assert (
        text_of(await query(kernel, "print(x + 1, __name__, _ if '_' in dir() else '-')"))
        == "21 __main__ -\n"
    )


async def test_run_id_is_made_when_there_is_none(kernel):
    result = await query(kernel, "print(1)")
    assert re.fullmatch(r"[0-9a-f]{32}", result["runId"])


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1", "1"),
        ("1;", ""),
        ("None", ""),
        ("x = 1", ""),
        ("'a'", "'a'"),
        ("def f(): pass", ""),
        ("", ""),
        ("# nothing", ""),
    ],
)
async def test_only_the_last_expression_is_echoed(kernel, code, shown):
    assert text_of(await query(kernel, code)) == shown


async def test_exception_is_a_traceback_as_captured(kernel):
    await query(kernel, "pass")
    result = await query(kernel, "1/0")
    assert result["exitCode"] == 0
    assert result["console"] == [
        [
            "stderr",
            (
                "\x1b[0;31m---------------------------------------------------------------------------\x1b[0m\n"
                "\x1b[0;31mZeroDivisionError\x1b[0m                         Traceback (most recent call last)\n"
                "Cell \x1b[0;32mIn [2], line 1\x1b[0m\n"
                "\x1b[0;32m----> 1\x1b[0m 1/0\n\n"
                "\x1b[0;31mZeroDivisionError\x1b[0m: division by zero"
            ),
        ]
    ]


async def test_exit_code_of_an_exception_can_be_that_of_newer_servers(tmp_path):
    kernel = Kernel(work_dir=tmp_path, exceptions_fail=True)
    try:
        assert (await query(kernel, "1/0"))["exitCode"] == 1
        assert (await query(kernel, "1"))["exitCode"] == 0
    finally:
        await kernel.close()


async def test_traceback_shows_the_frames_of_the_user_only(kernel, tmp_path):
    (tmp_path / "helper.py").write_text("def fail(what):\n    raise ValueError(what)\n")
    text = plain(
        text_of(
            await query(kernel, "import helper\ntry:\n    {}['k']\nexcept KeyError:\n    helper.fail('no')"),
            "stderr",
        )
    )
    assert "KeyError: 'k'" in text
    assert "During handling of the above exception, another exception occurred:" in text
    assert re.search(
        r"File .*helper\.py:2, in fail\(what\)\n      1 def fail\(what\):\n----> 2     raise", text
    )
    assert text.endswith("ValueError: no")
    assert "backendai" not in text


async def test_syntax_error(kernel):
    result = await query(kernel, "x = 1\nif x\n")
    text = plain(text_of(result, "stderr"))
    assert result["exitCode"] == 0
    assert text.startswith("  Cell In [1], line 2\n    if x\n")
    assert "SyntaxError: " in text
    assert "Traceback" not in text


async def test_deep_recursion_is_short(kernel):
    text = plain(text_of(await query(kernel, "def f(): return f()\nf()"), "stderr"))
    assert "skipping similar frames" in text
    assert len(text) < 4000


async def test_exit_does_not_end_the_interpreter(kernel):
    await query(kernel, "x = 5")
    text = plain(text_of(await query(kernel, "import sys; sys.exit(3)"), "stderr"))
    assert "SystemExit: 3" in text
    assert text_of(await query(kernel, "x")) == "5"


async def test_both_streams_keep_their_order(kernel):
    result = await query(kernel, "import sys\nfor i in range(50):\n    print(i); print(i, file=sys.stderr)")
    assert result["console"] == [[kind, f"{i}\n"] for i in range(50) for kind in ("stdout", "stderr")]


async def test_output_of_subprocesses_is_output(kernel):
    code = "import os, subprocess\nprint('a')\nos.system('echo b')\nprint('c')\nsubprocess.run('echo d', shell=True);"
    assert (await query(kernel, code))["console"] == [["stdout", "a\nb\nc\nd\n"]]


async def test_invalid_utf8_and_characters_in_pieces(kernel):
    code = "import os\nos.write(1, b'\\xff|')\nfor b in '한'.encode(): os.write(1, bytes([b]))\nos.write(1, b'\\xed')\n"
    assert text_of(await query(kernel, code)) == "\ufffd|한\ufffd1"


async def test_text_appears_before_the_end(kernel):
    result = await query(
        kernel, "import threading\nprint('now', end='')\nthreading.Event().wait()", "r", flush_timeout=0.5
    )
    while not result["console"]:
        result = await kernel.execute("r", "continue", "", None, flush_timeout=0.5)
    assert result["status"] == "continued"
    assert result["exitCode"] is None
    assert result["options"] is None
    assert text_of(result) == "now"
    await kernel.interrupt()
    assert (await until_settled(kernel, await kernel.execute("r", "continue", "", None)))[0][
        "status"
    ] == "finished"


async def test_large_output_is_complete(kernel):
    result, console = await until_settled(
        kernel, await query(kernel, "import sys; n = sys.stdout.write('x' * 3_000_000)")
    )
    assert result["status"] == "finished"
    assert sum(len(text) for _, text in console) == 3_000_000


async def test_more_output_than_is_queued_waits_for_the_reader(kernel, monkeypatch):
    monkeypatch.setattr("backendai_sdk.local.kernel.run.MAX_CHARACTERS", 100_000)
    code = "for i in range(40): print('y' * 100_000)\nprint('end')"
    result, console = await until_settled(kernel, await query(kernel, code, flush_timeout=0.01))
    assert result["status"] == "finished"
    text = "".join(text for _, text in console)
    assert len(text) == 40 * 100_001 + 4
    assert text.endswith("end\n")


async def test_input(kernel):
    asked = await query(kernel, "x = input('who? ')\nprint('hi', x)", "runinput")
    assert asked["status"] == "waiting-input"
    assert asked["options"] == {"is_password": False}
    assert asked["exitCode"] is None
    assert asked["console"] == [["stdout", "who? "]]
    result = await kernel.execute("runinput", "input", "wire", None)
    assert (result["status"], result["exitCode"]) == ("finished", 0)
    assert result["console"] == [["stdout", "hi wire\n"]]


async def test_password_and_stdin(kernel):
    asked = await query(
        kernel,
        "import getpass, sys\na = getpass.getpass('pw: ')\nb = sys.stdin.readline()\nprint([a, b])",
        "r",
    )
    assert (asked["status"], asked["options"]) == ("waiting-input", {"is_password": True})
    asked = await kernel.execute("r", "input", "secret", None, flush_timeout=LONG)
    assert (asked["status"], asked["options"]) == ("waiting-input", {"is_password": False})
    result = await kernel.execute("r", "input", "line", None, flush_timeout=LONG)
    assert text_of(result) == "['secret', 'line\\n']\n"


async def test_an_input_sent_twice_does_not_answer_the_next_question(kernel):
    await query(kernel, "import time\na = input()\ntime.sleep(0.3)\nb = input()\nprint([a, b])", "r")
    await kernel.execute("r", "input", "one", None, flush_timeout=0.0)
    result = await kernel.execute("r", "input", "one", None, flush_timeout=LONG)
    assert result["status"] == "waiting-input"
    result = await kernel.execute("r", "input", "two", None, flush_timeout=LONG)
    assert text_of(result) == "['one', 'two']\n"


async def test_a_thread_left_behind_in_input_harms_nobody(kernel):
    code = "import threading\nt = threading.Thread(target=lambda: input('t? '), daemon=True); t.start()\n"
    wait = "import time\nwhile t.is_alive(): time.sleep(0.01)\nprint('ended')"
    result = await query(kernel, code, "r")
    while result["status"] != "finished":
        result = await kernel.execute("r", "continue", "", None)
    result = await query(kernel, wait, "s")
    if result["status"] == "waiting-input":  # the thread was late, and asks in this run
        result = await kernel.execute("s", "input", "x", None, flush_timeout=LONG)
    assert "ended" in text_of(result)
    assert (await query(kernel, "input()", "u"))["status"] == "waiting-input"
    assert text_of(await kernel.execute("u", "input", "x", None)) == "'x'"


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(60)",
        "while True: pass",
        "input('? ')",
        "import subprocess\nsubprocess.run('sleep 60', shell=True)",
        "import asyncio\nawait asyncio.sleep(60)",
        "import asyncio\nasyncio.run(asyncio.sleep(60))",
    ],
)
async def test_interrupt(kernel, code):
    await query(kernel, "x = 7")
    await begun(kernel, code, "runint")
    await kernel.interrupt()
    result, console = await until_settled(kernel, await kernel.execute("runint", "continue", "", None))
    if result["status"] == "waiting-input":
        result, console = await until_settled(kernel, await kernel.execute("runint", "continue", "", None))
    assert result["status"] == "finished"
    assert result["exitCode"] == 0
    text = plain("".join(data for kind, data in console if kind == "stderr"))
    assert "KeyboardInterrupt                         Traceback (most recent call last)" in text
    assert text.endswith("KeyboardInterrupt: ")
    assert text_of(await query(kernel, "x")) == "7"


async def test_interrupt_before_the_interpreter_is_up_is_not_lost(kernel):
    call = asyncio.create_task(query(kernel, "import time; time.sleep(60)"))
    while kernel._interpreter is None:
        await asyncio.sleep(0)
    await kernel.interrupt()
    assert "KeyboardInterrupt" in text_of(await call, "stderr")


async def test_interrupt_of_nothing_is_nothing(kernel):
    await kernel.interrupt()
    await query(kernel, "x = 1")
    await kernel.interrupt()
    await kernel.interrupt()
    assert text_of(await query(kernel, "x")) == "1"


async def test_top_level_await(kernel):
    assert (
        text_of(await query(kernel, "import asyncio\nawait asyncio.sleep(0)\nawait asyncio.sleep(0, 'done')"))
        == "'done'"
    )


async def test_rich_output_in_order(kernel):
    code = (
        "class H:\n    def _repr_html_(self): return '<b>b</b>'\n"
        "class P:\n    def _repr_png_(self): return b'png'\n"
        "class S:\n    def _repr_svg_(self): return '<svg/>'\n"
        "class Broken:\n    def _repr_html_(self): raise ValueError\n    def __repr__(self): return 'plain'\n"
        "print(1)\ndisplay(H())\nprint(2)\ndisplay(P())\ndisplay(Broken())\nS()"
    )
    assert (await query(kernel, code))["console"] == [
        ["stdout", "1\n"],
        ["html", "<b>b</b>"],
        ["stdout", "2\n"],
        ["media", ["image/png", "data:image/png;base64,cG5n"]],
        ["stdout", "plain\n"],
        ["media", ["image/svg+xml", "<svg/>"]],
    ]


async def test_completions(kernel):
    assert await kernel.complete("pri", {"row": 0, "col": 3, "line": "pri", "post": ""}) == ["print"]
    await query(kernel, "import os; long_name_of_mine = 1")
    assert await kernel.complete("long_n", {}) == ["long_name_of_mine"]
    assert await kernel.complete("x = 1\nos.path.joi + 1", {"row": 1, "col": 11}) == ["os.path.join"]
    assert await kernel.complete("", {}) == []
    await begun(kernel, "input()", "r")
    assert await kernel.complete("pri", {}) == []


async def test_an_interrupt_that_gets_lost_is_sent_again(kernel):
    await begun(kernel, "import time; time.sleep(60)", "lost")
    program = kernel._interpreter._program
    sent, real = [], program.signal

    def lossy(number):
        sent.append(number)
        if len(sent) > 1:
            real(number)

    program.signal = lossy
    await kernel.interrupt()
    _, console = await until_settled(kernel, await kernel.execute("lost", "continue", "", None))
    del program.signal
    assert sent == [signal.SIGINT, signal.SIGINT]
    assert "KeyboardInterrupt" in "".join(data for kind, data in console if kind == "stderr")


async def test_an_interrupt_that_is_noticed_is_not_sent_again(kernel):
    # It says that it has begun where an interrupt is caught already, and nothing that is used later may be missed.
    code = "import time\nif 1:\n try: print('begun'); time.sleep(60)\n except KeyboardInterrupt: print('once')\ntime.sleep(0.5)\nprint('done')"
    await begun(kernel, code, "noticed")
    await kernel.interrupt()
    _, console = await until_settled(kernel, await kernel.execute("noticed", "continue", "", None))
    assert {kind for kind, _ in console} == {"stdout"}
    # "begun" and its end of line are two writes.
    assert "".join(text for _, text in console).removeprefix("\n") == "once\ndone\n"
