"""endpoint_type="session": sign in at a web server, then a cookie instead of signatures."""

from __future__ import annotations

import asyncio

import pytest
from wire_manager import Reply, listing, problem

from backendai_sdk import AuthenticationError, ConnectionLost, LocalCluster, ServiceUnavailable, WireError
from backendai_sdk._wire.request import Request

USER = {"endpoint_type": "session", "username": "me@example.com", "password": "hunter2"}
LOGIN, VERSION, LIST = "POST /server/login", "GET /func/", "POST /func/admin/gql"
GOOD = {"authenticated": True, "data": {"access_key": "AK", "role": "user", "status": "active"}}
BAD = {
    "authenticated": False,
    "data": {"type": "x", "title": "Unauthorized.", "details": "User credential mismatch."},
}
GET = Request(method="GET", path="/x", idempotent=True)


class Web:
    """A web server: each sign-in gives a new cookie, and only the last one is known."""

    def __init__(self, *, attributes="; HttpOnly; Path=/"):
        self.logins = 0
        self.valid = ""
        self.attributes = attributes
        self.login = None
        self.then = lambda seen: listing()

    def __call__(self, seen):
        if seen.route == LOGIN:
            if self.login is not None:
                return self.login
            assert seen.json == {"username": "me@example.com", "password": "hunter2"}
            assert "cookie" not in seen.headers
            self.logins += 1
            self.valid = f"AIOHTTP_SESSION=token-{self.logins}"
            return Reply(200, GOOD, {"Set-Cookie": self.valid + self.attributes})
        if not self.valid or seen.headers.get("cookie") != self.valid:
            return problem(401, "auth-failed", "Unauthorized access")
        if seen.route == VERSION:
            return Reply(200, {"version": "v9.20250722", "manager": "26.8.1"})
        return self.then(seen)


async def test_sign_in_then_a_cookie(serve, client):
    server = await serve(Web())
    api = await client(server, **USER)
    assert (await api.list()).total_count == 0
    assert (await api.list()).total_count == 0
    assert server.routes == [LOGIN, VERSION, LIST, LIST]
    for seen in server.asked:
        assert not {"authorization", "date"} & set(seen.headers)
    assert server.asked[1].headers["cookie"] == "AIOHTTP_SESSION=token-1"
    assert server.asked[2].headers["x-backendai-version"] == "v9.20250722"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Reply(200, BAD), "User credential mismatch; check username and password"),
        (Reply(401, BAD), "User credential mismatch; check username and password"),
        (Reply(200, {"authenticated": False, "data": {"title": "Locked."}}), "Locked; check"),
        (Reply(200, {"authenticated": False, "data": None}), "no explanation; check username"),
        (problem(401, "auth-failed", "Unauthorized access"), "Unauthorized access; check username"),
    ],
)
async def test_a_refused_sign_in(serve, client, answer, said):
    web = Web()
    web.login = answer
    server = await serve(web)
    api = await client(server, **USER)
    with pytest.raises(
        AuthenticationError, match=f"refused the sign-in of 'me@example.com': {said}"
    ) as caught:
        await api.list()
    assert (caught.value.status, caught.value.path) == (401, "/server/login")
    assert server.routes == [LOGIN]
    assert "hunter2" not in f"{caught.value!r} {caught.value.body}"


async def test_a_login_answer_of_something_else(serve, client):
    web = Web()
    web.login = Reply(200, {"ok": True})
    with pytest.raises(WireError, match="cannot be read: is `endpoint` a web server"):
        await (await client(await serve(web), **USER)).list()


async def test_already_logged_in_is_fine(serve, client):
    web = Web()
    web.login = problem(400, "generic-bad-request", "You have already logged in.")
    server = await serve(web)
    api = await client(server, **USER)
    with pytest.raises(AuthenticationError):
        await api.list()
    assert server.routes[0] == LOGIN


async def test_an_expired_sign_in_is_renewed_once(serve, client):
    web = Web()
    server = await serve(web)
    api = await client(server, **USER)
    await api.list()
    web.valid = "gone"
    assert (await api.list()).total_count == 0
    assert server.routes[3:] == [LIST, LOGIN, LIST]
    assert server.asked[-1].headers["cookie"] == "AIOHTTP_SESSION=token-2"


async def test_many_that_find_it_expired_renew_it_once(serve, client):
    web = Web()
    api = await client(await serve(web), **USER)
    await api.list()
    web.valid = "gone"
    await asyncio.gather(*(api.list().first_page() for _ in range(10)))
    assert web.logins == 2


async def test_a_refusal_that_signing_in_does_not_cure(serve, client):
    web = Web()
    web.then = lambda seen: problem(401, "auth-failed", "Unauthorized access")
    server = await serve(web)
    api = await client(server, **USER)
    with pytest.raises(AuthenticationError):
        await api.list()
    assert web.logins == 2
    assert server.routes.count(LIST) == 2


async def test_a_cookie_that_is_not_kept_does_not_hang(serve, client):
    """A cookie for TLS only, over plain HTTP: the first question is refused while the sign-in is under way."""
    web = Web(attributes="; Secure; Path=/")
    server = await serve(web)
    api = await client(server, **USER)
    with pytest.raises(AuthenticationError):
        await asyncio.wait_for(api.list().first_page(), 5)
    assert server.routes == [LOGIN, VERSION, LOGIN, VERSION]


async def test_a_stream_renews_it_too(serve, transport):
    async def events():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"

    web = Web()
    web.then = lambda seen: events()
    server = await serve(web)
    link = transport(server, **USER)
    await link.server()
    web.valid = "gone"
    async with link.stream(GET) as body:
        assert [piece async for piece in body] == [b"data: 1\n\n"]
    assert server.routes == [LOGIN, VERSION, "GET /func/x", LOGIN, "GET /func/x"]


@pytest.mark.parametrize(("answer", "kind"), [(Reply(502, {}), ServiceUnavailable), (b"", ConnectionLost)])
async def test_a_web_server_in_trouble(serve, client, answer, kind):
    web = Web()
    web.login = answer
    server = await serve(web)
    with pytest.raises(kind):
        await (await client(server, **USER)).list()
    assert server.routes == [LOGIN]


@pytest.mark.parametrize("release", ["23.09", "26.8"])
async def test_with_the_local_cluster(client, release):
    cluster = LocalCluster(release=release)
    await cluster.astart()
    try:
        user = cluster.user
        web = {"endpoint_type": "session", "username": user.email}
        api = await client(cluster.endpoint, **web, password=user.password)
        assert (await api.list()).total_count == 0
        wrong = await client(cluster.endpoint, **web, password="wrong")
        with pytest.raises(AuthenticationError, match="check username and password"):
            await wrong.list()
    finally:
        await cluster.astop()
