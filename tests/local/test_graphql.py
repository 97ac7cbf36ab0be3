"""Lists and look-ups over GraphQL: fields, formats, filters, pages, scopes, and each release's faults."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from backendai_sdk.local import Agent

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]
FIELDS = (
    "id session_id main_kernel_id tag name type image registry cluster_template cluster_mode cluster_size domain_name group_name "
    "group_id agent_ids user_email user_id access_key status status_info status_changed created_at terminated_at starts_at "
    "scheduled_at startup_command result resource_opts scaling_group service_ports mounts occupying_slots dependencies { id name } "
    "abusing_reports idle_checks"
)
LIST = (
    "query($limit: Int!, $offset: Int!, $ak: String, $status: String, $filter: String, $order: String) {"
    " compute_session_list(limit: $limit, offset: $offset, access_key: $ak, status: $status, filter: $filter, order: $order)"
    " { items { %s } total_count } }"
)


async def rows(api, fields="name", **given):
    answer = await api.gql(LIST % fields, **{"limit": 100, "offset": 0, **given})
    assert not answer.get("errors"), answer
    return answer["data"]["compute_session_list"]


async def names(api, **given):
    return [row["name"] for row in (await rows(api, **given))["items"]]


async def error(api, **given):
    answer = await api.gql(LIST % "name", **{"limit": 100, "offset": 0, **given})
    assert answer["data"] == {"compute_session_list": None}
    assert answer["errors"][0]["path"] == ["compute_session_list"]
    return answer["errors"][0]["message"]


@pytest.mark.parametrize("release", RELEASES)
async def test_every_field(both, release):
    cluster, api = await both(release)
    made = await api.create("full-1")
    page = await rows(api, FIELDS)
    row = page["items"][0]
    assert page["total_count"] == 1
    assert row["id"] == row["session_id"] == made.json["sessionId"]
    assert (row["type"], row["status"], row["result"]) == ("INTERACTIVE", "RUNNING", "UNDEFINED")
    assert (row["cluster_mode"], row["cluster_size"], row["group_name"]) == ("single-node", 1, "default")
    assert (row["agent_ids"], row["mounts"], row["dependencies"], row["abusing_reports"]) == (
        ["i-local-01"],
        [],
        [],
        [None],
    )
    assert json.loads(row["occupying_slots"]) == {"cpu": "1", "mem": "536870912"}
    assert json.loads(row["resource_opts"]) == {"main1": {"shmem": 67108864}}
    assert json.loads(row["service_ports"])[0]["container_ports"] == [2200]
    assert set(json.loads(row["idle_checks"])) == {"session_lifetime", "network_timeout"}
    assert row["access_key"] == cluster.access_key
    for name in ("created_at", "status_changed", "scheduled_at"):
        assert datetime.fromisoformat(row[name]).tzinfo is not None
    old = release in {"23.09", "24.03"}
    assert row["status_info"] == ("" if old else None)
    assert row["tag"] == ("" if release in {"26.8", "26.9"} else None)
    assert (row["starts_at"] is None) is old
    assert row["terminated_at"] is None


@pytest.mark.parametrize("release", RELEASES)
async def test_shape_of_answers(both, release):
    _, api = await both(release)
    good = await api.gql("query { compute_session_list(limit: 1, offset: 0) { total_count } }")
    assert good == {"data": {"compute_session_list": {"total_count": 0}}} | (
        {"errors": None} if release in {"26.8", "26.9"} else {}
    )
    bad = await api.gql(
        "query { compute_session_list(limit: 1, offset: 0) { items { id dependencies } total_count } }"
    )
    assert bad["data"] is None
    assert bad["errors"][0]["message"] == (
        "Field 'dependencies' of type '[ComputeSession]' must have a selection of subfields. Did you mean 'dependencies { ... }'?"
    )
    broken = await api("POST", "/admin/gql", body={"query": "query { compute_session_list( }"})
    assert broken.status == (500 if release in {"24.03", "25.19"} else 200)
    if broken.status == 200:
        assert broken.json["errors"] == [
            {"message": "Syntax Error: Expected Name, found '}'.", "locations": [{"line": 1, "column": 31}]},
        ]
    nothing = await api.gql('query { compute_session(id: "00000000-0000-0000-0000-000000000000") { id } }')
    assert nothing["data"] == {"compute_session": None}


async def test_errors(both):
    cluster, api = await both("23.09")
    unknown = await api.gql(
        "query { compute_session_list(limit: 1, offset: 0) { items { nothing } total_count } }"
    )
    assert unknown["errors"][0]["message"] == "Cannot query field 'nothing' on type 'ComputeSession'."
    missing = await api.gql(
        "query($limit: Int!) { compute_session_list(limit: $limit, offset: 0) { total_count } }"
    )
    assert missing["errors"][0]["message"] == "Variable '$limit' of required type 'Int!' was not provided."
    empty = await api("POST", "/admin/gql", body={"nothing": 1})
    assert empty.json["data"] == {"query": "is required", "nothing": "nothing is not allowed key"}
    denied = await api.gql("query { agent_list(limit: 1, offset: 0) { items { id } total_count } }")
    assert denied["errors"][0]["message"] == "Forbidden operation. (superadmin privilege required)"
    assert await error(api, ak=cluster.admin.access_key) == "Forbidden operation."
    assert await error(api, status="SLEEPING") == "'SLEEPING'"
    assert await error(api, filter="nothing == 1") == (
        "Query filter parsing error: Error trying to process rule \"binary_expr\":\n\n('Unknown/unsupported field name', 'nothing')"
    )
    assert "order" in await error(api, order="+nothing")


async def test_legacy_route(both):
    query = {"query": "query { compute_session_list(limit: 1, offset: 0) { total_count } }", "variables": {}}
    _, old = await both("23.09")
    assert (await old("POST", "/admin/graphql", body=query)).json == {
        "compute_session_list": {"total_count": 0}
    }
    bad = await old("POST", "/admin/graphql", body={"query": "query { nothing }"})
    assert (bad.status, bad.slug, bad.json["data"][0]["locations"]) == (
        400,
        "graphql-error",
        [{"line": 1, "column": 9}],
    )
    _, new = await both("26.9")
    assert (await new("POST", "/admin/graphql", body=query)).json["errors"] is None


async def test_pages_and_order(both):
    _, api = await both(agents=[Agent(cpu=64, mem="512g")])
    for number in range(7):
        await api.create(f"page-{number}", tag=str(number % 2))
    assert await names(api) == [f"page-{n}" for n in range(6, -1, -1)]
    assert await names(api, limit=3, offset=2) == ["page-4", "page-3", "page-2"]
    page = await rows(api, limit=2, offset=6)
    assert (len(page["items"]), page["total_count"]) == (1, 7)
    assert await names(api, order="name", limit=2) == ["page-0", "page-1"]
    assert await names(api, order="-status, +name", limit=1) == ["page-0"]
    await api("DELETE", "/session/page-2")
    await api.until((await rows(api, "id name", filter='name == "page-2"'))["items"][0]["id"], "TERMINATED")
    assert (await names(api))[0] == "page-2"  # the newest change first
    assert await names(api, status="TERMINATED,CANCELLED") == ["page-2"]
    assert len(await names(api, status="RUNNING,PENDING")) == 6
    assert (await names(api, order="terminated_at"))[0] == "page-2"  # nulls last going up
    assert (await names(api, order="-terminated_at"))[-1] == "page-2"


async def test_filters(both):
    _, api = await both(agents=[Agent(cpu=2, mem="64g", accelerators={})])
    await api.create("alpha-1", tag="x")
    await api.create("beta-1", type="batch", startupCommand="sleep 30")
    await api.create("gamma-1", enqueueOnly=True)
    assert set(await names(api, filter='status == "running"')) == {"alpha-1", "beta-1"}
    assert await names(api, filter='type == "BATCH"') == ["beta-1"]
    assert await names(api, filter='name ilike "%ALPHA%"') == ["alpha-1"]
    assert await names(api, filter='name in ["gamma-1", "delta-1"]') == ["gamma-1"]
    assert await names(api, filter="scheduled_at == null") == ["gamma-1"]
    assert set(await names(api, filter='!name == "alpha-1" & status == "PENDING"')) == {
        "alpha-1",
        "beta-1",
        "gamma-1",
    }
    assert await names(api, filter='(!name == "alpha-1") & status == "PENDING"') == ["gamma-1"]
    assert len(await names(api, filter='created_at >= "2020-01-01"')) == 3
    assert await names(
        api, filter='agent_id == "i-local-01" & cluster_mode == "SINGLE_NODE"', order="name"
    ) == ["alpha-1", "beta-1"]


async def test_scopes(start, connect):
    cluster = await start()
    user, admin, other = (
        await connect(cluster),
        await connect(cluster, cluster.admin),
        await connect(cluster, cluster.add_user()),
    )
    made = await user.create("mine-1")
    await other.create("theirs-1")
    assert await names(user) == ["mine-1"]
    assert set(await names(admin)) == {"mine-1", "theirs-1"}
    assert await names(admin, ak=cluster.access_key) == ["mine-1"]
    assert await other.row(made.json["sessionId"]) is None
    assert (await admin.row(made.json["sessionId"]))["status"] == "RUNNING"


async def test_faults_of_the_oldest(both):
    _, api = await both("23.09")
    first = (await api.create("first-1")).json["sessionId"]
    second = (await api.create("second-1", enqueueOnly=True, dependencies=[first])).json["sessionId"]
    assert (await api.row(first, "group_name"))["group_name"] == "d"
    answer = await api.gql(
        "query($id: UUID!) { compute_session(id: $id) { name dependencies { id name } } }", id=second
    )
    assert answer["data"]["compute_session"]["dependencies"] is None
    assert answer["errors"][0]["message"] == f"UUID('{first}')"
    assert answer["errors"][0]["path"] == ["compute_session", "dependencies"]
    listed = await api.gql(
        "query($f: String) { compute_session_list(limit: 1, offset: 0, filter: $f) "
        "{ items { name dependencies { name } } total_count } }",
        f='name == "second-1"',
    )
    assert listed["data"]["compute_session_list"]["items"] == [{"name": "second-1", "dependencies": None}]
    assert listed["errors"][0]["path"] == ["compute_session_list", "items", 0, "dependencies"]
    report = await api.gql(
        "query($s: ID!) { compute_container_list(limit: 1, offset: 0, session_id: $s) { items { id abusing_report } total_count } }",
        s=first,
    )
    assert "abusing_report" in report["errors"][0]["message"]
    assert report["data"]["compute_container_list"]["total_count"] == 1


async def test_fields_by_release(both):
    _, old = await both("23.09")
    assert "errors" in await old.gql(
        "query { compute_session_list(limit: 1, offset: 0) { items { priority } total_count } }"
    )
    _, new = await both("26.8")
    await new.create("new-1", priority=30)
    row = (await rows(new, "priority requested_slots status_history num_queries"))["items"][0]
    assert row["priority"] == 30
    assert "RUNNING" in json.loads(row["status_history"])


async def test_dead_sessions(both):
    for release, slots in (("23.09", {"cpu": "1", "mem": "536870912"}), ("26.9", {})):
        _, api = await both(release)
        session_id = (await api.create("dead-1")).json["sessionId"]
        await api("DELETE", "/session/dead-1")
        await api.until(session_id, "TERMINATED")
        row = await api.row(session_id, "occupying_slots status_info terminated_at service_ports")
        assert json.loads(row["occupying_slots"]) == slots
        assert row["status_info"] == "user-requested"
        assert row["terminated_at"] is not None


async def test_other_nouns(start, connect):
    cluster = await start()
    user, admin = await connect(cluster), await connect(cluster, cluster.admin)
    answer = await user.gql(
        """query { keypair { access_key is_admin is_active user_id resource_policy concurrency_used rate_limit secret_key }
        images { name tag registry architecture aliases installed resource_limits { key min max } labels { key value } }
        image(reference: "python") { name tag }
        groups { id name domain_name } groups_by_name(name: "default") { id } keypair_resource_policy { name max_concurrent_sessions }
        user { email role groups { name } } domain { name } scaling_groups_for_user_group(user_group: "default") { name } }""",
    )
    assert answer["errors"] is None
    data = answer["data"]
    assert (data["keypair"]["access_key"], data["keypair"]["is_admin"], data["keypair"]["secret_key"]) == (
        cluster.access_key,
        False,
        None,
    )
    assert data["image"] == {"name": "stable/python", "tag": "3.11-debian12"}
    assert "python:3.9" in [alias for image in data["images"] for alias in image["aliases"]]
    assert data["groups"][0]["name"] == data["user"]["groups"][0]["name"] == "default"
    denied = await user.gql(
        "query($ak: String) { keypair(access_key: $ak) { user_id } }", ak=cluster.admin.access_key
    )
    assert denied["errors"][0]["message"] == "Forbidden operation."
    seen = await admin.gql(
        "query($ak: String) { keypair(access_key: $ak) { user_id is_admin } }", ak=cluster.access_key
    )
    assert seen["data"]["keypair"] == {"user_id": cluster.user.email, "is_admin": False}
    agents = await admin.gql(
        "query { agent_list(limit: 5, offset: 0) { items { id available_slots occupied_slots } total_count } }"
    )
    assert agents["data"]["agent_list"]["items"][0]["id"] == "i-local-01"
    missing = await user.gql('query { image(reference: "nothing") { name } }')
    assert "No such environment image" in missing["errors"][0]["message"]
