"""Destroying what does not stay destroyed: on 23.09, a session cancelled as it was being scheduled starts all the same."""

from __future__ import annotations

import pytest
from wire_manager import Reply, listing

from backendai_sdk._async import _destroy

OLD = {"version": "v7.20230615", "manager": "23.09.10"}
NEW = {"version": "v9.20250722", "manager": "26.9.6"}


class Queue:
    """One session, which is where *states* say each time it is looked at."""

    def __init__(self, *states):
        self.states = list(states)
        self.deleted = []

    def __call__(self, seen):
        if seen.method == "DELETE":
            self.deleted.append("forced=true" in seen.target)
            return Reply(200, {"stats": {"status": "terminated"}})
        return listing({"id": "id-1", "name": "one", "status": self.states.pop(0)})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(_destroy, "_SECOND_LOOK", 0.0)


async def destroyed(serve, client, queue, version):
    server = await serve(queue)
    server.version = version
    api = await client(server)
    (outcome,) = await api.destroy("one")
    assert queue.states == []
    return outcome.check().status


@pytest.mark.parametrize("state", ["SCHEDULED", "PREPARING", "RUNNING"])
async def test_what_starts_all_the_same_is_destroyed_again(serve, client, state):
    queue = Queue("PENDING", state)
    assert await destroyed(serve, client, queue, OLD) == "terminated"
    assert queue.deleted == [False, True]


@pytest.mark.parametrize("state", ["CANCELLED", "TERMINATED", "TERMINATING"])
async def test_what_stays_cancelled_is_left_alone(serve, client, state):
    queue = Queue("PENDING", state)
    assert await destroyed(serve, client, queue, OLD) == "cancelled"
    assert queue.deleted == [False]


async def test_newer_servers_cancel_for_good(serve, client):
    queue = Queue("PENDING")
    assert await destroyed(serve, client, queue, NEW) == "cancelled"
    assert queue.deleted == [False]


async def test_what_ran_is_not_looked_at_again(serve, client):
    queue = Queue("RUNNING")
    assert await destroyed(serve, client, queue, OLD) == "terminated"
