"""What ``blocking.py`` measures, each in a process of its own that does a slice of work whenever it is told to.

All send the same requests: an interrupt, which has no body and no answer but 204, and a run of code that takes one
answer.  ``requests`` and ``httpx`` sign by hand, check nothing, and do not look for proxies in the environment, which
is their fastest way.  They and the official client are imported by name: they live in environments of their own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Coroutine
from importlib import import_module
from typing import Any

from signer import ACCESS, SECRET, Signer


class Async:
    """This SDK as it is inside: what a blocking call is compared with."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        from clients import Sdk

        self.loop = asyncio.new_event_loop()
        self.sdk = Sdk(endpoint, session_id)
        self.loop.run_until_complete(self.sdk.open())

    def interrupt(self, times: int) -> None:
        self.loop.run_until_complete(self.sdk.request(times))

    def execute(self, times: int) -> None:
        async def work() -> None:
            for _ in range(times):
                await self.sdk.run(1)

        self.loop.run_until_complete(work())

    def nothing(self, times: int) -> None:
        """As many coroutines that do nothing, awaited."""

        async def work() -> None:
            for _ in range(times):
                await nothing()

        self.loop.run_until_complete(work())


class Blocking:
    """This SDK's ``Session``."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        from backendai_sdk import Session
        from backendai_sdk._portal import PORTAL

        api = Session(endpoint, access_key=ACCESS, secret_key=SECRET, domain="default")
        self.session = api.get(session_id)
        self.call = PORTAL.call

    def interrupt(self, times: int) -> None:
        for _ in range(times):
            self.session.interrupt()

    def execute(self, times: int) -> None:
        for _ in range(times):
            self.session.execute("1")

    def nothing(self, times: int) -> None:
        for _ in range(times):
            self.call(nothing())


class HandOver(Async):
    """The async SDK on a thread of its own, and the least that gets a call there and back: the floor of `Blocking`.

    Without a thought for Ctrl-C, callbacks, forks, context variables or tracebacks.
    """

    def __init__(self, endpoint: str, session_id: str) -> None:
        super().__init__(endpoint, session_id)
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, coro: Coroutine[Any, Any, object]) -> None:
        lock = threading.Lock()
        lock.acquire()
        self.loop.call_soon_threadsafe(
            lambda: self.loop.create_task(coro).add_done_callback(lambda _: lock.release())
        )
        lock.acquire()

    def interrupt(self, times: int) -> None:
        for _ in range(times):
            self.call(self.sdk.session.interrupt())

    def execute(self, times: int) -> None:
        for _ in range(times):
            self.call(self.sdk.session.execute("1"))

    def nothing(self, times: int) -> None:
        for _ in range(times):
            self.call(nothing())


class Requests(Signer):
    """``requests``, by hand."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        super().__init__(endpoint, session_id)
        self.http: Any = import_module("requests").Session()
        self.http.trust_env = False

    def post(self, target: str, body: bytes, kind: str) -> Any:
        answer = self.http.post(self.endpoint + target, data=body, headers=self.signed("POST", target, kind))
        answer.raise_for_status()
        return answer

    def interrupt(self, times: int) -> None:
        for _ in range(times):
            self.post(self.path + "/interrupt", b"", "application/octet-stream")

    def execute(self, times: int) -> None:
        for _ in range(times):
            run_id = secrets.token_hex(16)
            body = {"mode": "query", "code": "1", "runId": run_id, "run_id": run_id, "options": {}}
            answer = self.post(self.path, json.dumps(body).encode(), "application/json").json()
            assert answer["result"]["status"] == "finished"


class Httpx(Requests):
    """``httpx``, by hand."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        Signer.__init__(self, endpoint, session_id)
        self.http = import_module("httpx").Client(trust_env=False)

    def post(self, target: str, body: bytes, kind: str) -> Any:
        answer = self.http.post(
            self.endpoint + target, content=body, headers=self.signed("POST", target, kind)
        )
        answer.raise_for_status()
        return answer


class Official:
    """The functional interface of the official client, blocking."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        os.environ["BACKEND_ENDPOINT_TYPE"] = "api"
        config, session = (import_module(f"ai.backend.client.{name}") for name in ("config", "session"))
        settings = config.APIConfig(
            endpoint=endpoint, endpoint_type="api", access_key=ACCESS, secret_key=SECRET
        )
        api: Any = session.Session(config=settings)
        self.session = api.__enter__().ComputeSession.from_session_id(session_id)

    def interrupt(self, times: int) -> None:
        for _ in range(times):
            self.session.interrupt()

    def execute(self, times: int) -> None:
        for _ in range(times):
            assert self.session.execute(None, "1", mode="query")["status"] == "finished"


async def nothing() -> None:
    """The cheapest call there is."""


def main(client: str, endpoint: str, session_id: str) -> None:
    """Do what each line of the standard input says, a method and a number; answer with the seconds for each call."""
    measured = globals()[client](endpoint, session_id)
    print("ready", flush=True)
    for line in sys.stdin:
        name, times = line.split()
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        getattr(measured, name)(int(times))
        taken = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps([one / int(times) for one in taken]), flush=True)
    # What is open ends with the process; the official client's thread would keep it.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
