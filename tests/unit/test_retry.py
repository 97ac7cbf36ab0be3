"""Retry policy: who may repeat, how long to wait, and that the budget is never overdrawn."""

from __future__ import annotations

import math
import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk.errors import InvalidArgument
from backendai_sdk.retry import Failure, RetryBudget, RetryPolicy, may_retry, throttle_delay


class Highest(random.Random):
    """Draws the upper end."""

    def random(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("failure", "idempotent", "not_idempotent"),
    [
        (Failure.REJECTED, True, True),
        (Failure.THROTTLED, True, True),
        (Failure.AMBIGUOUS, True, False),
        (Failure.FATAL, False, False),
    ],
)
def test_who_may_repeat(failure, idempotent, not_idempotent):
    assert may_retry(failure, idempotent=True) is idempotent
    assert may_retry(failure, idempotent=False) is not_idempotent


def test_the_table_is_complete():
    assert len(Failure) == 4


def test_delays_double_up_to_the_cap():
    policy = RetryPolicy()
    assert policy == RetryPolicy(max_attempts=4, base=0.1, cap=10.0)
    longest = [policy.delay(attempt, Highest()) for attempt in range(1, 10)]
    assert longest == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


@given(
    st.integers(-5, 10**9),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.randoms(use_true_random=False),
)
def test_delays_stay_within_bounds(attempt, base, more, rng):
    policy = RetryPolicy(base=base, cap=base + more)
    assert 0 <= policy.delay(attempt, rng) <= policy.cap
    assert policy.delay(1, rng) <= base


def test_jitter_is_full():
    rng = random.Random(1)
    drawn = [RetryPolicy(base=1, cap=1).delay(1, rng) for _ in range(1000)]
    assert min(drawn) < 0.05
    assert max(drawn) > 0.95
    assert sum(drawn) / 1000 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("values", "argument"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"base": -1}, "base"),
        ({"base": math.nan}, "base"),
        ({"base": "1"}, "base"),
        ({"cap": math.inf}, "cap"),
        ({"base": 2, "cap": 1}, "cap"),
    ],
)
def test_settings_that_make_no_sense(values, argument):
    with pytest.raises(InvalidArgument) as caught:
        RetryPolicy(**values)
    assert caught.value.argument == argument


def test_the_budget_ends_after_100_retries_or_50_timeouts():
    budget = RetryBudget()
    assert sum(budget.spend() for _ in range(1000)) == 100
    budget = RetryBudget()
    assert sum(budget.spend(timeout=True) for _ in range(1000)) == 50
    assert budget.tokens == 0
    for _ in range(4):
        budget.on_success()
    assert not budget.spend()
    budget.on_success()
    assert budget.spend()
    assert repr(budget) == "<RetryBudget 0/500>"


@given(st.lists(st.sampled_from(["retry", "timeout", "success"]), max_size=300), st.integers(0, 40))
def test_the_budget_is_never_overdrawn(steps, capacity):
    budget = RetryBudget(capacity)
    spent = earned = 0
    for step in steps:
        if step == "success":
            budget.on_success()
            earned += 1
        elif budget.spend(timeout=step == "timeout"):
            spent += 10 if step == "timeout" else 5
        assert 0 <= budget.tokens <= capacity
    assert spent <= capacity + earned


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"Retry-After": "1e9"}, 900),
        ({"Retry-After": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"Retry-After": formatdate(NOW + 30)}, 30),
        ({"Retry-After": formatdate(NOW - 30, usegmt=True)}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan", "X-RateLimit-Remaining": "5"}, 0),
        ({"X-RateLimit-Limit": "30000", "X-RateLimit-Remaining": "29999", "X-RateLimit-Window": "900"}, 0),
        ({"X-RateLimit-Limit": "30000", "X-RateLimit-Remaining": "0", "X-RateLimit-Window": "900"}, 0.03),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"}, 9),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "153"}, 153),
        ({"X-RateLimit-Limit": "None", "X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "None"}, None),
    ],
)
def test_what_the_headers_ask_for(headers, delay):
    assert throttle_delay(headers, NOW) == (None if delay is None else pytest.approx(delay, abs=1))


names = st.sampled_from(["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Window"])
numbers = st.integers().map(str) | st.floats().map(str)


@given(st.dictionaries(names | st.just("X-RateLimit-Reset"), st.text(max_size=20) | numbers))
def test_any_header_gives_a_bounded_wait_or_none(headers):
    delay = throttle_delay(headers, NOW)
    assert delay is None or 0 <= delay <= 900
