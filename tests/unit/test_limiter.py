"""The window for requests under way: it grows slowly, is halved at once, and never loses count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backendai_sdk.errors import InvalidArgument, UsageError
from backendai_sdk.limiter import Limiter


def filled(limiter: Limiter) -> list[int]:
    tickets = []
    while limiter.acquire_allowed():
        tickets.append(limiter.acquire())
    return tickets


def test_no_more_than_the_window_may_start():
    limiter = Limiter(start=3, max=10)
    assert filled(limiter) == [1, 2, 3]
    assert limiter.in_flight == limiter.limit == 3
    with pytest.raises(UsageError, match="3 requests are under way, and the limit is 3"):
        limiter.acquire()
    limiter.release()
    assert limiter.acquire_allowed()
    assert repr(limiter) == "<Limiter 2 in flight, limit 3 of at most 10>"


def test_a_full_window_of_successes_widens_it_by_about_one():
    limiter = Limiter(start=10, max=20)
    for _ in filled(limiter):
        limiter.on_success()
    assert limiter.limit in {10, 11}
    limiter.on_success()
    assert limiter.limit == 11
    for _ in range(2000):
        filled(limiter)
        limiter.on_success()
    assert limiter.limit == 20


def test_an_idle_window_does_not_grow():
    limiter = Limiter(start=10, max=20)
    limiter.acquire()
    for _ in range(1000):
        limiter.on_success()
    assert limiter.limit == 10


def test_a_burst_is_cut_once():
    limiter = Limiter(start=16, max=64)
    for ticket in filled(limiter):
        limiter.on_throttle(ticket)
        limiter.release()
    assert limiter.limit == 8
    # What starts after the cut speaks of the new window.
    limiter.on_throttle(limiter.acquire())
    assert limiter.limit == 4


def test_it_never_closes():
    limiter = Limiter(start=16, max=64)
    for _ in range(100):
        limiter.on_throttle()
    assert limiter.limit == 1
    assert limiter.acquire_allowed()


@pytest.mark.parametrize(("start", "widest"), [(0, 5), (-1, 5), (6, 5)])
def test_windows_that_make_no_sense(start, widest):
    with pytest.raises(InvalidArgument) as caught:
        Limiter(start=start, max=widest)
    assert caught.value.argument == "start"


def test_release_needs_an_acquire():
    with pytest.raises(UsageError):
        Limiter().release()


@settings(max_examples=25)
@given(st.integers(2, 200), st.integers(1, 100))
def test_it_settles_around_what_the_server_takes(capacity, start):
    """A server that throttles whatever is more than *capacity* at once."""
    limiter = Limiter(start=start, max=300)
    seen = []
    for _ in range(300):
        for number, ticket in enumerate(filled(limiter)):
            if number < capacity:
                limiter.on_success()
            else:
                limiter.on_throttle(ticket)
        seen.append(limiter.in_flight)
        while limiter.in_flight:
            limiter.release()
    assert max(seen[150:]) <= capacity + 2
    assert sum(seen[150:]) / 150 >= capacity * 0.6


class Machine(RuleBasedStateMachine):
    """Any order of calls that the transport can make."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = Limiter(start=4, max=8)
        self.open: list[int] = []

    @precondition(lambda self: self.limiter.acquire_allowed())
    @rule()
    def start(self) -> None:
        self.open.append(self.limiter.acquire())

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "throttle", "failure"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        ticket = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        before = self.limiter.limit
        if outcome == "success":
            self.limiter.on_success()
            assert before <= self.limiter.limit <= before + 1
        elif outcome == "throttle":
            self.limiter.on_throttle(ticket)
            assert self.limiter.limit >= before // 2
        self.limiter.release()

    @invariant()
    def counts(self) -> None:
        assert self.limiter.in_flight == len(self.open)
        assert 1 <= self.limiter.limit <= 8
        assert self.limiter.acquire_allowed() == (len(self.open) < self.limiter.limit)


TestMachine = Machine.TestCase
