"""The exit code of a batch session's command: it comes in an event or not at all, before or after the state."""

from __future__ import annotations

import asyncio
import json

import pytest
from wire_manager import Reply, listing

from backendai_sdk._async import _waiting as module
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk.models.session import SessionInfo

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
OLD = {"version": "v7.20230615", "manager": "23.09.10"}
NEW = {"version": "v9.20250722", "manager": "26.8.1"}


class Script:
    """A batch session whose end is told by the state and by an event, in the order that a test wants."""

    def __init__(self, *, exit_code, result="FAILURE", event_first):
        self.exit_code, self.result = exit_code, result
        self.read = asyncio.Event()
        self.told = asyncio.Event()
        self.event_first = event_first

    def __call__(self, seen):
        if seen.route == "GET /events/session":
            return self.events()
        if seen.route == "POST /admin/gql":
            over = self.told.is_set() or not self.event_first
            self.read.set()
            result = self.result if over else "UNDEFINED"
            row = {"id": UUID, "name": "work", "status": "RUNNING", "status_info": None, "type": "BATCH"}
            return listing(row | {"result": result})
        return Reply(204)

    async def events(self):
        yield HEAD
        await self.read.wait()
        data = {"sessionId": UUID, "sessionName": "work", "reason": "", "exitCode": self.exit_code}
        name = "session_success" if self.result == "SUCCESS" else "session_failure"
        self.told.set()
        yield f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()
        await asyncio.Event().wait()


async def exit_code(serve, client, script, version):
    server = await serve(script, version=version)
    api = await client(server)
    cs = AsyncComputeSession(api._client, SessionInfo(id=UUID, name="work", status="RUNNING"))
    assert cs.exit_code is None
    info = await cs.wait("result", timeout=10)
    assert info.result == script.result
    return cs.exit_code


@pytest.mark.parametrize("event_first", [True, False])
async def test_a_server_that_tells_it(serve, client, monkeypatch, event_first):
    monkeypatch.setattr(module, "_EVENT_DELAY", 10.0)
    script = Script(exit_code=3, event_first=event_first)
    assert await exit_code(serve, client, script, OLD) == 3


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_a_success_is_0(serve, client, version):
    script = Script(exit_code=None, result="SUCCESS", event_first=False)
    assert await exit_code(serve, client, script, version) == 0


async def test_a_server_that_does_not_tell(serve, client, monkeypatch):
    monkeypatch.setattr(module, "_EVENT_DELAY", 1000.0)  # not waited for
    assert await exit_code(serve, client, Script(exit_code=None, event_first=True), NEW) is None


async def test_an_event_that_does_not_come(serve, client, monkeypatch):
    monkeypatch.setattr(module, "_EVENT_DELAY", 0.1)
    assert await exit_code(serve, client, Script(exit_code=None, event_first=False), OLD) is None
