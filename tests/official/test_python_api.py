"""The official client's own Python functions, each script in a process of the client's environment."""

from __future__ import annotations

from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)

HEAD = """
import asyncio, json
from ai.backend.client.session import AsyncSession, Session
out = {}
"""
TAIL = "\nprint(json.dumps(out, default=str))"


def test_blocking(backendai: Any, official: Any, api: Session) -> None:
    out = backendai.script(
        HEAD
        + """
with Session() as session:
    functions = session.ComputeSession
    out["hello"] = functions.hello()
    made = functions.get_or_create("python", name="made-1", resources={"cpu": 1, "mem": "256m"}, tag="mine")
    out["created"] = [made.created, made.status, made.name, made.id]
    out["again"] = functions.get_or_create("python", name="made-1").created
    page = functions.paginated_list(status="RUNNING", page_size=5)
    out["list"] = [page.total_count, [[item["id"], item["status"]] for item in page.items]]
    out["first"] = made.execute("run-1", "x = 20\\nprint('a', end='')", mode="query")
    out["second"] = made.execute("run-2", "x + 1", mode="query")
    out["completions"] = made.complete("pri", {"row": 0, "col": 3, "line": "pri", "post": ""})["result"]
    asked = made.execute("run-3", "print(input('? '))", mode="query")
    while asked["status"] == "continued":
        asked = made.execute("run-3", "", mode="continue")
    out["asked"] = asked
    out["info"] = made.get_info()
    out["logs"] = made.get_logs()["result"]["logs"]
    out["files"] = json.loads(made.list_files()["files"])
    out["destroyed"] = made.destroy()
    out["left"] = functions.paginated_list(status="RUNNING").total_count
"""
        + TAIL
    )
    found = next(iter(api.list(status="dead", fields=["id", "name", "tag", "status"])))
    assert (found.name, found.tag, found.status) == ("made-1", "mine", "TERMINATED")
    assert out["created"] == [True, "RUNNING", "made-1", str(found.id)]
    assert out["again"] is False
    assert out["list"] == [1, [[str(found.id), "RUNNING"]]]
    assert out["first"]["status"] == "finished"
    assert out["first"]["exitCode"] == 0
    assert out["first"]["console"] == [["stdout", "a"]]
    assert out["second"]["console"][0][1].strip() == "21"
    assert out["asked"]["status"] == "waiting-input"
    assert out["asked"]["console"] == [["stdout", "? "]]
    assert out["info"]["status"] == "RUNNING"
    assert out["logs"].startswith("a")
    assert out["files"] == []
    assert out["completions"]["suggestions" if official.modern else "completions"] == ["print"]
    assert out["destroyed"]["stats"]["status"] == "terminated"
    assert out["left"] == 0
    assert "version" in str(out["hello"])


def test_async_with_a_stream(backendai: Any) -> None:
    """Code over the WebSocket, with input and a program that says something for seconds."""
    out = backendai.script(
        HEAD
        + '''
CODE = """
import time
print("before")
time.sleep(2.5)
name = input("who? ")
print("hi", name)
"""

async def main():
    async with AsyncSession() as session:
        made = await session.ComputeSession.get_or_create("python", name="made-2")
        records = []
        async with made.stream_execute(CODE, mode="query") as stream:
            async for message in stream:
                record = json.loads(message.data)
                records.append(record)
                if record["status"] == "waiting-input":
                    await stream.send_str("Bob")
                if record["status"] == "finished":
                    break
        out["statuses"] = [record["status"] for record in records]
        out["text"] = "".join(text for record in records for _, text in record["console"] or [])
        out["exit code"] = records[-1]["exitCode"]
        out["destroyed"] = await made.destroy()

asyncio.run(main())
'''
        + TAIL
    )
    assert out["text"] == "before\nwho? hi Bob\n"
    assert set(out["statuses"][:-1]) == {"continued", "waiting-input"}
    assert out["statuses"][-1] == "finished"
    assert out["statuses"].count("waiting-input") == 1
    assert out["exit code"] == 0


def test_async_errors(backendai: Any, official: Any) -> None:
    out = backendai.script(
        HEAD
        + """
from ai.backend.client.exceptions import BackendAPIError

async def main():
    async with AsyncSession() as session:
        for name in ("destroy", "get_info", "get_logs"):
            try:
                await getattr(session.ComputeSession("nosuch-1"), name)()
            except BackendAPIError as error:
                out[name] = [error.status, error.data["type"].rpartition("/")[2]]

asyncio.run(main())
"""
        + TAIL
    )
    slug = "entity-not-found" if official.modern else "object-not-found"
    assert out == {name: [404, slug] for name in ("destroy", "get_info", "get_logs")}


def test_several_at_once_in_one_loop(backendai: Any, api: Session) -> None:
    out = backendai.script(
        HEAD
        + """
async def main():
    async with AsyncSession() as session:
        async def one(number):
            made = await session.ComputeSession.get_or_create("python", name=f"many-{number}")
            try:
                return (await made.execute(f"r{number}", f"print({number} ** 2)", mode="query"))["console"]
            finally:
                await made.destroy()
        out["squares"] = await asyncio.gather(*(one(number) for number in range(8)))

asyncio.run(main())
"""
        + TAIL
    )
    assert out["squares"] == [[["stdout", f"{number**2}\n"]] for number in range(8)]
    assert list(api.list()) == []
