"""When states are read: at once, at growing intervals, soon after a hint, and never too often for a crowd."""

from __future__ import annotations

import itertools

import pytest

from backendai_sdk.polling import PAGE, PollPlan


def readings(plan: PollPlan, seconds: float) -> list[tuple[float, int]]:
    """When something was read, and how many sessions."""
    now, found = 0.0, []
    while (due := plan.next_at()) is not None and due <= seconds:
        now = max(now, due)
        found.append((now, len(plan.take(now))))
    return found


def test_one_session_is_read_at_growing_intervals():
    plan = PollPlan(first=0.5, slowest=10)
    plan.add("a", 0.0)
    times = [t for t, _ in readings(plan, 60)]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] == 0
    assert pauses[:3] == pytest.approx([0.5, 0.75, 1.125])
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10


@pytest.mark.parametrize("count", [1, 99, 100, 101, 1000, 5000])
def test_a_crowd_costs_few_requests(count):
    plan = PollPlan()
    for n in range(count):
        plan.add(str(n), 0.0)
    pages = sum(-(-n // PAGE) for _, n in readings(plan, 60))
    assert pages <= 13 * -(-count // PAGE)
    later = sum(-(-n // PAGE) for t, n in readings(plan, 660) if t > 60)
    assert later / 600 <= 0.6  # far below the servers' limit of 1000 requests in 900 s


def test_a_hint_is_followed_soon_but_not_without_end():
    plan = PollPlan()
    for n in range(1000):
        plan.add(str(n), 0.0)
    assert len(plan.take(0.0)) == 1000
    assert plan.gap == 1.0
    for _ in range(50):
        plan.hint("7", 0.1)
    assert plan.next_at() == 1.0
    assert plan.take(0.9) == []
    assert plan.take(1.0) == ["7"]
    plan.hint("7", 5.0, delay=1.0)
    assert plan.next_at() <= 6.0


def test_a_hint_makes_intervals_short_again():
    plan = PollPlan(first=0.5)
    plan.add("a", 0.0)
    readings(plan, 60)
    plan.hint("a", 61.0)
    assert plan.take(61.0) == ["a"]
    assert plan.next_at() == 61.5


def test_what_is_due_soon_is_read_along():
    plan = PollPlan(first=1.0)
    plan.add("a", 0.0)
    plan.take(0.0)
    plan.add("b", 0.1)
    plan.take(0.1)
    assert plan.take(1.0) == ["a", "b"]


def test_who_left_is_not_read():
    plan = PollPlan()
    plan.add("a", 0.0, delay=3)
    assert plan.next_at() == 3
    assert "a" in plan
    plan.discard("a")
    plan.discard("a")
    plan.hint("a", 0.0)
    assert (plan.next_at(), plan.take(9.0), len(plan)) == (None, [], 0)


def test_sessions_beside_the_plan_slow_it_down():
    plan = PollPlan(first=1, slowest=10)
    plan.extra = 10_000
    assert (plan.first, plan.slowest, plan.gap) == (25, 200, 1.0)
