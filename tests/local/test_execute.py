"""Running code over HTTP: the manager's part. What the interpreter does is tested with the kernel."""

from __future__ import annotations

import asyncio

import pytest

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]


@pytest.mark.parametrize("release", RELEASES)
async def test_query(both, release):
    _, api = await both(release)
    await api.create("code-1")
    answer = await api.execute("code-1", "print('hello')", "run-1")
    assert answer.json == {
        "result": {
            "status": "finished", "runId": "run-1", "exitCode": 0, "options": None, "files": [], "console": [["stdout", "hello\n"]],
        },
    }  # fmt: skip
    failed = (await api.execute("code-1", "1/0")).json["result"]
    assert failed["exitCode"] == (1 if release in {"26.8", "26.9"} else 0)
    assert len(failed["runId"]) == 32


@pytest.mark.parametrize("release", RELEASES)
async def test_parameters(both, release):
    _, api = await both(release)
    await api.create("code-1")
    strict = release in {"23.09", "24.03"}
    status, slug = (400, "invalid-api-params") if strict else (500, "invalid-session-data")

    async def refused(**body):
        answer = await api("POST", "/session/code-1", body=body)
        assert (answer.status, answer.slug) == (status, slug), body
        return answer.json["msg"]

    assert await refused(code="1", runId="r") == "mode is missing!"
    assert (await refused(mode="weird", code="1", runId="r")).startswith("mode has an invalid value")
    assert (
        await refused(mode="continue", code="", runId=None, run_id=None)
        == "continuation requires explicit run ID"
    )
    if strict:
        assert await refused(mode="query", code="1") == "runId is missing!"
    else:
        assert await refused(mode="input", code="1", runId="r") == "continuation requires explicit run ID"
        answer = await api("POST", "/session/code-1", body={"mode": "query", "code": "1", "runId": "mine"})
        assert answer.json["result"]["runId"] != "mine"
    assert (await api("POST", "/session/nobody", body={"mode": "query"})).status == 404
    assert (await api("POST", "/session/code-1", body=b"{")).status == 400


async def test_input(both):
    _, api = await both()
    await api.create("code-1")
    first = (await api.execute("code-1", "x = input('who? ')\nprint('hi', x)", "run-1")).json["result"]
    assert (first["status"], first["options"], first["console"]) == (
        "waiting-input",
        {"is_password": False},
        [["stdout", "who? "]],
    )
    last = (await api.execute("code-1", "me", "run-1", mode="input")).json["result"]
    assert (last["status"], last["console"]) == ("finished", [["stdout", "hi me\n"]])


async def test_interrupt(both):
    _, api = await both()
    await api.create("code-1")
    running = asyncio.create_task(
        api.execute("code-1", "import time; print('on', flush=True); time.sleep(30)", "run-1")
    )
    await asyncio.sleep(0.5)
    assert (await api("POST", "/session/code-1/interrupt")).status == 204
    result = (await running).json["result"]
    text = str(result["console"])
    while result["status"] != "finished":
        result = (await api.execute("code-1", "", "run-1", mode="continue")).json["result"]
        text += str(result["console"])
    assert "KeyboardInterrupt" in text


async def test_batch_mode(both):
    _, api = await both("23.09")
    await api.create("code-1")
    options = {"clean": "", "build": "", "exec": "echo out; exit 3"}
    seen, mode = [], "batch"
    while not seen or seen[-1]["status"] != "finished":
        answer = await api.execute(
            "code-1", "", "run-1", mode=mode, options=options if mode == "batch" else None
        )
        seen.append(answer.json["result"])
        mode = "continue"
    assert [r["status"] for r in seen if r["status"] != "continued"] == [
        "clean-finished",
        "build-finished",
        "finished",
    ]
    assert (seen[-1]["exitCode"], seen[-1]["console"]) == (3, [["stdout", "out\n"]])


async def test_complete(both):
    for release, key in (("23.09", "completions"), ("26.9", "suggestions")):
        _, api = await both(release)
        await api.create("code-1")
        body = {"code": "pri", "options": {"row": 0, "col": 3, "line": "pri", "post": ""}}
        result = (await api("POST", "/session/code-1/complete", body=body)).json["result"]
        assert result["status"] == "finished"
        assert any("print" in item for item in result[key])
        legacy = await api("POST", "/session/code-1", body={"mode": "complete", "runId": None, **body})
        assert legacy.json["result"] == result
        assert (await api("POST", "/session/code-1/complete")).status == 400


async def test_destroyed_while_running(both):
    _, api = await both()
    made = await api.create("code-1")
    running = asyncio.create_task(api.execute("code-1", "import time; time.sleep(30)", "run-1"))
    await asyncio.sleep(0.3)
    await api("DELETE", "/session/code-1", query={"forced": "true"})
    answer = await running
    assert answer.status in {200, 500}  # 130 when the agent gave nothing, else its failure
    await api.until(made.json["sessionId"], "TERMINATED")


async def test_queries_are_counted(both):
    cluster, api = await both("23.09")
    await api.create("code-1")
    await api.execute("code-1", "1", "run-1")
    assert (
        (await api("GET", "/session/code-1")).json["numQueriesExecuted"]
        == cluster.sessions()[0].num_queries
        == 1
    )
