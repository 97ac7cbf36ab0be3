"""Where a blocking call says it was made: tracebacks lead from the user's line to the core's, warnings to the user's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sync_child import complaints

import backendai_sdk
from backendai_sdk import BackendAIError, ComputeSession, LocalCluster, RetryPolicy, Session, UsageError
from backendai_sdk._portal import PORTAL

NOBODY = "http://127.0.0.1:9"
PACKAGE = Path(backendai_sdk.__file__).parent
# What the kernel of a notebook has, and a script has not.
IN_A_KERNEL = (
    "import types, sys; sys.modules['IPython'] = types.SimpleNamespace(get_ipython=lambda: object())\n"
)
PRELUDE = """
import asyncio
from backendai_sdk import Session
from backendai_sdk import RetryPolicy
api = Session("http://127.0.0.1:9", access_key="a", secret_key="b", retry=RetryPolicy(max_attempts=1))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def api(cluster: LocalCluster) -> Iterator[Session]:
    with Session(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key) as api:
        yield api


@pytest.fixture(scope="module")
def cs(api: Session) -> Iterator[ComputeSession]:
    with api.create("python") as cs:
        yield cs


# --- tracebacks -----------------------------------------------------------------------------------------


def _step(cs: ComputeSession) -> None:
    next(iter(cs.stream_events()))


def _step_a_run(cs: ComputeSession) -> None:
    for _ in cs.stream_execute("1"):
        pass


def _iterate(cs: ComputeSession) -> None:
    with Session(NOBODY, access_key="a", secret_key="b", retry=RetryPolicy(max_attempts=1)) as other:
        for _ in other.list():
            pass


def _enter(cs: ComputeSession) -> None:
    with cs.forward_port("no-such-app"):
        pass


def _pages(cs: ComputeSession) -> None:
    with Session(NOBODY, access_key="a", secret_key="b", retry=RetryPolicy(max_attempts=1)) as other:
        for _ in other.list().pages():
            pass


def _create(cs: ComputeSession) -> None:
    with Session(NOBODY, access_key="a", secret_key="b", retry=RetryPolicy(max_attempts=1)) as other:
        with other.create("python"):
            pass


def _open(cs: ComputeSession) -> None:
    with Session(NOBODY, access_key="a", secret_key="b", retry=RetryPolicy(max_attempts=1)) as other:
        with other.watch("x"):
            pass


def _in_a_callback(cs: ComputeSession) -> None:
    cs.execute("print(1)", on_output=lambda item: cs.read_file("no such file"))


@pytest.mark.parametrize(
    "use",
    [
        lambda cs: cs.read_file("no such file"),
        lambda cs: cs.execute(1),  # type: ignore[arg-type]
        _step,
        _step_a_run,
        _iterate,
        _pages,
        _create,
        _enter,
        _open,
        _in_a_callback,
    ],
    ids=["call", "argument", "events", "run", "pager", "pages", "create", "enter", "open", "callback"],
)
def test_at_most_two_frames_between_the_users_line_and_the_cores(
    cs: ComputeSession, use: Callable[[ComputeSession], object]
) -> None:
    with pytest.raises(BackendAIError) as caught:
        use(cs)
    frames = [Path(frame.filename) for frame in traceback.extract_tb(caught.value.__traceback__)]
    mine = [i for i, file in enumerate(frames) if file == Path(__file__)]
    calls = [i for i in mine if i + 1 not in mine]  # also the one that a callback makes
    cores = [i for i, file in enumerate(frames) if PACKAGE / "_async" in file.parents]
    assert calls
    for i in calls:
        core = min(core for core in cores if core > i)
        assert core <= i + 3
    assert not any(file.parts[-2] in {"asyncio", "concurrent"} for file in frames[: core + 1])


# --- warnings -------------------------------------------------------------------------------------------


def run(code: str, *flags: str, head: str = "") -> subprocess.CompletedProcess[str]:
    script = head + PRELUDE + textwrap.dedent(code)
    command = [sys.executable, *flags, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)


IN_A_LOOP = """
async def main():
    for _ in range(3):
        api.close()  # the way out is not warned about
        with Session("http://127.0.0.1:9", access_key="a", secret_key="b"): pass
asyncio.run(main())
"""


def test_a_call_on_a_loop_warns_once_for_each_place() -> None:
    done = run(IN_A_LOOP)
    line = IN_A_LOOP.count("\n", 0, IN_A_LOOP.index("with Session")) + PRELUDE.count("\n") + 1
    warnings = [text for text in done.stderr.splitlines() if "Warning" in text]
    assert len(warnings) == 1, done.stderr
    assert warnings[0].startswith(
        f"<string>:{line}: RuntimeWarning: Session.__enter__() blocks the event loop"
    )
    assert "AsyncSession" in warnings[0]
    assert done.returncode == 0


def test_never_in_a_kernel_nor_without_a_loop() -> None:
    done = run(IN_A_LOOP, "-W", "error", head=IN_A_KERNEL)
    assert (done.returncode, done.stderr) == (0, "")
    done = run("api.__enter__()\napi.close()", "-X", "dev", "-W", "error")
    assert (done.returncode, complaints(done.stderr)) == (0, "")


def test_a_warning_that_is_an_error_leaves_nothing_behind_and_bars_no_way_out() -> None:
    code = """
    async def main():
        try:
            api.__enter__()
        except RuntimeWarning as warning:
            print("warned")
        api.destroy("x")
        print("gone on")
        api.close()
    asyncio.run(main())
    """
    done = run(code, "-X", "dev", "-W", "error")
    assert (done.returncode, done.stdout, complaints(done.stderr)) == (0, "warned\ngone on\n", "")


async def test_a_stream_that_is_left_on_a_loop_closes_without_a_word() -> None:
    async def rows() -> object:
        yield 1
        yield 2

    stream = PORTAL.iterate(rows())  # type: ignore[arg-type, var-annotated]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backendai_sdk._caller._in_ipython", lambda: True)
        next(stream)
    stream.close()  # warnings are errors here


@pytest.mark.parametrize("use", [PORTAL.step, lambda coro: PORTAL.leave(object(), coro)])
def test_steps_and_leavings_show_one_frame_of_the_portal(use: Callable[[object], object]) -> None:
    async def core() -> None:
        raise UsageError("x")

    with pytest.raises(UsageError) as caught:
        use(core())
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].name == "core"
    assert [frame.filename.endswith("_portal.py") for frame in frames].count(True) == 1
