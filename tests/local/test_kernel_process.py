"""The processes of the local kernel: environment, limits, death, restart, and that nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backendai_sdk.local.kernel import Kernel, Runtime
from backendai_sdk.local.kernel import environ as environ_module

LONG = 20.0
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
async def kernel(tmp_path):
    kernel = Kernel(work_dir=tmp_path, agent_timeout=LONG)
    yield kernel
    await kernel.close()


async def query(kernel, code, run_id=None, flush_timeout=LONG):
    return await kernel.execute(run_id, "query", code, None, flush_timeout=flush_timeout)


async def stdout(kernel, code):
    return "".join(text for kind, text in (await query(kernel, code))["console"] if kind == "stdout")


def exists(pid):
    """Whether a process runs; one that has ended and was not collected by its adopter does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid):
    while exists(pid):
        await asyncio.sleep(0.01)
    return True


def fds():
    return len(os.listdir("/proc/self/fd"))


async def test_environment_is_minimal(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKEND_SECRET_KEY", "top secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "top secret")
    kernel = Kernel(work_dir=tmp_path, environ={"MINE": "1", "LANG": "ko_KR.UTF-8"})
    try:
        shown = await stdout(kernel, "import os; print(dict(os.environ))")
        assert "secret" not in shown
        env = eval(shown)
        assert (env["MINE"], env["LANG"], env["HOME"]) == ("1", "ko_KR.UTF-8", str(tmp_path))
        assert await kernel.run_command("env") == 0
        assert "secret" not in kernel.logs()
    finally:
        await kernel.close()


async def test_work_folder_is_the_current_one_and_importable(kernel, tmp_path):
    (tmp_path / "helper.py").write_text("x = 42\n")
    # A module of the user's that is named like one of the runner must not get in its way, nor the other way round.
    (tmp_path / "json.py").write_text("mine = True\n")
    (tmp_path / "asking.py").write_text("mine = True\n")
    assert (
        await stdout(kernel, "import os, helper, asking; print(os.getcwd(), helper.x, asking.mine)")
        == f"{tmp_path} 42 True\n"
    )
    assert (
        await stdout(kernel, "import sys; print([p for p in sys.path if 'kernel' in p], sys.argv)")
        == "[] ['']\n"
    )


async def test_work_folder_is_made(tmp_path):
    kernel = Kernel(work_dir=tmp_path / "a" / "b")
    try:
        assert await stdout(kernel, "import os; print(os.path.basename(os.getcwd()))") == "b\n"
    finally:
        await kernel.close()


async def test_python_on_the_path_is_the_interpreter(kernel):
    code = "import sys, subprocess; print(subprocess.run(['python', '-c', 'import sys; print(sys.prefix)'], capture_output=True, text=True).stdout.strip() == sys.prefix)"
    assert await stdout(kernel, code) == "True\n"


async def test_python_is_put_on_the_path_where_its_folder_has_none(tmp_path):
    python = tmp_path / "my folder" / "python-of-mine"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    kernel = Kernel(work_dir=tmp_path, runtime=Runtime("python", str(python)))
    await kernel.start()
    folder = kernel._bin[0]
    try:
        assert await kernel.run_command("python -c 'import sys; print(sys.version)'") == 0
        assert sys.version.split()[0] in kernel.logs()
    finally:
        await kernel.close()
    assert not folder.exists()


async def test_missing_interpreter(tmp_path):
    kernel = Kernel(work_dir=tmp_path, runtime=Runtime("python", "/no/such/python"))
    try:
        result = await query(kernel, "1")
        assert (result["status"], result["exitCode"]) == ("finished", 127)
        assert "/no/such/python" in result["console"][0][1]
        with pytest.raises(OSError, match="no/such"):
            await kernel.start()
    finally:
        await kernel.close()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of the address space are not everywhere kept"
)
async def test_memory_limit(tmp_path):
    kernel = Kernel(work_dir=tmp_path, memory_limit=512 * 1024 * 1024)
    try:
        result = await query(kernel, "x = bytearray(1024 ** 3)")
        assert "MemoryError" in result["console"][0][1]
        assert await stdout(kernel, "1") == "1"
        assert await kernel.run_command("python -c 'bytearray(1024 ** 3)'") == 1
        assert "MemoryError" in kernel.logs()
    finally:
        await kernel.close()


