"""`backend.ai ps` and `info` of the official client: what they print of a cluster with thirteen sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)

WAITING = [f"waits-{number:02}" for number in range(10, -1, -1)]  # the newest comes first
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


@pytest.fixture(scope="module")
def listed(roomy: Any) -> Iterator[Session]:
    """One session that has ended, one that takes all cpus, and eleven that wait."""
    with roomy.connect() as api:
        ended = api.create("python", name="ended-1", resources="cpu=1 mem=1g")
        ended.destroy()
        ended.wait("dead", timeout=20)
        slots = "cpu=16 mem=8g cuda.shares=2"
        api.create("python:3.6-ubuntu18.04", name="runs-1", resources=slots, tag="tagged")
        for number in range(11):
            api.create("python", name=f"waits-{number:02}", resources="cpu=1 mem=1g", enqueue_only=True)
        yield api


@pytest.fixture
def ps(listed: Session, roomy: Any, commands_of: Any) -> Any:
    """The official client, which only reads here: the sessions stay from test to test."""
    return commands_of(roomy)


def names(done: Any) -> list[str]:
    return [row["Name"] for row in done.rows]


def test_ps(ps: Any, official: Any) -> None:
    rows = ps.ok("ps").rows
    group = "Project" if official.modern else "Project/Group"
    own = {"Priority"} if official.modern else {"Main Kernel ID"}
    assert set(rows[0]) == own | {
        *("Name", "Session ID", group, "Image", "Type", "Status", "Status Info", "Last Updated", "Result"),
    }
    assert [row["Name"] for row in rows] == [*WAITING, "runs-1"]
    # 26.9 does not say why a session waits.
    assert {row["Status Info"] for row in rows[:-1]} == {
        "(null)" if official.modern else "no-available-instances"
    }
    assert {row["Status"] for row in rows[:-1]} == {"PENDING"}
    last = rows[-1]
    assert UUID.fullmatch(last["Session ID"])
    assert MOMENT.fullmatch(last["Last Updated"])
    assert (last[group], last["Type"], last["Status"]) == ("default", "INTERACTIVE", "RUNNING")
    assert last["Image"] == "cr.backend.ai/stable/python:3.6-ubuntu18.04"
    assert last["Result"] == "UNDEFINED"


def test_ps_name_only(ps: Any) -> None:
    done = ps.ok("ps", "--name-only")
    assert done.out.splitlines()[0] == "Name"
    assert names(done) == [*WAITING, "runs-1"]
    assert set(done.rows[0]) == {"Name"}


def test_ps_detail(ps: Any) -> None:
    (row,) = ps.ok("ps", "--detail", "--running").rows
    assert (row["Name"], row["Tag"]) == ("runs-1", "tagged")
    assert row["Occupying Slots"] == "cpu:16, mem:8.0G, cuda.shares:2"
    assert MOMENT.fullmatch(row["Created At"])


def test_ps_format(ps: Any) -> None:
    (row,) = ps.ok("ps", "-f", "status,name,tag,access_key,scaling_group", "--running").rows
    assert list(row.items()) == [
        ("Status", "RUNNING"),
        ("Name", "runs-1"),
        ("Tag", "tagged"),
        ("Owner Access Key", ps.environment["BACKEND_ACCESS_KEY"]),
        ("Scaling Group", "default"),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--running"], ["runs-1"]),
        (["--dead"], ["ended-1"]),
        (["--all"], [*WAITING, "runs-1", "ended-1"]),
        (["-s", "PENDING"], WAITING),
        (["--filter", 'name like "%-1"', "--order=+name", "-a"], ["ended-1", "runs-1"]),
    ],
    ids=["running", "dead", "all", "status", "filter and order"],
)
def test_ps_of_some(ps: Any, options: list[str], expected: list[str]) -> None:
    assert names(ps.ok("ps", "--name-only", *options)) == expected


def test_ps_pages(ps: Any, official: Any) -> None:
    """The older client reads on to the end, three at a time; the newer one stops."""
    found = names(ps.ok("ps", "--name-only", "--limit", "3", "--offset", "1"))
    assert found == (WAITING[1:4] if official.modern else [*WAITING[1:], "runs-1"])


def test_ps_plain(ps: Any) -> None:
    done = ps.ok("ps", "--plain", "--running", "-f", "name,status")
    assert done.out.split() == ["runs-1", "RUNNING"]


def test_ps_as_json(ps: Any) -> None:
    found = ps.json("ps", "--running", "-f", "name,status,occupying_slots,session_id")
    (item,) = found["items"]
    assert (found["count"], found["total_count"]) == (1, 1)
    assert UUID.fullmatch(item.pop("session_id"))
    slots = {"cpu": "16", "mem": str(8 << 30), "cuda.shares": "2"}
    assert item == {"name": "runs-1", "status": "RUNNING", "occupying_slots": slots}


def test_ps_of_somebody_else(ps: Any) -> None:
    done = ps("ps", "--access-key", "AKIAIOSFODNN7EXAMPLE")
    assert (done.code, done.out) == (1, "")
    assert done.said == [
        "✘ BackendAPIError: 400 Bad request",
        "  GraphQL-generated error",
        "  ➜ Message:",
        "  Forbidden operation. (path: compute_session_list)",
    ]


def test_info(ps: Any, listed: Session) -> None:
    session_id = str(listed.get("runs-1").id)
    facts = {row["Field"]: row["Value"] for row in ps.ok("info", session_id).rows if row["Field"]}
    assert facts["Name"] == "runs-1"
    assert facts["Session ID"] == session_id
    assert facts["Status"] == "RUNNING"
    assert facts["Tag"] == "tagged"
    assert facts["Occupying Slots"] == "cpu:16, mem:8.0G, cuda.shares:2"
    (item,) = ps.json("session", "info", session_id)["items"]
    (container,) = item["containers"]
    assert container["agent"] == "i-local-01"
    assert container["cluster_role"] == "main"
    assert item["status"] == container["status"] == "RUNNING"


def test_info_of_a_name(ps: Any) -> None:
    """Not the server's doing: this command wants an id."""
    done = ps("info", "runs-1")
    assert done.code == 1
    assert done.said == ["✗ In API v5 or later, the session ID must be given in the UUID format."]
