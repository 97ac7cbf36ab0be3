"""What is measured, behind the interface of ``bare.Client``. What a client cannot do is missing here."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any

from signer import ACCESS, SECRET


class Sdk:
    """This SDK."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        from backendai_sdk import AsyncSession

        self.api = AsyncSession(endpoint, access_key=ACCESS, secret_key=SECRET, domain="default")
        self.id = session_id

    async def open(self) -> None:
        self.session = await self.api.get(self.id)

    async def close(self) -> None:
        await self.api.close()

    async def run(self, answers: int) -> int:
        return len((await self.session.execute(str(answers))).outputs)

    async def run_websocket(self, answers: int) -> int:
        return len((await self.session.execute(str(answers), transport="websocket")).outputs)

    async def stream(self, answers: int) -> int:
        count = -1  # the end is an item, too
        async with self.session.stream_execute(str(answers)) as run:
            async for _item in run:
                count += 1
        return count

    async def stream_websocket(self, answers: int) -> int:
        count = -1
        async with self.session.stream_execute(str(answers), transport="websocket") as run:
            async for _item in run:
                count += 1
        return count

    async def events(self, _events: int) -> int:
        count = 0
        async with self.session.stream_events() as events:
            async for _event in events:
                count += 1
        return count

    async def request(self, times: int) -> int:
        for _ in range(times):
            await self.session.interrupt()
        return times

    async def page(self, rows: int) -> int:
        found = [row async for row in self.api.list(page_size=rows)]
        assert len(found) == rows
        return 1


class Official:
    """The functional interface of the official client, releases 23.09 to 26.09."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        os.environ["BACKEND_ENDPOINT_TYPE"] = "api"
        # By name, because it is installed in environments of its own only.
        config, session = (import_module(f"ai.backend.client.{name}") for name in ("config", "session"))
        settings = config.APIConfig(
            endpoint=endpoint, endpoint_type="api", access_key=ACCESS, secret_key=SECRET
        )
        self.api: Any = session.AsyncSession(config=settings)
        self.id = session_id

    async def open(self) -> None:
        await self.api.__aenter__()
        self.session = self.api.ComputeSession.from_session_id(self.id)

    async def close(self) -> None:
        await self.api.__aexit__(None, None, None)

    async def run(self, answers: int) -> int:
        answer, count = await self.session.execute(None, str(answers), mode="query"), 1
        while answer["status"] != "finished":
            answer = await self.session.execute(answer["runId"], "", mode="continue")
            count += 1
        return count

    stream = run

    async def run_websocket(self, answers: int) -> int:
        count = 0
        async with self.session.stream_execute(str(answers), mode="query") as socket:
            async for message in socket:
                count += 1
                if json.loads(message.data)["status"] == "finished":
                    break
        return count

    stream_websocket = run_websocket

    async def events(self, _events: int) -> int:
        count = 0
        async with self.session.listen_events() as events:
            async for event in events:
                json.loads(event.data)
                count += 1
                if event.event == "session_terminated":
                    break
        return count

    async def request(self, times: int) -> int:
        for _ in range(times):
            await self.session.interrupt()
        return times

    async def page(self, rows: int) -> int:
        found = await self.api.ComputeSession.paginated_list("RUNNING", page_size=rows)
        assert len(found.items) == rows
        return 1
