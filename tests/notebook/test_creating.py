"""Sessions that show themselves while they start: without magics, in notebooks only, and never at the session's cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from backendai_sdk import AsyncSession, Session
from backendai_sdk.local import LocalCluster

pytestmark = pytest.mark.timeout(120)

SIZE = "resources='cpu=1 mem=1g'"
BLOCKING = f"""
cs = api.create('python', name='later', {SIZE})
"""
ASYNC = f"""
from backendai_sdk import AsyncSession
aapi = AsyncSession()
acs = await aapi.create('python', name='later', {SIZE})
"""


@pytest.fixture
def kernel(kernel: Any) -> Iterator[Any]:
    """With a client session `api` in it."""
    assert not kernel.run("from backendai_sdk import Session\napi = Session()").error
    yield kernel
    assert not kernel.run("api.close()").error


def phases(ran: Any) -> list[dict[str, Any]]:
    """What was shown in the one place that changes."""
    shown = ran.of("display_data", "update_display_data")
    assert len({c["transient"]["display_id"] for c in shown}) == (1 if shown else 0)
    return [c["data"] for c in shown]


@pytest.mark.parametrize(
    ("code", "end"),
    [(BLOCKING, "cs.destroy()"), (ASYNC, "await acs.destroy(); await aapi.close()")],
    ids=["blocking", "async"],
)
def test_a_plain_create_shows_its_phases_in_place_and_folds_away(
    kernel: Any, api: Session, code: str, end: str
) -> None:
    holder = api.create("python", resources="cpu=1 mem=1g")

    def make_room(message: dict[str, Any]) -> None:
        if "queued" in message["content"].get("data", {}).get("text/plain", ""):
            holder.destroy()  # once more is no error

    ran = kernel.run(code, seen=make_room)
    assert not ran.error
    first, *_, last = phases(ran)
    assert first["text/html"].startswith("<details open>")
    assert '<li aria-current="step">queued' in first["text/html"]
    assert last["text/html"].startswith("<details><summary")
    assert "running after" in last["text/html"]
    assert last["text/plain"].startswith("later: queued")
    assert not kernel.run(end).error


def test_ensure_and_run_show_theirs(kernel: Any) -> None:
    code = f"from backendai_sdk import Session\napi = Session()\nmade = api.ensure('once', 'python', {SIZE})"
    assert phases(kernel.run(code))[-1]["text/plain"].startswith("once: ")
    ran = kernel.run(f"made.destroy()\nprint(api.run('python', code='print(6 * 7)', {SIZE}).stdout)")
    assert ran.stdout == "42\n\n"
    assert phases(ran)[-1]["text/plain"].startswith("python: ")


def test_from_a_thread_it_is_shown_in_the_cell_that_waits(kernel: Any) -> None:
    ran = kernel.run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        f"    pool.submit(api.create, 'python', {SIZE}).result().destroy()"
    )
    assert not ran.error
    assert phases(ran)[-1]["text/plain"].endswith("running")


def test_a_start_that_fails_or_is_stopped_says_so(kernel: Any, api: Session) -> None:
    with api.create("python", resources="cpu=1 mem=1g"):

        def stop(message: dict[str, Any]) -> None:
            if message["msg_type"] == "display_data":
                kernel.interrupt()

        ran = kernel.run(f"api.create('python', {SIZE})", seen=stop)
        assert "KeyboardInterrupt" in ran.error
        assert phases(ran)[-1]["text/plain"].endswith("failed: it was given up")
        ran = kernel.run(f"api.create('python', {SIZE}, max_wait=0.3)")
        assert "SessionTimeout" in ran.error
        assert "failed: the session" in phases(ran)[-1]["text/plain"]
    ran = kernel.run("api.create('no-such-image')")
    assert "ImageNotFound" in ran.error
    assert phases(ran) == [], "nothing was on its way: the error is enough"


@pytest.mark.parametrize(
    "code",
    [
        f"with Session(show_progress=False) as quiet, quiet.create('python', {SIZE}): pass",
        f"with api.create('python', {SIZE}, on_progress=lambda *told: None): pass",
        f"with api.create('python', {SIZE}, enqueue_only=True) as cs: cs.wait()",
        (
            "import os; os.environ['BACKEND_SHOW_PROGRESS'] = '0'\n"
            "with Session.local() as own, own.create('python'): pass\n"
            "del os.environ['BACKEND_SHOW_PROGRESS']"
        ),
    ],
    ids=["setting", "callback", "enqueue_only", "environment"],
)
def test_when_nothing_is_shown(kernel: Any, code: str) -> None:
    ran = kernel.run(code)
    assert not ran.error
    assert phases(ran) == []


def test_a_batch_does_not_bury_its_cell(kernel: Any) -> None:
    ran = kernel.run(f"for _ in range(12):\n    with api.create('python', {SIZE}): pass")
    assert not ran.error
    assert len(ran.of("display_data")) == 10
    ran = kernel.run(f"with api.create('python', {SIZE}): pass")
    assert len(ran.of("display_data")) == 1


def test_a_display_that_fails_costs_nothing_but_itself(kernel: Any) -> None:
    ran = kernel.run(
        "from unittest import mock\n"
        "with mock.patch('IPython.display.display', side_effect=OSError('no display')) as broken:\n"
        f"    with api.create('python', {SIZE}) as cs: print(cs.status, broken.call_count)"
    )
    assert ran.error == ""
    assert ran.stdout == "RUNNING 1\n"
    kernel.run("api.close()")


# --- outside of notebooks -------------------------------------------------------------------------------


@pytest.fixture
def in_ipython(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Make it look as if that shell ran this."""
    return lambda shell: monkeypatch.setitem(
        sys.modules,
        "IPython",
        SimpleNamespace(get_ipython=lambda: shell),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("shell", "shows"),
    [
        (None, False),
        (SimpleNamespace(), False),
        (SimpleNamespace(kernel=None), False),
        (SimpleNamespace(kernel=1), True),
    ],
    ids=["no shell", "terminal", "no kernel", "kernel"],
)
async def test_only_a_kernels_shell_is_shown_to(
    in_ipython: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    cluster: LocalCluster,
    shell: object,
    shows: bool,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("backendai_sdk.notebook.shell.Area.show", lambda self, html, text: shown.append(text))
    in_ipython(shell)
    api = AsyncSession(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key)
    async with api, api.create("python", resources="cpu=1 mem=1g"):
        pass
    assert bool(shown) is shows


def test_elsewhere_neither_ipython_nor_the_extension_is_loaded() -> None:
    code = (
        "import sys\nfrom backendai_sdk import Session\n"
        "with Session.local() as api, api.create('python'): pass\n"
        "print([name for name in sys.modules if name == 'IPython' or name.startswith('backendai_sdk.notebook')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