@pytest.mark.parametrize(
    ("death", "exit_code"),
    [
        ("os._exit(7)", 7),
        ("os._exit(0)", 1),
        ("os.kill(os.getpid(), 9)", 137),
        ("import ctypes; ctypes.string_at(0)", 139),
    ],
)
async def test_death_of_the_interpreter(kernel, death, exit_code):
    result = await query(kernel, f"import os\nprint('before')\nx = 1\n{death}")
    assert (result["status"], result["exitCode"]) == ("finished", exit_code)
    assert result["console"][0] == ["stdout", "before\n"]
    assert "interpreter died" in result["console"][1][1]
    assert await stdout(kernel, "print('x' in globals())") == "False\n"


async def test_interpreter_that_cuts_its_own_line(kernel):
    result = await query(kernel, "import os; os.closerange(3, 256)")
    # It ends of the broken line by itself, or is ended when the other end hangs up: whichever comes first.
    assert result["status"] == "finished"
    assert result["exitCode"] in {1, 137}
    assert await stdout(kernel, "1") == "1"


async def test_death_while_idle(kernel):
    pid = int(await stdout(kernel, "import os; print(os.getpid())"))
    os.kill(pid, signal.SIGKILL)
    assert await gone(pid)
    assert await stdout(kernel, "print(1)") == "1\n"


async def test_a_fork_does_not_answer(kernel):
    code = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('parent' if pid else 'child')"
    assert sorted(
        (await stdout(kernel, f"import warnings; warnings.simplefilter('ignore')\n{code}")).split()
    ) == ["child", "parent"]
    assert await stdout(kernel, "1") == "1"


async def test_multiprocessing(kernel, tmp_path):
    (tmp_path / "work.py").write_text("def double(x):\n    return 2 * x\n")
    code = "import multiprocessing, work\nwith multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(work.double, [1, 2]))"
    assert await stdout(kernel, code) == "[2, 4]\n"


async def test_start_is_lazy_and_idempotent(kernel):
    assert kernel._interpreter is None
    await asyncio.gather(kernel.start(), kernel.start())
    interpreter = kernel._interpreter
    await kernel.start()
    assert kernel._interpreter is interpreter


async def test_restart_ends_runs_and_forgets_state(kernel):
    await query(kernel, "x = 1")
    assert (await query(kernel, "input()", "r"))["status"] == "waiting-input"
    waiting = asyncio.create_task(kernel.execute("r", "continue", "", None, flush_timeout=LONG))
    await asyncio.sleep(0)
    await kernel.restart()
    ended = await waiting
    assert (ended["status"], ended["exitCode"], ended["options"]) == ("finished", 130, {})
    assert await stdout(kernel, "print('x' in globals())") == "False\n"
    assert (await kernel.execute("r", "continue", "", None))["exitCode"] == 130


async def test_a_run_that_waits_during_a_restart_meets_the_new_interpreter(kernel):
    await query(kernel, "x = 1\ninput()", "first")
    waiting = asyncio.create_task(query(kernel, "print('x' in globals())", "second"))
    await asyncio.sleep(0)
    await kernel.restart()
    assert (await waiting)["console"] == [["stdout", "False\n"]]


async def test_logs_hold_everything_in_bounds(kernel):
    await query(kernel, "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)")
    assert kernel.logs() == "to stdout\nto stderr\n"
    await query(kernel, "for i in range(30): print('z' * 100_000)")
    assert len(kernel.logs()) == 1024 * 1024


