"""Callbacks of blocking calls: they run on the caller's thread while it waits."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from backendai_sdk._portal import PORTAL, SyncProxy

WHO = contextvars.ContextVar("WHO", default="nobody")


class AsyncThing:
    pass


class Thing(SyncProxy[AsyncThing]):
    pass


async def answer(value=42):
    await asyncio.sleep(0)
    return value


async def report(callback, *values):
    got = []
    for value in values:
        result = callback(value)
        got.append(await result if asyncio.iscoroutine(result) else result)
    return got


def test_a_callback_runs_on_the_callers_thread_in_its_context():
    seen = []

    def callback(value):
        seen.append((threading.current_thread(), WHO.get()))
        WHO.set(value)
        return value * 2

    token = WHO.set("me")
    try:
        assert PORTAL.call(report(PORTAL.on_caller(callback), "a", "b")) == ["aa", "bb"]
        assert WHO.get() == "b"
    finally:
        WHO.reset(token)
    assert seen == [(threading.current_thread(), "me"), (threading.current_thread(), "a")]


def test_every_thread_gets_its_own_callbacks():
    def work():
        seen = []
        callback = PORTAL.on_caller(lambda _: seen.append(threading.get_ident()))
        PORTAL.call(report(callback, *range(50)))
        results.append(set(seen) == {threading.get_ident()})

    results = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_a_callback_may_call_again():
    def callback(value):
        if value:
            return PORTAL.call(report(PORTAL.on_caller(callback), value - 1))
        return PORTAL.call(answer("bottom"))

    assert PORTAL.call(report(PORTAL.on_caller(callback), 3)) == [[[["bottom"]]]]


def test_the_end_of_an_outer_call_is_not_lost_in_an_inner_one():
    """The outer core ends while the thread still waits in a call that a background callback made."""
    inner_may_end = asyncio.Event()

    async def outer(callback):
        task = asyncio.ensure_future(callback())
        await inner_started.wait()
        task.add_done_callback(lambda _: None)
        background.append(task)
        asyncio.get_running_loop().call_later(0.01, inner_may_end.set)
        return "outer"

    async def inner():
        inner_started.set()
        await inner_may_end.wait()
        return "inner"

    inner_started = asyncio.Event()
    background, results = [], []
    callback = PORTAL.on_caller(lambda: results.append(PORTAL.call(inner())))
    assert PORTAL.call(outer(callback)) == "outer"
    assert results == ["inner"]


@pytest.mark.parametrize("error", [KeyError("mine"), StopIteration("mine")])
def test_an_error_of_a_callback_goes_through_the_core(error):
    seen = []

    async def core(callback):
        try:
            await callback()
        except Exception as exc:
            seen.append(exc)
            raise

    def callback():
        raise error

    with pytest.raises((KeyError, RuntimeError)) as caught:
        PORTAL.call(core(PORTAL.on_caller(callback)))
    assert seen == [caught.value]
    assert error in {caught.value, caught.value.__cause__}


def test_an_interrupt_in_a_callback_cancels_the_call():
    cleaned = []

    async def core(callback):
        try:
            await callback()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            cleaned.append(True)
            raise

    def callback():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PORTAL.call(core(PORTAL.on_caller(callback)))
    assert cleaned == [True]
    assert PORTAL.call(answer()) == 42


def test_an_interrupt_in_a_callback_of_a_nested_call_cancels_both():
    cleaned = []

    async def core(name, callback):
        try:
            await callback()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    def innermost():
        raise KeyboardInterrupt

    def callback():
        PORTAL.call(core("inner", PORTAL.on_caller(innermost)))

    with pytest.raises(KeyboardInterrupt):
        PORTAL.call(core("outer", PORTAL.on_caller(callback)))
    assert cleaned == ["inner", "outer"]


def test_an_async_callback_is_awaited_on_the_loop():
    async def callback(value):
        return value, threading.current_thread().name

    assert PORTAL.call(report(PORTAL.on_caller(callback), 1)) == [(1, "backendai-sdk-io")]


def test_what_cannot_be_called_stays_as_it_is():
    assert PORTAL.on_caller(None) is None
    assert PORTAL.on_caller("text") == "text"


def test_a_callback_whose_thread_does_not_wait_runs_in_a_worker():
    """The wrapper is made here, the stream is stepped by another thread."""
    callback = PORTAL.on_caller(lambda _: threading.current_thread())
    results = []
    thread = threading.Thread(target=lambda: results.extend(PORTAL.call(report(callback, 1))))
    thread.start()
    thread.join()
    assert results[0] not in {threading.current_thread(), thread}


def test_a_callback_that_arrives_too_late_runs_in_a_worker():
    """The core asks in the background; by the time the callback's turn comes the call is over."""
    late = []

    async def core(callback):
        task = asyncio.ensure_future(callback(1))
        late.append(task)
        await asyncio.sleep(0)

    async def settled():
        return await late[0]

    callback = PORTAL.on_caller(lambda value: (value, threading.get_ident()))
    PORTAL.call(core(callback))
    value, _ = PORTAL.call(settled())
    assert value == 1


def test_a_callback_that_the_core_gave_up_is_not_run():
    ran = []

    async def core(callback):
        task = asyncio.ensure_future(callback())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        gate.set()

    gate = threading.Event()

    def first():
        gate.wait(10)

    async def both(hold, callback):
        held = asyncio.ensure_future(hold())
        await asyncio.sleep(0)  # the thread is busy with `hold` from now on
        await core(callback)
        await held

    PORTAL.call(both(PORTAL.on_caller(first), PORTAL.on_caller(lambda: ran.append(1))))
    assert ran == []


def test_cores_among_the_arguments_are_wrapped_and_results_unwrapped():
    core = AsyncThing()

    async def work(callback):
        return await callback(core, 1, other=core)

    def callback(thing, number, *, other):
        assert isinstance(thing, Thing)
        assert isinstance(other, Thing)
        return [thing, number]

    assert PORTAL.call(work(PORTAL.on_caller(callback, wrap=(Thing,)))) == [core, 1]
