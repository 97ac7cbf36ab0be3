"""Pages about the server itself, whose shapes were captured on real ones."""

from __future__ import annotations

from backendai_sdk.local import Agent


async def test_shapes(both, connect):
    cluster, api = await both("23.09", agents=[Agent(cpu=2, mem="8g", accelerators={})])
    assert (await api("GET", "/")).json == {"version": "v7.20230615", "manager": "23.09.10"}
    assert (await api("GET", "/auth/role")).json == {
        "global_role": "user",
        "domain_role": "user",
        "group_role": None,
    }
    assert (await api("GET", "/manager/announcement")).json == {"enabled": False, "message": ""}
    assert (await api("GET", "/config/resource-slots")).json == {"cpu": "count", "mem": "bytes"}
    assert (await api("GET", "/config/vfolder-types")).json == ["group", "user"]
    assert (await api("GET", "/scaling-groups", query={"group": "default"})).json == {
        "scaling_groups": [{"name": "default"}]
    }
    assert (await api("GET", "/scaling-groups")).status == 400
    assert (await api("GET", "/scaling-groups/default/wsproxy-version")).status == 200
    assert (await api("GET", "/scaling-groups/other/wsproxy-version")).status == 404
    status = (await api("GET", "/manager/status")).json
    assert set(status) == {"nodes", "status", "active_sessions"}
    assert status["nodes"][0]["api_version"] == [7, "20230615"]
    presets = (await api("GET", "/resource/presets")).json["presets"]
    assert presets[0] == {
        "name": "small",
        "shared_memory": None,
        "resource_slots": {"cpu": "1", "mem": "536870912"},
    }
    checked = (
        await api("POST", "/resource/check-presets", body={"group": "default", "scaling_group": "default"})
    ).json
    assert checked["scaling_group_remaining"] == {"cpu": "2", "mem": str(8 * 2**30)}
    assert [(p["name"], p["allocatable"]) for p in checked["presets"]] == [
        ("small", True),
        ("medium", True),
        ("large", False),
    ]
    assert (await api("POST", "/resource/check-presets", body={"group": "nobody"})).status == 500
    assert set((await api("GET", "/config/resource-slots/details")).json) == {"cpu", "mem"}
    admin = await connect(cluster, cluster.admin)
    assert (
        await admin("POST", "/manager/announcement", body={"enabled": True, "message": "hi"})
    ).status == 204
    assert (await api("GET", "/manager/announcement")).json == {"enabled": True, "message": "hi"}


async def test_using_is_counted(both):
    _, api = await both()
    await api.create("uses-1", config={"resources": {"cpu": 2, "mem": "1g", "cuda.shares": "1.5"}})
    checked = (await api("POST", "/resource/check-presets", body={"group": "default"})).json
    assert checked["keypair_using"] == {
        "cpu": "2",
        "mem": str(2**30),
        "cuda.shares": "1.5",
        "cuda.device": "0",
    }
    assert checked["scaling_group_remaining"]["cuda.shares"] == "2.5"
