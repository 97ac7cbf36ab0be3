"""What meets other changes in the server's database: asked again, after a look where it may have been done."""

from __future__ import annotations

import pytest
from wire_manager import Reply, listing, problem

from backendai_sdk import GraphQLError, ServerError
from backendai_sdk._async import _client

ID = "44223ee2-3bdc-4b59-b1c4-e3a4745fa494"
COLLIDED = {
    "data": {"compute_session_list": None},
    "errors": [{"message": "could not serialize access due to read/write dependencies among transactions"}],
}


def row(name):
    return listing({"id": ID, "session_id": ID, "name": name, "status": "RUNNING"})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(_client, "_AFTER_COLLISIONS", (0.0, 0.0))


@pytest.mark.parametrize("times", [1, 2])
async def test_a_query_is_asked_again(serve, client, times):
    server = await serve(lambda seen: Reply(200, COLLIDED) if len(server.asked) <= times else row("a"))
    api = await client(server)
    assert (await api.list()).total_count == 1
    assert len(server.asked) == times + 1


async def test_but_not_for_ever(serve, client):
    server = await serve(lambda seen: Reply(200, COLLIDED))
    api = await client(server)
    with pytest.raises(GraphQLError, match="serialize"):
        await api.list()
    assert len(server.asked) == 3


@pytest.mark.parametrize(("acted", "renames"), [(True, 1), (False, 2)])
async def test_a_rename_is_looked_up(serve, client, acted, renames):
    name = "old"

    def script(seen):
        nonlocal name
        if not seen.target.endswith("/rename"):
            return row(name)
        first = len([s for s in server.asked if s.target.endswith("/rename")]) == 1
        if acted or not first:
            name = seen.json["name"]
        return problem(500, "internal-server-error", "Internal server error") if first else Reply(204)

    server = await serve(script)
    api = await client(server)
    cs = await api.get(ID)
    await cs.rename("newer")
    assert cs.name == name == "newer"
    assert len([s for s in server.asked if s.target.endswith("/rename")]) == renames


async def test_a_rename_that_fails_again_is_an_error(serve, client):
    def script(seen):
        renames = seen.target.endswith("/rename")
        return problem(500, "internal-server-error", "Internal server error") if renames else row("old")

    api = await client(await serve(script))
    cs = await api.get(ID)
    with pytest.raises(ServerError):
        await cs.rename("newer")
    assert cs.name == "old"
