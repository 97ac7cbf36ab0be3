"""deadline(): what is left, which of several counts, and that it follows the context."""

from __future__ import annotations

import asyncio
import math
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._deadline import clamp, deadline, remaining
from backendai_sdk.errors import BackendAIError, DeadlineExceeded, InvalidArgument, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_outside_of_a_deadline_nothing_is_bounded():
    assert remaining() is None
    assert clamp(None) is None
    assert clamp(5) == 5


def test_what_is_left(clock):
    with deadline(10, clock=clock):
        assert remaining(clock) == 10
        assert clamp(None, clock) == 10
        assert clamp(3, clock) == 3
        clock.now += 8
        assert remaining(clock) == 2
        assert clamp(3, clock) == 2
    assert remaining(clock) is None


def test_the_time_runs_from_the_entry(clock):
    bound = deadline(10, clock=clock)
    clock.now += 100
    with bound as entered:
        assert entered is bound
        assert remaining(clock) == 10


@pytest.mark.parametrize("over", [10, 11, 1e9])
def test_once_over_it_raises_a_sentence(clock, over):
    with deadline(10, clock=clock):  # leaving it does not raise
        clock.now += over
        assert remaining(clock) == 0
        for timeout in (None, 0, 5):
            with pytest.raises(DeadlineExceeded, match="deadline of 10 s is over; give deadline"):
                clamp(timeout, clock)
    with pytest.raises(TimeoutError), deadline(0):
        clamp(None)
    assert issubclass(DeadlineExceeded, BackendAIError)


def test_the_earlier_one_counts_and_is_named(clock):
    with deadline(10, clock=clock):
        with deadline(60, clock=clock):
            assert remaining(clock) == 10
            clock.now += 11
            with pytest.raises(DeadlineExceeded, match="deadline of 10 s"):
                clamp(None, clock)
            clock.now -= 11
        with deadline(2.5, clock=clock):
            assert remaining(clock) == 2.5
            clock.now += 3
            with pytest.raises(DeadlineExceeded, match=r"deadline of 2\.5 s"):
                clamp(None, clock)
        assert remaining(clock) == 7


@given(st.lists(st.integers(0, 10**6)))
def test_nesting_never_gives_more(seconds):
    clock = Clock()

    def nest(at: int) -> None:
        assert remaining(clock) == min(seconds[:at], default=None)
        if at < len(seconds):
            with deadline(seconds[at], clock=clock):
                nest(at + 1)
            assert remaining(clock) == min(seconds[:at], default=None)

    copy_context().run(nest, 0)


def test_errors_pass_and_the_bound_ends():
    with pytest.raises(KeyError):
        with deadline(5):
            raise KeyError
    assert remaining() is None


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "5", None, True])
def test_what_is_not_a_time(seconds):
    with pytest.raises(InvalidArgument) as caught:
        deadline(seconds)
    assert caught.value.argument == "seconds"


def test_one_object_runs_once_at_a_time():
    bound = deadline(5)
    with bound:
        with pytest.raises(UsageError, match="running already"):
            bound.__enter__()
        assert remaining() is not None
    with bound:
        assert remaining() is not None
    assert remaining() is None


async def test_tasks_inherit_it_and_do_not_disturb_each_other():
    async def inner(seconds: float) -> float | None:
        async with deadline(seconds):
            await asyncio.sleep(0)
            return remaining()

    async with deadline(50):
        short, long = await asyncio.gather(inner(5), inner(500))
        assert short is not None
        assert 0 < short <= 5
        assert long is not None
        assert 5 < long <= 50
        own = remaining()
        assert own is not None
        assert own > 5
    assert remaining() is None


def test_a_copied_context_carries_it_into_another_thread():
    found: list[float | None] = []
    with deadline(50):
        context = copy_context()
    for run in (lambda: context.run(remaining), remaining):
        thread = threading.Thread(target=lambda run=run: found.append(run()))
        thread.start()
        thread.join()
    assert found[0] is not None
    assert found[1] is None


async def test_leaving_in_another_context_is_harmless():
    async def numbers() -> AsyncIterator[int]:
        async with deadline(5):
            yield 1
            yield 2

    async def step(iterator: AsyncIterator[int]) -> int:
        return await anext(iterator, 0)

    iterator = numbers()
    assert [await asyncio.create_task(step(iterator)) for _ in range(3)] == [1, 2, 0]
    assert remaining() is None
