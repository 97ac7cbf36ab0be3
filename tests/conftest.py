"""What all tests share: no settings of the machine's user, an end for what hangs, and a mock that speaks today's aiohttp."""

from __future__ import annotations

import faulthandler
import inspect
import os
import signal
import types
from collections.abc import Generator

import aiohttp
import pytest
from hypothesis import settings

# For searches that may take their time: --hypothesis-profile=long.
settings.register_profile("long", deadline=None)

# A shell has what it runs in the background ignore Ctrl-C, and so would the programs whose Ctrl-C is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# pytest-timeout gives its limit up as soon as a test fails, and its exception may end in a callback of the event
# loop. What runs for much longer than its limit, in any phase, ends its process with the stacks of all threads: the
# run goes on in another worker, and names the test.
_GRACE = 60.0
_stderr = os.dup(2)  # pytest puts a file in the place of 2 while a test runs


def pytest_configure() -> None:
    os.dup2(2, _stderr)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def _ends(item: pytest.Item) -> Generator[None]:
    own = item.get_closest_marker("timeout")
    limit = float(own.args[0] if own else item.config.getini("timeout"))
    if limit:
        faulthandler.dump_traceback_later(limit + _GRACE, exit=True, file=_stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = _ends


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the environment nor a profile of whoever runs the tests may reach them, nor they a journal."""
    for name in list(os.environ):
        if name.startswith("BACKEND_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.setenv("BACKEND_CONFIG_FILE", str(tmp_path_factory.getbasetemp() / "no-such-config.toml"))


def _teach_aioresponses() -> None:
    """aioresponses 0.7.9 does not know an argument that aiohttp 3.14 made mandatory."""
    if "stream_writer" not in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
        return
    from aioresponses import core

    class Response(aiohttp.ClientResponse):
        def __init__(self, *args: object, stream_writer: object = None, **kwargs: object) -> None:
            writer = stream_writer or types.SimpleNamespace(output_size=0)
            super().__init__(*args, stream_writer=writer, **kwargs)  # type: ignore[arg-type, misc]

    core.ClientResponse = Response  # type: ignore[misc, attr-defined]


_teach_aioresponses()
