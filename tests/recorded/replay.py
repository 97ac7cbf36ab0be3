"""Asks a local cluster what a real server was asked, and keeps what it answers.

The requests are made from the captures, bytes and all: only what cannot be the same (ids, key pairs, dates) is put
in anew, by a client that shares no code with the SDK. How a request differs from an ordinary one, say by its date or
by a wrong signature, is read off the capture too.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import attrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from backendai_sdk.local import Keypair, LocalCluster

from .capture import Answer, Capture, Sent
from .keys import SECRETS
from .signer import NOT_RECORDED, headers_for
from .streams import Stream, converse

_LIMIT = 15.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What is put in anew, or made by the HTTP client.
_OWN_HEADERS = frozenset(
    ("host", "user-agent", "date", "authorization", "content-length", "connection", "upgrade", "cookie")
)
# aiohttp tells no body of a handshake that was refused: it is asked for in the ordinary way.
_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


@attrs.frozen(kw_only=True)
class Change:
    """What is asked differently here; the reason stands where it is made."""

    body: Callable[[LocalCluster], bytes] | None = None
    replace: Mapping[str, str] = attrs.field(factory=dict)


class Stage:
    """A local cluster, and the story so far."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.keys: dict[str, Keypair] = {
            "user": cluster.user,
            "tight": cluster.user,
            "dummy": cluster.user,
            "admin": cluster.admin,
            "other": cluster.add_user("other@local.test"),
        }
        self.substitute = {key: self.keys[role].access_key for key, (role, _) in SECRETS.items()}
        self._host = urlsplit(cluster.endpoint).netloc
        self.substitute |= {"127.0.0.1:28081": self._host, "127.0.0.1:38081": self._host}
        self._version = {"23.09": "v7.20230615"}.get(cluster.release, "v9.20250722")
        self._streams: list[tuple[Capture, Stream]] = []

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for _, stream in self._streams:
            await stream.close()
        await self._session.close()
        await asyncio.sleep(0)

    # --- asking -------------------------------------------------------------------------------------------

    async def play(self, capture: Capture, change: Change | None = None) -> Answer:
        """Ask what `capture` asked. Learns which id here stands for which one there.

        Of an event stream only the head is answered: the rest is in :meth:`streams`.
        """
        change = change or Change()
        if capture.answer is not None and capture.answer.content_type == "text/event-stream":
            return await self._listen(capture)
        if "Upgrade" in capture.sent.headers:
            return await self._talk(capture, change)
        answer = await self._see_through(capture, await self._ask(capture, change))
        if capture.answer is not None:
            self._learn_from(capture.answer, answer)
        return answer

    def localised(self, text: str, change: Change | None = None) -> str:
        """A text of the capture with the ids and keys of this place."""
        for there, here in (self.substitute | dict((change or Change()).replace)).items():
            text = text.replace(there, here)
        return text

    async def call(self, method: str, target: str, body: Any = None) -> Answer:
        """An ordinary request of the user."""
        content = b"" if body is None else json.dumps(body).encode()
        sent = Sent(
            method, target, CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"})), content
        )
        return await self._ask(Capture("", "", (NOT_RECORDED,), sent, None, b""), Change())

    async def create(self, name: str) -> None:
        """A running session besides those that the captures create."""
        config = {"resources": {"cpu": "1", "mem": "512m"}}
        body = {"name": name, "image": "cr.backend.ai/stable/python:3.9-ubuntu20.04", "config": config}
        answer = await self.call("POST", "/session", body)
        assert answer.status == 201, answer.body

    async def _ask(self, capture: Capture, change: Change) -> Answer:
        target = self.localised(capture.sent.target, change)
        if change.body is not None:
            body = change.body(self.cluster)
        else:
            body = self.localised(capture.sent.body.decode("latin-1"), change).encode("latin-1")
        async with self._open(capture, target, data=body or None, timeout=_LIMIT) as response:
            return Answer(response.status, response.headers, await response.read())

    def _open(
        self,
        capture: Capture,
        target: str,
        *,
        data: bytes | None = None,
        timeout: float | None = None,
        **more: str,
    ) -> Any:
        return self._session.request(
            capture.sent.method,
            URL(self.cluster.endpoint + target, encoded=True),
            data=data,
            headers=self._headers(capture, target) | more,
            skip_auto_headers=["Content-Type", "Accept-Encoding"],
            timeout=aiohttp.ClientTimeout(timeout),
        )

    def _headers(self, capture: Capture, target: str) -> dict[str, str]:
        given = capture.sent.headers
        headers = {
            name: value
            for name, value in given.items()
            if name.lower() not in _OWN_HEADERS and not name.startswith("Sec-WebSocket-")
        }
        if "Cookie" in given:
            headers["Cookie"] = self.localised(given["Cookie"])
        return headers | headers_for(capture, target, host=self._host, keys=self.keys, version=self._version)

    async def _see_through(self, capture: Capture, answer: Answer) -> Answer:
        """Ask on, if a run has only not come as far as there: this machine may be slower."""
        if capture.answer is None or _run_status(capture.answer) in {None, "continued"}:
            return answer
        while _run_status(answer) == "continued":
            result = answer.json["result"]
            body = {"mode": "continue", "code": "", "runId": result["runId"], "run_id": result["runId"]}
            rest = await self.call("POST", self.localised(capture.sent.path), body)
            console = join_console(result["console"] + rest.json["result"]["console"])
            whole = json.dumps({"result": rest.json["result"] | {"console": console}})
            answer = attrs.evolve(rest, body=whole.encode())
        return answer

    # --- what stands for what -----------------------------------------------------------------------------

    def _learn_from(self, real: Answer, local: Answer) -> None:
        there, here = (a.headers.get("X-BackendAI-SessionID") for a in (real, local))
        if there and here:
            self.substitute[there] = here
        if real.is_json and local.is_json:
            self._learn(real.json, local.json)

    def _learn(self, real: Any, local: Any) -> None:
        """Note which ids of the real answer stand where which ones of the local answer do."""
        match real, local:
            case dict(), dict():
                for key in real.keys() & local.keys():
                    self._learn(real[key], local[key])
            case list(), list() if len(real) == len(local):
                for one, other in zip(real, local, strict=True):
                    self._learn(one, other)
            case str(), str() if _UUID.fullmatch(real) and _UUID.fullmatch(local):
                self.substitute.setdefault(real, local)

    # --- streams and WebSockets ---------------------------------------------------------------------------

    async def _listen(self, capture: Capture) -> Answer:
        response = await self._open(capture, self.localised(capture.sent.target))
        self._streams.append((capture, Stream(response)))
        return Answer(response.status, response.headers, b"")

    def streams(self) -> Iterator[tuple[Capture, Stream]]:
        """The event streams that were opened."""
        yield from self._streams

    async def hang_up(self, number: str) -> None:
        """Leave a stream, as soon as it has told all."""
        for capture, stream in self._streams:
            if capture.number == number:
                await stream.until_quiet(len(capture.answer_events))
                await stream.close()

    async def _talk(self, capture: Capture, change: Change) -> Answer:
        assert capture.answer is not None
        target = self.localised(capture.sent.target, change)
        try:
            socket = await self._session.ws_connect(
                URL(self.cluster.endpoint + target, encoded=True),
                headers=self._headers(capture, target),
                timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
            )
        except aiohttp.WSServerHandshakeError:
            async with self._open(capture, target, timeout=_LIMIT, **_HANDSHAKE) as response:
                return Answer(response.status, response.headers, await response.read())
        async with socket:
            frames = await converse(socket, capture.answer.frames, lambda t: self.localised(t, change))
        return Answer(101, socket._response.headers, b"", frames=tuple(frames))

    # --- waiting ------------------------------------------------------------------------------------------

    async def until_status(self, name: str, *statuses: str) -> None:
        """Wait until the newest session of that name has one of the statuses."""
        async with asyncio.timeout(_LIMIT):
            while True:
                found = [s.status for s in await asyncio.to_thread(self.cluster.sessions) if s.name == name]
                if found and found[-1] in statuses:
                    return
                await asyncio.sleep(0.02)


Hook = Callable[[Stage], Awaitable[None]]


def _run_status(answer: Answer) -> str | None:
    """How far a run has come, if the answer is one of a run."""
    if not answer.is_json or not answer.body.startswith(b'{"result"'):
        return None
    result = answer.json["result"]
    return result.get("status") if isinstance(result, dict) and "runId" in result else None


def join_console(records: list[list[str]]) -> list[list[str]]:
    """The console of several answers as that of one."""
    joined: list[list[str]] = []
    for kind, text in records:
        if joined and joined[-1][0] == kind:
            joined[-1][1] += text
        else:
            joined.append([kind, text])
    return joined
