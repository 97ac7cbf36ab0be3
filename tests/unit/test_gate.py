"""The gate: first come, first served, and no place is ever lost, wherever a waiter is cancelled."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backendai_sdk import DeadlineExceeded, deadline
from backendai_sdk._transport.gate import Gate
from backendai_sdk.limiter import Limiter


def gate_of(places: int) -> Gate:
    gate = Gate()
    gate.limiter = Limiter(start=places, max=places)
    return gate


async def turns(n: int = 3) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_no_more_than_fit_and_in_order():
    gate, running, order, most = gate_of(3), 0, [], 0

    async def one(i):
        nonlocal running, most
        async with gate.place():
            running += 1
            most = max(most, running)
            order.append(i)
            await turns()
            running -= 1

    async with asyncio.TaskGroup() as group:
        for i in range(20):
            group.create_task(one(i))
    assert order == list(range(20))
    assert most == 3
    assert gate.limiter.in_flight == 0
    assert not gate._waiting


async def test_an_error_in_the_block_gives_the_place_back():
    gate = gate_of(1)
    with pytest.raises(ZeroDivisionError):
        async with gate.place():
            _ = 1 / 0
    assert gate.limiter.in_flight == 0


async def test_cancelled_while_waiting():
    gate = gate_of(1)
    async with gate.place():
        waiter = asyncio.create_task(gate.place().__aenter__())
        await turns()
        waiter.cancel()
        await turns()
        assert waiter.cancelled()
    assert gate.limiter.in_flight == 0
    async with asyncio.timeout(1), gate.place():
        assert gate.limiter.in_flight == 1


async def test_cancelled_in_the_moment_when_the_place_was_given():
    gate = gate_of(1)
    got = []

    async def wants(i):
        async with gate.place():
            got.append(i)

    async with gate.place():
        first, second = (asyncio.create_task(wants(i)) for i in (1, 2))
        await turns()
    # The place has been given to the first already, which has not run since.
    assert gate.limiter.in_flight == 1
    first.cancel()
    await asyncio.wait_for(asyncio.wait({first, second}), 1)
    assert first.cancelled()
    assert got == [2]
    assert gate.limiter.in_flight == 0


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.none() | st.integers(0, 12)), max_size=15),
)
def test_whoever_is_cancelled_whenever_no_place_is_lost(places, visitors):
    async def main():
        gate = gate_of(places)

        async def visit(comes, stays):
            await turns(comes)
            async with gate.place():
                assert gate.limiter.in_flight <= places
                await turns(stays)

        tasks = []
        cancellers = []
        for comes, stays, cancelled_at in visitors:
            task = asyncio.create_task(visit(comes, stays))
            tasks.append(task)
            if cancelled_at is not None:

                async def cancel(task=task, after=cancelled_at):
                    await turns(after)
                    task.cancel()

                cancellers.append(asyncio.create_task(cancel()))
        async with asyncio.timeout(5):
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*cancellers)
        assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)
        assert gate.limiter.in_flight == 0
        # All places are there again, at once.
        async with asyncio.timeout(1):
            places_again = [gate.place() for _ in range(places)]
            for place in places_again:
                await place.__aenter__()
            for place in places_again:
                await place.__aexit__(None, None, None)
        assert gate.limiter.in_flight == 0

    asyncio.run(main())


async def test_a_deadline_bounds_the_waiting():
    gate = gate_of(1)
    async with gate.place():
        with deadline(0.05), pytest.raises(DeadlineExceeded, match=r"deadline of 0\.05 s"):
            async with gate.place():
                raise AssertionError("there was no place")
    assert gate.limiter.in_flight == 0
    async with asyncio.timeout(1), gate.place():
        pass


async def test_a_window_that_shrinks_is_kept_to():
    gate = gate_of(4)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def visit():
        async with gate.place():
            entered.set()
            await leave.wait()

    async with gate.place() as ticket:
        gate.limiter.on_throttle(ticket)
        assert gate.limiter.limit == 2
        async with gate.place():
            visitor = asyncio.create_task(visit())
            await turns()
            assert not entered.is_set()
        await turns()
        assert entered.is_set()
    leave.set()
    await visitor
    assert gate.limiter.in_flight == 0
