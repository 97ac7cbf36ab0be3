"""What anybody would write by hand: the same signed requests over aiohttp, answers as plain dictionaries.

Nothing is checked, bounded or repeated here.  It also runs in the official client's environments, so it imports
nothing of ours and nothing newer than aiohttp 3.8.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import aiohttp
from signer import Signer
from yarl import URL

_QUERY = (
    "query($limit: Int!, $offset: Int!) { compute_session_list(limit: $limit, offset: $offset) { items { "
    "name access_key id group_name type image registry status status_info status_changed result } total_count } }"
)


class Client(Signer):
    """Bare aiohttp."""

    async def open(self) -> None:
        self.http = aiohttp.ClientSession()

    async def close(self) -> None:
        await self.http.close()

    async def post(self, target: str, body: object) -> Any:
        headers = self.signed("POST", target, "application/json")
        async with self.http.post(self.endpoint + target, json=body, headers=headers) as response:
            response.raise_for_status()
            return await response.json()

    async def run(self, answers: int) -> int:
        run_id, mode, code, count, output = secrets.token_hex(16), "query", str(answers), 0, ""
        while True:
            body = {"mode": mode, "code": code, "runId": run_id, "run_id": run_id, "options": {}}
            answer = (await self.post(self.path, body))["result"]
            output += "".join(text for _, text in answer["console"])
            count += 1
            if answer["status"] == "finished":
                return count
            mode, code = "continue", ""

    stream = run

    async def run_websocket(self, answers: int) -> int:
        target = f"/stream{self.path}/execute"
        headers = self.signed("GET", target, "application/octet-stream")
        count, output = 0, ""
        async with self.http.ws_connect(self.endpoint + target, headers=headers) as socket:
            await socket.send_json({"mode": "query", "code": str(answers), "options": {}})
            async for message in socket:
                answer = json.loads(message.data)
                output += "".join(text for _, text in answer["console"])
                count += 1
                if answer["status"] == "finished":
                    break
        return count

    stream_websocket = run_websocket

    async def events(self, _events: int) -> int:
        """Split and decoded, by code that knows how this server writes them."""
        target = f"/events/session?sessionId={self.id}&scope=%2A"
        headers = self.signed("GET", target, "application/octet-stream")
        count, buffer = 0, b""
        url = URL(self.endpoint + target, encoded=True)
        async with self.http.get(url, headers=headers) as response:
            async for piece in response.content.iter_any():
                *blocks, buffer = (buffer + piece).split(b"\r\n\r\n")
                for block in blocks:
                    name, _, data = block.partition(b"\r\ndata: ")
                    json.loads(data)
                    count += 1
                    if name == b"event: session_terminated":
                        return count
        return count

    async def request(self, times: int) -> int:
        target = self.path + "/interrupt"
        for _ in range(times):
            headers = self.signed("POST", target, "application/octet-stream")
            async with self.http.post(self.endpoint + target, headers=headers) as response:
                await response.read()
        return times

    async def page(self, rows: int) -> int:
        body = {"query": _QUERY, "variables": {"limit": rows, "offset": 0}}
        answer = await self.post("/admin/gql", body)
        assert len(answer["data"]["compute_session_list"]["items"]) == rows
        return 1
