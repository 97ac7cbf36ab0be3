"""Small parts on their own: sizes, images, budgets; and what happens when a session cannot start."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from backendai_sdk.local import LocalCluster, slots
from backendai_sdk.local.images import Catalogue, Image
from backendai_sdk.local.limiter import RateLimiter
from backendai_sdk.local.params import Invalid, anything, boolean, integer, list_of, mapping, string


@pytest.mark.parametrize(
    ("text", "size"),
    [("256", 256), (256, 256), ("1g", 2**30), ("1.5GiB", 3 * 2**29), ("512m", 2**29), ("2 GiB", 2**31), ("10 bytes", 10),
     ("1_000", 1000), ("4K", 4096), (1.5, Decimal("1.5")), ("inf", Decimal("Infinity"))],
)  # fmt: skip
def test_sizes(text, size):
    assert slots.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "g", "1.5", "1x", "-1", None, True, [], "1 g b"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="not a"):
        slots.parse_size(text)


@pytest.mark.parametrize("value", ["two", True, "NaN", None])
def test_no_counts(value):
    with pytest.raises(ValueError, match="not a number"):
        slots.parse_amount("cpu", value)


def test_slot_texts():
    some = {"cpu": Decimal("1.50"), "mem": Decimal(1280 * 2**20)}
    assert slots.as_text(some) == {"cpu": "1.5", "mem": "1342177280"}
    assert slots.humanize(some) == "cpu=1.5 mem=1.25g"
    assert slots.number(Decimal("1E+3")) == "1000"
    assert slots.number(Decimal("Infinity")) == "Infinity"
    assert slots.add([some, {"cpu": Decimal(1)}])["cpu"] == Decimal("2.5")
    assert not slots.fits({"gpu": Decimal(1)}, some)


def test_image_names():
    assert Catalogue().find("cr.backend.ai/stable/python") is None
    found = Catalogue().find("python")
    assert found is not None
    assert found.canonical == "cr.backend.ai/stable/python:3.11-debian12"
    own = Image(name="lablup/mine", tag="latest", registry="index.docker.io")
    assert Catalogue([own]).find("mine") is own


def test_budget_follows_the_limit():
    limiter = RateLimiter(2)
    assert [limiter.hit("k", 2).exceeded for _ in range(3)] == [False, False, True]
    assert not limiter.hit("k", 10).exceeded
    assert limiter.hit("other", 2).used == 1


def test_converters():
    assert [boolean(v) for v in (True, "yes", "0", "OFF", 1)] == [True, True, False, False, True]
    for convert, value in (
        (boolean, "maybe"), (integer(least=1), 0), (integer(most=1), 2), (integer(), "x"), (string(), 5), (list_of(anything), "x"),
        (mapping(), []),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            convert(value)


@pytest.mark.parametrize("release", ["23.09", "26.8"])
async def test_a_session_that_cannot_start(both, monkeypatch, release, caplog):
    real, failures = LocalCluster._make_kernel, iter([OSError("no such interpreter")])

    def broken(self, session):
        for failure in failures:
            raise failure
        return real(self, session)

    monkeypatch.setattr(LocalCluster, "_make_kernel", broken)
    cluster, api = await both(release)
    made = await api.create("broken-1")
    assert made.status == (201 if release == "23.09" else 404)
    row = await api.row(cluster.sessions()[0].id)
    assert (row["status"], row["status_info"]) == ("CANCELLED", "failed-to-start")
    assert json.loads(row["status_data"])["error"]["name"] == "OSError"
    assert "could not be started" in caplog.text
    assert (await api.create("broken-1")).json["created"] is True  # the name is free again


async def test_restart_of_a_batch(both):
    _, api = await both("23.09")
    made = await api.create("batch-1", type="batch", startupCommand="echo again; sleep 1")
    assert (await api("PATCH", "/session/batch-1")).status == 204
    row = await api.until(made.json["sessionId"], "TERMINATED")
    assert row["result"] == "SUCCESS"


async def test_containers_and_group(both):
    cluster, api = await both()
    await api.create("pair-1", clusterSize=2)
    query = "query { compute_session_list(limit: 1, offset: 0) { items { session_id group_id containers { id } } total_count } }"
    row = (await api.gql(query))["data"]["compute_session_list"]["items"][0]
    subs = await api.gql(
        'query($s: ID!) { compute_container_list(limit: 5, offset: 0, session_id: $s, role: "sub", order: "-cluster_idx")'
        " { items { cluster_hostname occupied_slots } total_count } }",
        s=row["session_id"],
    )  # fmt: skip
    assert subs["data"]["compute_container_list"]["total_count"] == 1
    one = await api.gql("query($c: ID!, $g: UUID!) { compute_container(container_id: $c) { role } group(id: $g) { name } }",
                        c=row["containers"][0]["id"], g=row["group_id"])  # fmt: skip
    assert one["data"] == {"compute_container": {"role": "main"}, "group": {"name": "default"}}
    assert cluster.sessions()[0].cluster_size == 2
