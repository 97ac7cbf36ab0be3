"""GET /session/…: a mixture of JSON and `str()` of Python values, different in each release."""

from __future__ import annotations

import json

KEYS = [
    "domainName", "groupId", "userId", "lang", "image", "architecture", "registry", "tag", "containerId", "occupiedSlots",
    "occupyingSlots", "requestedSlots", "occupiedShares", "environ", "resourceOpts", "status", "statusInfo", "statusData", "age",
    "creationTime", "terminationTime", "numQueriesExecuted", "lastStat", "idleChecks",
]  # fmt: skip


async def test_oldest(both):
    _, api = await both("23.09")
    await api.create("info-1")
    info = (await api("GET", "/session/info-1")).json
    assert list(info) == KEYS
    assert info["occupiedSlots"] == "{'cpu': Decimal('1'), 'mem': Decimal('536870912')}"
    assert (info["occupyingSlots"], info["resourceOpts"], info["environ"]) == (
        "{}",
        "{'main1': {'shmem': 67108864}}",
        "{}",
    )
    assert (info["tag"], info["statusInfo"], info["statusData"]) == (None, "", {})
    assert info["creationTime"][10] == " "
    assert isinstance(info["age"], int)
    assert set(info["idleChecks"]["network_timeout"]) == {"remaining", "remaining_time_type", "extra"}


async def test_newest(both):
    _, api = await both("26.9")
    await api.create("info-1")
    info = (await api("GET", "/session/info-1")).json
    assert list(info) == ["age", *(k for k in KEYS if k != "age")]
    assert info["occupyingSlots"] == "{'cpu': Decimal('1.000000'), 'mem': Decimal('536870912.000000')}"
    assert (info["tag"], info["statusInfo"], info["statusData"]) == ("", "None", None)
    assert info["creationTime"][10] == "T"


async def test_broken(both):
    _, api = await both("25.19")
    await api.create("info-1")
    assert (await api("GET", "/session/info-1")).status == 500
    assert (await api("GET", "/session/nobody")).status == 404


async def test_pending(both):
    from backendai_sdk.local import Agent

    _, api = await both("23.09", agents=[Agent(cpu=1, mem="1g", accelerators={})])
    await api.create("info-1", enqueueOnly=True, config={"resources": {"cpu": 9, "mem": "512m"}})
    info = (await api("GET", "/session/info-1")).json
    assert (info["status"], info["containerId"]) == ("PENDING", "None")
    reused = await api.create("info-1", config={"resources": {"cpu": 9, "mem": "512m"}})
    assert reused.json["service_ports"] is None
    assert json.loads(reused.body)["status"] == "PENDING"
