"""Exactly one session per creation, whatever becomes of the reply: settled by the name, never by asking twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from wire_manager import HANG, RESET, Reply, listing, problem

from backendai_sdk import (
    BadRequest,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    ImageNotFound,
    QuotaExceeded,
    RequestTimeout,
    ServerError,
    ServiceUnavailable,
    SessionExists,
    Timeouts,
    deadline,
)

# What comes, comes within this, also on a busy machine; what does not is waited for as long.
SHORT = 0.8

CREATE = "POST /session"
LOOK_UP = "POST /admin/gql"


class Cluster:
    """Keeps sessions by name; the replies to creations are the test's."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.sessions: dict[str, dict] = {}
        self.created = 0

    def __call__(self, seen):
        if seen.method == "DELETE":
            gone = seen.target.split("/")[-1].partition("?")[0]
            self.sessions = {n: s for n, s in self.sessions.items() if s["id"] != gone}
            return Reply(200, {"stats": {"status": "terminated"}})
        if seen.route == LOOK_UP:
            wanted = seen.json["variables"]["filter"]
            found = [
                s
                for s in self.sessions.values()
                if wanted in {f'name == "{s["name"]}"', f'id == "{s["id"]}"'}
            ]
            return listing(*found)
        reply = self.replies.pop(0) if self.replies else "made"
        return self.made(seen) if reply == "made" else self.lost(seen, reply)

    def made(self, seen):
        name = seen.json["name"]
        if name in self.sessions:
            return problem(
                400, "session-already-exists", data={"existingSessionId": self.sessions[name]["id"]}
            )
        self.created += 1
        row = {"id": f"id-{self.created}", "name": name, "status": "PENDING", "type": "INTERACTIVE"}
        row["created_at"] = datetime.now(UTC).isoformat()
        self.sessions[name] = row
        return Reply(201, {"sessionId": row["id"], "sessionName": name, "status": "PENDING", "created": True})

    def lost(self, seen, reply):
        """The session is made if the reply says so, but its answer never arrives."""
        acted, answer = reply
        if acted:
            self.made(seen)
        return answer


LOST = {
    "reset": (RESET, Timeouts(request=5)),
    "closed": (b"", Timeouts(request=5)),
    "cut": (b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{", Timeouts(request=5)),
    "502": (Reply(502, b"<html>"), Timeouts(request=5)),
    "503": (Reply(503, {}), Timeouts(request=5)),
    "504": (Reply(504, {}), Timeouts(request=5)),
    "silence": (HANG, Timeouts(request=SHORT)),
}


@pytest.mark.parametrize(("answer", "limits"), LOST.values(), ids=LOST)
@pytest.mark.parametrize("acted", [True, False])
async def test_a_lost_reply_is_settled_by_the_name(serve, client, answer, limits, acted):
    cluster = Cluster((acted, answer))
    server = await serve(cluster)
    api = await client(server, timeouts=limits)
    cs = await api.create("python", enqueue_only=True)
    assert cluster.created == 1
    assert [s["id"] for s in cluster.sessions.values()] == [cs.id]
    assert [s.route for s in server.asked] == ([CREATE, LOOK_UP] if acted else [CREATE, LOOK_UP, CREATE])
    bodies = [s.json for s in server.asked if s.route == CREATE]
    assert all(body == bodies[0] for body in bodies)
    assert server.asked[1].json["variables"]["filter"] == f'name == "{bodies[0]["name"]}"'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(RESET, ConnectionLost), (HANG, RequestTimeout), (Reply(503, {}), ServiceUnavailable)],
)
@pytest.mark.parametrize("acted", [True, False])
async def test_lost_twice(serve, client, answer, kind, acted):
    """The second reply is lost, too: the error comes, and what was made is destroyed again."""
    cluster = Cluster((False, answer), (acted, answer))
    server = await serve(cluster)
    api = await client(server, timeouts=Timeouts(request=SHORT, cleanup=4))
    with pytest.raises(kind):
        await api.create("python", enqueue_only=True)
    assert [s.route for s in server.asked].count(CREATE) == 2
    assert cluster.created == int(acted)
    assert cluster.sessions == {}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(404, "object-not-found", "No such environment image."), ImageNotFound),
        (problem(400, "invalid-api-params"), BadRequest),
        (problem(412, "quota-exceeded"), QuotaExceeded),
    ],
)
async def test_a_no_is_not_looked_into(serve, client, answer, kind):
    server = await serve(Cluster((False, answer)))
    with pytest.raises(kind):
        await (await client(server)).create("python", enqueue_only=True)
    assert [s.route for s in server.asked] == [CREATE]


async def test_throttled_before_it_acted(serve, client):
    cluster = Cluster((False, problem(429, "rate-limit-exceeded")))
    server = await serve(cluster)
    await (await client(server)).create("python", enqueue_only=True)
    assert cluster.created == 1
    assert [s.route for s in server.asked] == [CREATE, CREATE]


async def test_somebody_elses_session_is_left_alone(serve, client):
    cluster = Cluster()
    cluster.sessions["taken"] = {"id": "theirs", "name": "taken", "status": "RUNNING"}
    server = await serve(cluster)
    with pytest.raises(SessionExists, match=r"ensure\(\)") as caught:
        await (await client(server)).create("python", name="taken")
    assert caught.value.session_id == "theirs"
    assert "taken" in cluster.sessions


