"""The portal: blocking calls from anywhere, streams, and the proxies that use it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
import weakref
from pathlib import Path

import pytest

from backendai_sdk import _inbox
from backendai_sdk._portal import PORTAL, Portal, SyncProxy, unwrap
from backendai_sdk.errors import PortalError

ROOT = Path(__file__).parents[2]
WHO = contextvars.ContextVar("WHO", default="nobody")


async def answer(value=42):
    await asyncio.sleep(0)
    return value


async def fail(error):
    await asyncio.sleep(0)
    raise error


class Counter:
    """A stream that remembers whether it was closed."""

    def __init__(self, end=3):
        self.end = end
        self.closed = False

    async def rows(self):
        try:
            for i in range(self.end):
                await asyncio.sleep(0)
                yield i
        finally:
            await asyncio.sleep(0)
            self.closed = True


class AsyncThing:
    def __init__(self, name="a"):
        self.name = name
        self.closed = False

    def __repr__(self):
        return f"<AsyncThing of AsyncThing {self.name}>"

    async def close(self):
        self.closed = True


class Thing(SyncProxy[AsyncThing]):
    def close(self) -> None:
        PORTAL.call(self._async.close())


# --- calls ----------------------------------------------------------------------------------------------


def test_a_result_comes_back():
    assert PORTAL.call(answer("x")) == "x"


def test_an_error_comes_back_as_it_was_raised():
    error = ValueError("no")
    with pytest.raises(ValueError) as caught:
        PORTAL.call(fail(error))
    assert caught.value is error


@pytest.mark.filterwarnings("ignore:.* blocks the event loop:RuntimeWarning")
async def test_it_works_inside_a_running_loop():
    assert PORTAL.call(answer()) == 42
    assert list(PORTAL.iterate(Counter().rows())) == [0, 1, 2]


def test_the_loop_is_one_and_not_the_callers():
    async def where():
        return id(asyncio.get_running_loop()), threading.current_thread().name

    assert PORTAL.call(where()) == PORTAL.call(where())
    assert PORTAL.call(where())[1] == "backendai-sdk-io"


def test_context_variables_go_in():
    async def who():
        return WHO.get()

    token = WHO.set("me")
    try:
        assert PORTAL.call(who()) == "me"
    finally:
        WHO.reset(token)
    assert PORTAL.call(who()) == "nobody"


def test_twenty_threads_are_inside_at_the_same_time():
    arrived = 0
    everybody = asyncio.Event()

    async def meet():
        nonlocal arrived
        arrived += 1
        if arrived == 20:
            everybody.set()
        async with asyncio.timeout(20):
            await everybody.wait()
        return arrived

    results = []
    threads = [threading.Thread(target=lambda: results.append(PORTAL.call(meet()))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [20] * 20


def test_twenty_threads_start_one_loop():
    portal, start, loops = Portal(), threading.Barrier(20), []

    async def where():
        return asyncio.get_running_loop()

    def work():
        start.wait()
        loops.append(portal.call(where()))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 20
    assert len(set(map(id, loops))) == 1
    portal._exit()


def test_a_call_from_the_loop_itself_is_refused():
    async def wrong():
        return PORTAL.call(answer())

    with pytest.raises(PortalError, match=r"AsyncSession.*AsyncComputeSession"):
        PORTAL.call(wrong())


def test_a_cancellation_that_nobody_asked_for_is_a_clear_error():
    async def cancelled():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(PortalError, match="cancelled from elsewhere") as caught:
        PORTAL.call(cancelled())
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_system_exit_reaches_the_caller_and_the_loop_goes_on():
    with pytest.raises(SystemExit):
        PORTAL.call(fail(SystemExit(3)))
    assert PORTAL.call(answer()) == 42


def test_polled_waits_give_the_same(monkeypatch):
    monkeypatch.setattr(_inbox, "_POLL", 0.001)
    assert PORTAL.call(asyncio.sleep(0.02, 42)) == 42


def _ours(error):
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return sum(name.endswith("/_portal.py") for name in names), names


async def _failing_rows():
    yield 1
    raise LookupError("in the core")


@pytest.mark.parametrize(
    "use",
    [
        lambda: PORTAL.call(fail(LookupError("in the core"))),
        lambda: PORTAL.step(fail(LookupError("in the core"))),
        lambda: list(PORTAL.iterate(_failing_rows())),
    ],
)
def test_tracebacks_have_at_most_two_frames_of_the_portal(use):
    with pytest.raises(LookupError) as caught:
        use()
    count, names = _ours(caught.value)
    assert 1 <= count <= 2
    assert names[-1] == __file__
    assert not any("concurrent" in name for name in names)


def test_errors_leave_no_reference_cycle_behind():
    class Big(Exception):
        pass

    async def core():
        raise Big

    def use():
        try:
            PORTAL.call(core())
        except Big as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        reference = use()
        PORTAL.call(answer())  # the loop drops the finished task before it starts the next
        assert reference() is None
    finally:
        gc.enable()


# --- streams --------------------------------------------------------------------------------------------


def test_a_stream_is_closed_when_the_loop_is_left():
    counter = Counter()
    for row in PORTAL.iterate(counter.rows()):
        assert row == 0
        break
    gc.collect()
    assert counter.closed


def test_a_stream_is_closed_by_close_and_by_an_error():
    counter = Counter()
    rows = PORTAL.iterate(counter.rows())
    next(rows)
    rows.close()
    assert counter.closed
    other = Counter()

    def use():
        for _ in PORTAL.iterate(other.rows()):
            1 / 0

    with pytest.raises(ZeroDivisionError):
        use()
    gc.collect()
    assert other.closed


def test_items_are_wrapped():
    assert list(PORTAL.iterate(Counter().rows(), str)) == ["0", "1", "2"]


def test_a_stream_that_the_collector_finds_on_the_loop_thread_is_closed_there():
    counter = Counter()
    box = [PORTAL.iterate(counter.rows())]
    next(box[0])

    async def collect():
        box.clear()  # the generator's `finally` runs here, on the loop
        async with asyncio.timeout(10):
            while not counter.closed:
                await asyncio.sleep(0)

    PORTAL.call(collect())
    assert counter.closed


def test_the_end_of_a_stepped_stream_is_stop_iteration():
    with pytest.raises(StopIteration):
        PORTAL.step(fail(StopAsyncIteration()))
    assert PORTAL.step(answer()) == 42


def test_each_step_sees_the_callers_context():
    async def names():
        while True:
            yield WHO.get()

    rows = PORTAL.iterate(names())
    assert next(rows) == "nobody"
    token = WHO.set("me")
    try:
        assert next(rows) == "me"
    finally:
        WHO.reset(token)
    rows.close()


# --- proxies --------------------------------------------------------------------------------------------


def test_a_proxy_shows_its_core_without_async():
    assert repr(Thing._wrap(AsyncThing())) == "<Thing of AsyncThing a>"


def test_proxies_of_one_core_are_equal():
    core = AsyncThing()
    one, two, other = Thing._wrap(core), Thing._wrap(core), Thing._wrap(AsyncThing())
    assert one == two
    assert hash(one) == hash(two)
    assert one != other
    assert one != core


def test_handles_are_not_built():
    with pytest.raises(TypeError, match="Thing objects are returned"):
        Thing()


def test_unwrap():
    core = AsyncThing()
    thing = Thing._wrap(core)
    assert unwrap(thing) is core
    assert unwrap([thing, 1]) == [core, 1]
    assert unwrap((thing,)) == (core,)
    assert unwrap({"k": thing}) == {"k": core}
    assert list(unwrap(iter([thing]))) == [core]
    assert unwrap("text") == "text"
