"""What the figures of ``reliability.py`` have in common: their line, the cluster they are taken from, and programs.

What lives is counted on the cluster, not by the client that is measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from backendai_sdk import LocalCluster
from backendai_sdk.local import Agent

SETTLED = 20.0  # seconds in which what is being ended on the cluster must have ended


class Figure(NamedTuple):
    """One line of the scoreboard; ``most`` is the promise, ``aside`` what shows that there was something to see."""

    what: str
    value: float
    most: float
    aside: str
    unit: str = ""

    @property
    def kept(self) -> bool:
        return self.value <= self.most

    def __str__(self) -> str:
        value = f"{self.value:.2f}" if isinstance(self.value, float) else str(self.value)
        most = f"{self.most:g}"
        return f"{self.what:58}{value + self.unit:>9}{most + self.unit:>9}  {self.aside}"


@asynccontextmanager
async def cluster(seed: int, **options: Any) -> AsyncIterator[LocalCluster]:
    """One with room for everybody; interpreters start only in sessions that run code."""
    agents = [Agent("i-big", cpu=4096, mem="4096g", accelerators={})]
    async with LocalCluster(agents=agents, faults_seed=seed, idle_timeout=0, **options) as running:
        yield running


def keys(of: LocalCluster) -> dict[str, Any]:
    return {"endpoint": of.endpoint, "access_key": of.access_key, "secret_key": of.secret_key}


def living(of: LocalCluster) -> set[str]:
    return {s.id for s in of.live_sessions()}


async def left(of: LocalCluster, held: Collection[str] = ()) -> int:
    """How many sessions live on the cluster that nobody holds, once what is being ended has ended."""
    ends_at = time.monotonic() + SETTLED
    while (found := living(of).difference(held)) and time.monotonic() < ends_at:
        if all(s.status != "TERMINATING" for s in of.live_sessions() if s.id in found):
            break
        await asyncio.sleep(0.05)
    return len(found)


def program(server: LocalCluster, code: str, **more: str) -> subprocess.Popen[str]:
    """A program of its own, with that cluster in its environment."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BACKEND_")}
    environ |= {f"BACKEND_{name.upper()}": value for name, value in keys(server).items()} | more
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], env=environ, text=True, **pipes)