async def test_many_kernels_at_once(tmp_path):
    kernels = [Kernel(work_dir=tmp_path / str(i)) for i in range(8)]
    try:
        assert await asyncio.gather(*(stdout(k, f"print({i})") for i, k in enumerate(kernels))) == [
            f"{i}\n" for i in range(8)
        ]
    finally:
        await asyncio.gather(*(k.close() for k in kernels))


@linux_only
async def test_close_leaves_nothing(tmp_path):
    gc.collect()
    before = fds()
    kernel = Kernel(work_dir=tmp_path)
    code = (
        "import os, subprocess\n"
        "a = subprocess.Popen('sleep 600', shell=True)\n"
        "b = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(os.getpid(), a.pid, b.pid)"
    )
    pids = [int(word) for word in (await stdout(kernel, code)).split()]
    await kernel.execute("b", "batch", "", {"exec": "sleep 600 & echo $!; wait"}, flush_timeout=LONG)
    while len(words := kernel.logs().split()) < 4:
        await asyncio.sleep(0.01)
    pids.append(int(words[3]))
    assert all(exists(pid) for pid in pids)
    waiting = asyncio.create_task(kernel.execute("b", "continue", "", None, flush_timeout=LONG))
    await asyncio.sleep(0)
    await kernel.close()
    await kernel.close()
    await waiting
    for pid in pids:
        assert await gone(pid)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (await query(kernel, "1"))["exitCode"] == 130
    assert await kernel.complete("pri", {}) == []
    with pytest.raises(OSError, match="ended"):
        await kernel.start()
    assert fds() <= before


@linux_only
async def test_used_kernel_does_not_collect_descriptors(kernel):
    await kernel.start()
    await asyncio.sleep(0)
    before = fds()
    for _ in range(5):
        await kernel.run_command("true")
        await query(kernel, "1")
    while kernel._programs and len(kernel._programs) > 1:
        await asyncio.sleep(0)
    assert fds() <= before


async def test_close_while_it_starts(tmp_path):
    kernel = Kernel(work_dir=tmp_path)
    call = asyncio.create_task(query(kernel, "1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await kernel.close()
    assert (await call)["exitCode"] == 130
    assert not kernel._programs


async def test_close_in_the_middle_of_a_run(kernel):
    call = asyncio.create_task(query(kernel, "print('begun')\nwhile True: pass", "r"))
    while "begun\n" not in kernel.logs():  # `print` writes the end of the line on its own
        await asyncio.sleep(0.01)
    other = asyncio.create_task(query(kernel, "1", "other"))
    await asyncio.sleep(0)
    await kernel.close()
    result = await call
    assert (result["exitCode"], result["console"]) == (130, [["stdout", "begun\n"]])
    assert (await other)["exitCode"] == 130


def test_loop_in_another_thread(tmp_path):
    results = []

    async def work():
        kernel = Kernel(work_dir=tmp_path)
        try:
            results.append(await stdout(kernel, "print('thread')"))
            results.append(await kernel.run_command("exit 5"))
        finally:
            await kernel.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join(LONG)
    assert results == ["thread\n", 5]


@linux_only
@pytest.mark.parametrize("how", ["query", "command"])
def test_programs_end_with_a_cluster_that_is_killed(tmp_path, how):
    busy = (
        "kernel.execute('r', 'query', \"import os\\nprint(os.getpid(), flush=True)\\nwhile True: pass\", None)"
        if how == "query"
        else "kernel.run_command('echo $$; while :; do sleep 1; done')"
    )
    script = f"""
import asyncio, pathlib
from backendai_sdk.local.kernel import Kernel, Runtime
async def main():
    kernel = Kernel(work_dir=pathlib.Path({str(tmp_path)!r}))
    task = asyncio.create_task({busy})
    while not kernel.logs().endswith('\\n'):
        await asyncio.sleep(0.01)
    print(kernel.logs(), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    root = str(Path(environ_module.__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    ) as cluster:
        pid = int(cluster.stdout.readline())
        assert exists(pid)
        cluster.kill()
    end = time.monotonic() + LONG
    while exists(pid):
        assert time.monotonic() < end
        time.sleep(0.01)
