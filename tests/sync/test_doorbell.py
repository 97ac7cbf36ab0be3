"""Functions that other threads have called on a loop: all of them, in order, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backendai_sdk import PortalError
from backendai_sdk._doorbell import Doorbell
from backendai_sdk._portal import Portal


@contextmanager
def running() -> Iterator[tuple[asyncio.AbstractEventLoop, Doorbell]]:
    """A loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    bell = Doorbell(loop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop, bell
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        bell.close()
        loop.close()


def test_each_threads_functions_are_called_in_order_on_the_loops_thread() -> None:
    called: list[tuple[int, int]] = []
    where: set[int] = set()
    over = threading.Barrier(5)

    def ask(me: int) -> None:
        for number in range(500):
            bell.ring(lambda number=number: called.append((me, number)))  # type: ignore[misc]
        bell.ring(lambda: where.add(threading.get_ident()))
        over.wait(10)

    with running() as (_, bell):
        threads = [threading.Thread(target=ask, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        over.wait(10)
        last = threading.Event()
        bell.ring(last.set)
        assert last.wait(10)
    for me in range(4):
        assert [number for who, number in called if who == me] == list(range(500))
    assert len(where) == 1
    assert threading.get_ident() not in where


def test_more_rings_than_a_pipe_holds() -> None:
    count: list[None] = []
    loop = asyncio.new_event_loop()
    bell = Doorbell(loop)
    for _ in range(100_000):  # nobody answers yet
        bell.ring(lambda: count.append(None))
    bell.ring(loop.stop)
    loop.run_forever()
    bell.close()
    loop.close()
    assert len(count) == 100_000


def test_one_that_fails_does_not_keep_the_others_from_being_called() -> None:
    told: list[dict[str, object]] = []
    over = threading.Event()
    with running() as (loop, bell):
        loop.set_exception_handler(lambda _, context: told.append(context))
        loop.call_soon_threadsafe(lambda: [bell.ring(lambda: 1 / 0), bell.ring(over.set)])
        assert over.wait(10)
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]


def test_who_rings_too_late_writes_into_nobody_elses_file() -> None:
    with running() as (_, bell):
        ends = bell._ends
    bell.ring(lambda: None)
    assert os.read(ends[0], 10) == b"\0", "the pipe is still its own"
    del bell
    with pytest.raises(OSError):
        os.fstat(ends[0])


def test_without_a_pipe_to_be_had_the_first_call_says_so_and_a_later_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    portal = Portal()

    async def answer() -> int:
        return 42

    def none() -> tuple[int, int]:
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", none)
        with pytest.raises(PortalError, match="could not be started: too many open files"):
            portal.call(answer())
    assert portal.call(answer()) == 42
    portal._exit()


def test_where_loops_watch_no_pipes_calls_work_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backendai_sdk._portal._HAS_DOORBELLS", False)
    portal = Portal()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert portal.call(answer()) == 42
    assert portal._bell is None
    portal._exit()
