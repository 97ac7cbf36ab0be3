"""Everything that goes wrong while a call is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs

from backendai_sdk import LocalCluster
from backendai_sdk.local.faults import (
    Bandwidth,
    Cut,
    DropEvent,
    DuplicateEvent,
    ErrorStatus,
    Fault,
    HalfOpen,
    HtmlPage,
    Latency,
    LostReply,
    ReorderEvent,
    Reset,
    Slices,
    SlowClose,
    TooManyRequests,
    TruncatedJson,
)

__all__ = ["CANCELLED", "FEW", "TROUBLES", "Trouble"]


@attrs.frozen
class Trouble:
    """A name and a block in which things go wrong."""

    name: str
    go_wrong: Callable[[LocalCluster], AbstractAsyncContextManager[None]]
    settles: bool = True  # whether the server can be reached again, so that the client can clean up
    fails: bool = True  # whether a call may fail at all
    rare: bool = False  # for the core calls only


def faults(
    name: str,
    *given: Fault,
    on: str = "*",
    settles: bool = True,
    fails: bool = True,
    rare: bool = False,
    strikes: bool = True,
    **options: Any,
) -> Trouble:
    @asynccontextmanager
    async def go_wrong(cluster: LocalCluster) -> AsyncIterator[None]:
        for fault in given:
            cluster.faults.add(fault, on, **options)
        try:
            yield
        finally:
            struck = bool(cluster.faults.hits)
            cluster.faults.clear()
        assert struck or not strikes, "nothing went wrong"

    return Trouble(name, go_wrong, settles, fails, rare)


@asynccontextmanager
async def meanwhile(act: Callable[[], Any], *, after: float) -> AsyncIterator[None]:
    async def later() -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(act)

    task = asyncio.create_task(later())
    try:
        yield
    finally:
        await task


@asynccontextmanager
async def frozen(cluster: LocalCluster) -> AsyncIterator[None]:
    cluster.freeze()
    async with meanwhile(cluster.thaw, after=0.15):
        yield


@asynccontextmanager
async def restarted(cluster: LocalCluster, after: float) -> AsyncIterator[None]:
    async with meanwhile(lambda: cluster.restart(downtime=0.02), after=after):
        yield


@asynccontextmanager
async def skewed(cluster: LocalCluster) -> AsyncIterator[None]:
    cluster.clock.offset = timedelta(hours=1)
    try:
        yield
    finally:
        cluster.clock.offset = timedelta()


@asynccontextmanager
async def maintained(cluster: LocalCluster) -> AsyncIterator[None]:
    cluster.manager_status = "frozen"
    try:
        yield
    finally:
        cluster.manager_status = "running"


ONCE: dict[str, Fault] = {
    "reset": Reset(),
    "reset in the answer": Reset(150),
    "reset in the request": Reset(60, of="request"),
    "cut": Cut(),
    "cut in the answer": Cut(330),
    "half-open": HalfOpen(),
    "half-open in the answer": HalfOpen(300),
    "lost reply": LostReply(),
    "lost reply, reset": LostReply(then="reset"),
    "500": ErrorStatus(500),
    "500 acted": ErrorStatus(500, acted=True),
    "502 page": HtmlPage(502),
    "503": ErrorStatus(503),
    "504 acted": ErrorStatus(504, acted=True),
    "200 page": HtmlPage(200, text="<b>sign in</b>"),
    "truncated": TruncatedJson(),
    "429": TooManyRequests(headers=True),
}

CHEAP = ("reset", "lost reply, reset", "cut in the answer", "503", "truncated")
SPARE = {"500 acted", "504 acted", "truncated"}  # streams, and what is not JSON
RARE = {"reset in the answer", "reset in the request", "lost reply, reset", "500", "504 acted", "200 page"}

TROUBLES: list[Trouble] = [
    faults("nothing", fails=False, strikes=False),
    faults("latency", Latency(0.01, jitter=0.02), fails=False),
    faults("slow line", Bandwidth(5_000_000), fails=False),
    faults("slices", Slices(64), fails=False),
    faults("slow close", SlowClose(0.05), fails=False),
    *(
        faults(name, fault, times=1, rare=name in RARE, strikes=name not in SPARE)
        for name, fault in ONCE.items()
    ),
    *(
        faults(f"{name}, second", ONCE[name], times=1, skip=1, rare=True, strikes=False)
        for name in (*CHEAP, "lost reply")
    ),
    *(
        faults(f"{name}, always", ONCE[name], settles=False, rare=True, strikes=name not in SPARE)
        for name in CHEAP
    ),
    faults("connections reset", Reset(), on="connect", probability=0.5, rare=True, strikes=False),
    faults(
        "a bad day",
        Latency(0, jitter=0.02),
        Reset(),
        ErrorStatus(503),
        probability=0.15,
        rare=True,
        strikes=False,
    ),
    faults("dropped events", DropEvent(), fails=False, strikes=False),
    faults("repeated events", DuplicateEvent(), fails=False, strikes=False),
    faults("reordered events", ReorderEvent(within=0.1), fails=False, strikes=False),
    faults("half-open events", HalfOpen(300), on="/events/*", times=1, rare=True, strikes=False),
    Trouble("frozen", frozen, fails=False),
    Trouble("restarted", lambda cluster: restarted(cluster, 0.0)),
    Trouble("restarted later", lambda cluster: restarted(cluster, 0.03), rare=True),
    Trouble("clock", skewed, fails=False),
    Trouble("maintenance", maintained),
]

# Under these a call that is cancelled has something to wait for.
CANCELLED = [
    faults("nothing", strikes=False),
    faults("latency", Latency(0.05), strikes=False),
    faults("half-open", HalfOpen(), times=1, strikes=False),
    faults("lost reply", LostReply(), times=1, strikes=False),
    faults("lost reply, second", LostReply(), times=1, skip=1, strikes=False),
    Trouble("frozen", frozen),
]

# For calls that take seconds: what concerns many bytes and many requests.
FEW = {
    "nothing",
    "slices",
    "reset in the request",
    "cut in the answer",
    "lost reply",
    "503",
    "429",
    "frozen",
    "restarted",
}
assert {trouble.name for trouble in TROUBLES} >= FEW
