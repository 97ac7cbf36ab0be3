"""Fixtures with a tiny client of their own, which signs as the protocol text says, and knows nothing else. Shares no code with the server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from yarl import URL

from backendai_sdk.local import LocalCluster

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def sign(
    method: str, path: str, host: str, content_type: str, version: str, date: str, secret: str, *, day: str
) -> str:
    text = f"{method}\n{path}\n{date}\nhost:{host}\ncontent-type:{content_type}\nx-backendai-version:{version}\n{EMPTY}"
    key = hmac.new(secret.encode(), day.encode(), hashlib.sha256).digest()
    key = hmac.new(key, host.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        return self.json["type"].rpartition("/")[2]

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:400]!r}>"


class Client:
    def __init__(self, cluster: Any, keypair: Any = None, *, version: str | None = None) -> None:
        self.endpoint = cluster.endpoint
        self.keypair = keypair or cluster.user
        self.version = version or {"23.09": "v7.20230615", "24.03": "v8.20240315"}.get(
            cluster.release, "v9.20250722"
        )
        self.release = cluster.release
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._session is not None
        await self._session.close()
        await asyncio.sleep(0)

    def headers(self, method: str, path: str, content_type: str, **change: Any) -> dict[str, str]:
        now = change.pop("now", None) or datetime.now(UTC)
        date = change.pop("date", now.isoformat())
        version = change.pop("version", self.version)
        host = urlsplit(self.endpoint).netloc
        signature = sign(
            method,
            path,
            host,
            content_type,
            version or "",
            date,
            change.pop("secret", self.keypair.secret_key),
            day=now.strftime("%Y%m%d"),
        )
        key = change.pop("access_key", self.keypair.access_key)
        method_name = change.pop("sign_method", "HMAC-SHA256")
        headers = {
            "Date": date,
            "X-BackendAI-Version": version,
            "Authorization": f"BackendAI signMethod={method_name}, credential={key}:{signature}",
        }
        headers.update(change)
        return {k: v for k, v in headers.items() if v is not None}

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Any = None,
        body: Any = None,
        data: Any = None,
        content_type: str | None = None,
        **change: Any,
    ) -> Any:
        assert self._session is not None
        if query:
            path += "?" + urlencode(query)
        given = content_type
        if content_type is None:
            content_type = "application/json" if body is not None else "application/octet-stream"
        headers = self.headers(method, path, content_type, **change)
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None or given is not None:
            headers.setdefault("Content-Type", content_type)
        url = URL(self.endpoint + path, encoded=True)
        return self._session.request(
            method,
            url,
            data=data,
            headers=headers,
            skip_auto_headers=["Content-Type"],
            timeout=aiohttp.ClientTimeout(25),
        )

    async def __call__(self, method: str, path: str, **kwargs: Any) -> Answer:
        async with self.open(method, path, **kwargs) as response:
            return Answer(response.status, response.headers, await response.read())

    async def create(self, name: str, **more: Any) -> Answer:
        config = {"resources": {"cpu": "1", "mem": "512m"}, **more.pop("config", {})}
        body = {"name": name, "image": "python:3.11", "config": config, **more}
        return await self("POST", "/session", body=body)

    async def gql(self, query: str, **variables: Any) -> Any:
        answer = await self("POST", "/admin/gql", body={"query": query, "variables": variables})
        assert answer.status == 200, answer
        return answer.json

    async def row(self, session_id: str, fields: str = "status status_info status_data result") -> Any:
        query = "query($id: UUID!) { compute_session(id: $id) { " + fields + " } }"
        return (await self.gql(query, id=session_id))["data"]["compute_session"]

    async def until(self, session_id: str, *statuses: str) -> Any:
        async with asyncio.timeout(20):
            while True:
                row = await self.row(session_id)
                if row["status"] in statuses:
                    return row
                await asyncio.sleep(0.02)

    def run_ids(self, run_id: str | None) -> dict[str, Any]:
        return {"runId": run_id, "run_id": run_id}

    async def execute(
        self, name: str, code: str, run_id: str | None = None, mode: str = "query", options: Any = None
    ) -> Answer:
        body = {"mode": mode, "code": code, "options": options, **self.run_ids(run_id)}
        return await self("POST", f"/session/{name}", body=body)

    async def run(self, name: str, code: str) -> str:
        """Everything the code prints."""
        text, mode, run_id = "", "query", f"run-{id(code)}"
        async with asyncio.timeout(20):
            while True:
                answer = await self.execute(name, code, run_id, mode)
                assert answer.status == 200, answer
                result = answer.json["result"]
                text += "".join(item for kind, item in result["console"] if kind in {"stdout", "stderr"})
                if result["status"] == "finished":
                    return text
                code, mode = "", "continue"


class Events:
    """Reads a stream of events into a list, in the background."""

    def __init__(self, client: Client, **query: Any) -> None:
        self._client = client
        self._query = query
        self.raw = b""
        self.status = 0

    async def __aenter__(self) -> Self:
        self._response = await self._client.open("GET", "/events/session", query=self._query)
        self.status = self._response.status
        self._task = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        async for chunk in self._response.content.iter_any():
            self.raw += chunk

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._response.close()

    @property
    def items(self) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for block in self.raw.split(b"\r\n\r\n"):
            lines = block.decode().split("\r\n")
            if lines[0].startswith("event: "):
                found.append((lines[0][7:], json.loads(lines[1][6:])))
        return found

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.items]

    async def until(self, name: str) -> None:
        async with asyncio.timeout(20):
            while name not in self.names:
                await asyncio.sleep(0.02)


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def start(stack):
    """Start a cluster that stops with the test."""

    async def begin(release: str = "26.8", **options: Any) -> LocalCluster:
        return await stack.enter_async_context(LocalCluster(release, **options))

    return begin


@pytest.fixture
def connect(stack):
    """A signing client of a cluster."""

    async def begin(cluster: LocalCluster, keypair: Any = None, **options: Any) -> Client:
        return await stack.enter_async_context(Client(cluster, keypair, **options))

    return begin


@pytest.fixture
def listen(stack):
    """A stream of events, read in the background."""

    async def begin(client: Client, **query: Any) -> Events:
        return await stack.enter_async_context(Events(client, **query))

    return begin


@pytest.fixture
def both(start, connect):
    """A cluster and a client of its user."""

    async def begin(release: str = "26.8", **options: Any) -> tuple[LocalCluster, Client]:
        cluster = await start(release, **options)
        return cluster, await connect(cluster)

    return begin
