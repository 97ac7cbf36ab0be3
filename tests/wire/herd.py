"""Many sessions on a scripted manager: event streams that say what a test puts into them, and list queries.

Nothing here is shared with the SDK.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from wire_manager import Reply, Seen

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def uuid(n: int) -> str:
    """The id of the n-th session."""
    return f"0b6d0ec5-7c5e-4a0d-8a3b-{n:012d}"


def event(name: str, session_id: str, **more: object) -> bytes:
    """An event as managers send it."""
    data = {"reason": "", "sessionName": "work", "sessionId": session_id, "exitCode": None, **more}
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()


class Herd:
    """A script.

    Attributes:
        status: the status of each session, by id.
        lists: the ids that each list query asked for; ``["*"]`` for all that live.
        broken: what is answered instead, one for each of the next list queries.
    """

    def __init__(self, count: int) -> None:
        self.status: dict[str, str] = {}
        self.history: dict[str, dict[str, datetime]] = {}
        self.result: dict[str, str] = {}
        self.lists: list[list[str]] = []
        self.broken: list[object] = []
        self.streams = 0
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.begin = datetime.now(UTC)
        self._moves = 0
        for n in range(count):
            self.move(uuid(n), "PENDING")

    def move(self, session_id: str, *statuses: str) -> None:
        """Bring a session into a status, through others; no event tells of it."""
        for status in statuses:
            self._moves += 1
            self.status[session_id] = status
            self.history.setdefault(session_id, {})[status] = self.begin + timedelta(milliseconds=self._moves)

    def say(self, name: str, session_id: str, **more: object) -> None:
        """Send an event over the stream that is open, or that is opened next."""
        self.events.put_nowait(event(name, session_id, **more))

    def cut(self) -> None:
        """End the stream."""
        self.events.put_nowait(None)

    def __call__(self, seen: Seen) -> Any:
        if seen.route == "GET /events/session":
            self.streams += 1
            return self.stream()
        if seen.route != "POST /admin/gql":
            return Reply(204)
        asked = seen.json["variables"]
        ids = self._ids(asked["filter"] or "")
        self.lists.append(ids or (["dead"] if asked["status"] and "TERMINATED" in asked["status"] else ["*"]))
        if self.broken:
            return self.broken.pop(0)
        wanted = set((asked["status"] or "").split(","))
        found = [i for i in ids or self.status if i in self.status and (ids or self.status[i] in wanted)]
        # Those that were created or have ended last come first.
        found.sort(key=lambda i: max(self.history[i].values()), reverse=True)
        rows = [self._row(i) for i in found]
        data = {"items": rows[asked["offset"] :][: asked["limit"]], "total_count": len(rows)}
        return Reply(200, {"data": {"compute_session_list": data}})

    async def stream(self) -> AsyncIterator[bytes]:
        yield HEAD
        while (piece := await self.events.get()) is not None:
            yield piece

    def _ids(self, condition: str) -> list[str]:
        field, _, wanted = condition.partition(" in ")
        if wanted:
            return json.loads(wanted)
        field, _, wanted = condition.partition(" == ")
        if field == "name":
            return list(self.status)[:1]
        return [json.loads(wanted)] if wanted else []

    def _row(self, session_id: str) -> dict[str, object]:
        times = {status: when.isoformat() for status, when in self.history[session_id].items()}
        return {
            "id": session_id,
            "name": "work",
            "type": "INTERACTIVE",
            "status": self.status[session_id],
            "status_info": f"why-{self.status[session_id].lower()}",
            "result": self.result.get(session_id, "UNDEFINED"),
            "status_history": json.dumps(times),
            "created_at": times.get("PENDING"),
            "terminated_at": times.get("TERMINATED") or times.get("CANCELLED"),
        }
