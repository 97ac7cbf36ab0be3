"""Log records of the SDK name the user's file, line, function and thread, although they are made on another thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import traceback
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from backendai_sdk import AsyncSession, ConnectError, RetryPolicy, Session, UsageError, _closing, _log
from backendai_sdk._portal import PORTAL

# One repetition, of which the transport tells.
SETTINGS: dict[str, Any] = {
    "endpoint": "http://127.0.0.1:9",
    "access_key": "a",
    "secret_key": "b",
    "retry": RetryPolicy(max_attempts=2, base=0.001, cap=0.001),
}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "backendai_sdk.transport"):
        yield caplog


@pytest.fixture
def api() -> Iterator[Session]:
    with Session(**SETTINGS) as api:
        yield api


def told(record: logging.LogRecord) -> tuple[str, str, int, str | None]:
    assert "again in" in record.getMessage()
    assert record.pathname.endswith(f"/{record.filename}")
    assert record.filename == f"{record.module}.py"
    return record.filename, record.funcName or "", record.lineno, record.threadName


def line_of(error: BaseException, function: str) -> int:
    """The line at which *function* made the call, by the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    (found,) = [frame for frame in frames if (frame.name, frame.filename) == (function, __file__)]
    assert found.lineno is not None
    return found.lineno


# --- blocking -------------------------------------------------------------------------------------------


def call(api: Session) -> None:
    api.ping()


def page(api: Session) -> None:
    api.list().first_page()


def iterate(api: Session) -> None:
    for _ in api.list():
        pass


def enter(api: Session) -> None:
    with ExitStack() as stack:
        stack.enter_context(api.watch("x"))


@pytest.mark.parametrize("use", [call, page, iterate, enter], ids=lambda use: use.__name__)
def test_of_a_blocking_call(
    api: Session, log: pytest.LogCaptureFixture, use: Callable[[Session], None]
) -> None:
    with pytest.raises(ConnectError) as caught:
        use(api)
    where = ("test_log_records.py", use.__name__, line_of(caught.value, use.__name__))
    assert [told(record) for record in log.records] == [(*where, threading.current_thread().name)]


def test_of_calls_in_many_threads(api: Session, log: pytest.LogCaptureFixture) -> None:
    all_wait = threading.Barrier(4)

    def ask() -> tuple[int, str]:
        all_wait.wait(10)
        with pytest.raises(ConnectError) as caught:
            api.ping()
        return line_of(caught.value, "ask"), threading.current_thread().name

    with ThreadPoolExecutor(4, thread_name_prefix="users") as pool:
        asked = [future.result() for future in [pool.submit(ask) for _ in range(4)]]
    assert sorted(told(record) for record in log.records) == sorted(
        ("test_log_records.py", "ask", *where) for where in asked
    )


def test_of_a_call_in_a_callback(api: Session, log: pytest.LogCaptureFixture) -> None:
    lines: list[int] = []

    def callback() -> None:
        with pytest.raises(ConnectError) as caught:
            api.ping()
        lines.append(line_of(caught.value, "callback"))

    async def core(callback: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await callback()

    PORTAL.call(core(PORTAL.on_caller(callback)))
    assert [told(record)[1:3] for record in log.records] == [("callback", lines[0])]


def test_what_goes_on_after_its_call_is_put_down_to_the_call_that_waits_or_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "backendai_sdk.portal")
    tasks: list[asyncio.Task[None]] = []

    async def start() -> asyncio.Event:
        event = asyncio.Event()

        async def fail() -> None:
            await event.wait()
            raise ZeroDivisionError

        tasks.append(asyncio.ensure_future(_closing.quietly(fail)))
        return event

    async def settle(event: asyncio.Event) -> None:
        event.set()
        await asyncio.wait(tasks)

    PORTAL.call(settle(PORTAL.call(start())))
    assert caplog.records[-1].filename == "test_log_records.py"

    event = PORTAL.call(start())
    assert PORTAL._loop is not None
    asyncio.run_coroutine_threadsafe(settle(event), PORTAL._loop).result(
        10
    )  # this thread makes no blocking call
    assert caplog.records[-1].filename == "_closing.py"


# --- async ----------------------------------------------------------------------------------------------


async def awaited(api: AsyncSession) -> None:
    await api.ping()


async def timed(api: AsyncSession) -> None:
    await asyncio.wait_for(_through(api), 10)


async def _through(api: AsyncSession) -> None:
    async with asyncio.timeout(10):
        await api.ping()


async def in_a_task(api: AsyncSession) -> None:
    await asyncio.create_task(awaited(api))


@pytest.mark.parametrize(
    ("use", "function"),
    [(awaited, "awaited"), (timed, "_through"), (in_a_task, "awaited")],
)
async def test_of_an_async_call(
    log: pytest.LogCaptureFixture, use: Callable[[AsyncSession], Coroutine[Any, Any, None]], function: str
) -> None:
    async with AsyncSession(**SETTINGS) as api:
        with pytest.raises(ConnectError) as caught:
            await use(api)
    where = ("test_log_records.py", function, line_of(caught.value, function))
    assert [told(record) for record in log.records] == [(*where, threading.current_thread().name)]


async def test_of_an_awaitable_that_is_no_coroutine(log: pytest.LogCaptureFixture) -> None:
    """An error is thrown into it past the frame that awaits it: the task's own frame is what there is."""

    async def first_page() -> None:
        await api.list()

    async with AsyncSession(**SETTINGS) as api:
        with pytest.raises(ConnectError) as caught:
            await asyncio.create_task(first_page())
    assert told(log.records[0])[1:3] == ("first_page", line_of(caught.value, "first_page"))


async def test_wait_for_is_nobodys_code(log: pytest.LogCaptureFixture) -> None:
    async with AsyncSession(**SETTINGS) as api:
        with pytest.raises(ConnectError):
            await asyncio.wait_for(api.ping(), 10)
    # Before Python 3.12 it makes a task, from which no way leads to the user's line.
    assert {told(record)[0] for record in log.records} <= {"test_log_records.py", "trials.py"}


async def test_async_calls_in_a_thread_that_also_makes_blocking_ones(
    api: Session, log: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backendai_sdk._caller._in_ipython", lambda: True)
        with pytest.raises(ConnectError):
            api.ping()
    async with AsyncSession(**SETTINGS) as other:
        with pytest.raises(ConnectError) as caught:
            await awaited(other)
    assert told(log.records[-1])[1:3] == ("awaited", line_of(caught.value, "awaited"))


# --- what it costs --------------------------------------------------------------------------------------


def test_nobody_looks_for_the_place_unless_there_is_a_record(
    api: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(_log, "place", lambda: looked.append(1))
    logging.getLogger("backendai_sdk.transport").setLevel(logging.WARNING)
    try:
        with pytest.raises(ConnectError):
            api.ping()
        assert looked == []
        logging.getLogger("backendai_sdk.transport").setLevel(logging.DEBUG)
        with pytest.raises(ConnectError):
            api.ping()
        assert looked == [1]
    finally:
        logging.getLogger("backendai_sdk.transport").setLevel(logging.NOTSET)


def test_a_call_keeps_nothing_of_the_users_alive() -> None:
    class Local:
        pass

    async def core() -> None:
        raise UsageError("x")

    def use() -> weakref.ref[Local]:
        local = Local()
        with contextlib.suppress(UsageError):
            PORTAL.call(core())
        return weakref.ref(local)

    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()
    assert PORTAL._inbox().caller.frames == []