async def test_nothing_is_undone_where_nothing_was_sent(client, closed_port):
    with pytest.raises(ConnectError):
        await (await client(closed_port)).create("python")


async def test_two_endpoints_and_a_lost_reply(serve, client):
    """The look-up may go to the other endpoint; the creation is not sent there by itself."""
    cluster = Cluster((True, RESET))
    first, second = await serve(cluster), await serve(cluster)
    api = await client([first.endpoint, second.endpoint])
    cs = await api.create("python", enqueue_only=True)
    assert cluster.created == 1
    assert [s["id"] for s in cluster.sessions.values()] == [cs.id]
    assert [s.route for s in first.asked + second.asked].count(CREATE) == 1


async def test_many_at_once_each_once(serve, client):
    cluster = Cluster(*[(i % 2 == 0, RESET) for i in range(10)])
    api = await client(await serve(cluster))
    made = await asyncio.gather(*(api.create("python", enqueue_only=True) for _ in range(20)))
    assert len({cs.id for cs in made}) == len(cluster.sessions) == cluster.created == 20


@pytest.mark.parametrize(
    "reply",
    [
        problem(500, "internal-server-error"),
        Reply(200, b"<html>a proxy's page</html>"),
        Reply(201, b'{"sessionId": "id-1", "sess'),
    ],
    ids=["error 500", "html", "cut JSON"],
)
async def test_a_worthless_reply_is_settled_by_looking_up(serve, client, reply):
    cluster = Cluster((True, reply))
    api = await client(await serve(cluster))
    session = await api.create("python", enqueue_only=True)
    assert (session.id, cluster.created) == ("id-1", 1)


async def test_what_an_error_500_has_not_made_is_asked_for_once_more(serve, client):
    """Creations side by side make the database of 23.09 refuse one with 500; the next try goes through."""
    cluster = Cluster((False, problem(500, "internal-server-error")))
    api = await client(await serve(cluster))
    session = await api.create("python", enqueue_only=True)
    assert (session.id, cluster.created) == ("id-1", 1)


async def test_an_error_500_that_comes_again_is_raised(serve, client):
    sent = []

    def script(seen):
        sent.append(seen.route)
        return listing() if seen.route == LOOK_UP else problem(500, "internal-server-error")

    api = await client(await serve(script))
    with pytest.raises(ServerError):
        await api.create("python", enqueue_only=True)
    assert sent.count(CREATE) == 2


async def test_a_first_request_that_was_only_slow_is_adopted(serve, client):
    """The look-up comes too early to see it; asking again meets the name."""
    cluster = Cluster((True, RESET))
    looked_up = []

    def script(seen):
        if seen.route == LOOK_UP and not looked_up:
            looked_up.append(seen)
            return listing()
        return cluster(seen)

    api = await client(await serve(script))
    session = await api.create("python", enqueue_only=True)
    assert (session.id, cluster.created) == ("id-1", 1)


async def test_a_deadline_that_ends_while_creating_leaves_nothing(serve, client):
    cluster = Cluster((True, HANG))
    api = await client(await serve(cluster))
    with pytest.raises(DeadlineExceeded), deadline(SHORT):
        await api.create("python", enqueue_only=True)
    assert cluster.created == 1
    assert cluster.sessions == {}


def before(cluster, **change):
    """A session of the name ``kept-one`` that somebody has made an hour ago."""
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    row = {"id": "id-old", "name": "kept-one", "status": "PENDING", "type": "INTERACTIVE", "created_at": old}
    cluster.sessions["kept-one"] = row | change


@pytest.mark.parametrize("answer", [HANG, Reply(500, {})], ids=["silence", "error 500"])
async def test_ensure_never_undoes_what_was_there_before(serve, client, answer):
    """The reply is lost, and then the caller's time: the session that had the name lives on."""
    cluster = Cluster((False, answer))
    before(cluster)
    api = await client(await serve(cluster), timeouts=Timeouts(request=SHORT, cleanup=4))
    with pytest.raises(DeadlineExceeded), deadline(2.5 * SHORT):
        await api.ensure("kept-one", "python")
    assert list(cluster.sessions) == ["kept-one"]


async def test_ensure_that_is_cut_off_while_asking_undoes_nothing(serve, client):
    cluster = Cluster((False, HANG))
    before(cluster)
    api = await client(await serve(cluster))
    with pytest.raises(DeadlineExceeded), deadline(SHORT):
        await api.ensure("kept-one", "python")
    assert list(cluster.sessions) == ["kept-one"]


async def test_a_row_without_its_time_can_be_looked_up(serve, client):
    cluster = Cluster((True, RESET))

    def script(seen):
        answer = cluster(seen)
        for row in cluster.sessions.values():
            row.pop("created_at", None)
        return listing(*cluster.sessions.values()) if seen.route == LOOK_UP else answer

    api = await client(await serve(script))
    assert (await api.create("python", enqueue_only=True)).id == "id-1"


async def test_the_look_up_asks_for_ones_own_sessions(serve, client):
    server = await serve(Cluster((True, RESET)))
    api = await client(server)
    await api.create("python", enqueue_only=True)
    (look_up,) = [seen for seen in server.asked if seen.route == LOOK_UP]
    assert look_up.json["variables"]["access_key"] == api.config.access_key
