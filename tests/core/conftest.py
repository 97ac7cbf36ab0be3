"""Core tests: written once, run against the async core and against its blocking twin, on a local cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from by_path import load

from backendai_sdk import AsyncSession, LocalCluster, Session
from backendai_sdk.config import Timeouts
from backendai_sdk.local import Agent

both = load("core_both", Path(__file__).with_name("both.py"))


@pytest.fixture(scope="session")
def clusters() -> Iterator[dict[str, LocalCluster]]:
    """Local clusters by release, started when a test first asks for one."""
    running: dict[str, LocalCluster] = {}
    yield running
    for cluster in running.values():
        cluster.stop()


@pytest.fixture
def release() -> str:
    """The release that the test's cluster behaves like; tests parametrise it."""
    return "26.8"


@pytest.fixture
def cluster(clusters: dict[str, LocalCluster], release: str) -> Iterator[LocalCluster]:
    """A local cluster of that release, shared between tests: each leaves no live session behind."""
    if release not in clusters:
        clusters[release] = LocalCluster(release=release)
        clusters[release].start()
    yield clusters[release]
    left = [(s.name, s.status) for s in clusters[release].live_sessions() if s.status != "TERMINATING"]
    assert not left, f"the test left sessions behind: {left}"


@pytest.fixture
def small_cluster(release: str) -> Iterator[LocalCluster]:
    """A cluster of its own with room for two cpus: what does not fit waits."""
    with LocalCluster(
        release=release, agents=[Agent("i-small", cpu=2, mem="4g", accelerators={})]
    ) as cluster:
        yield cluster


@pytest.fixture(params=["async", "sync"])
def way(request: pytest.FixtureRequest) -> str:
    """Which of the two faces the test uses."""
    return str(request.param)


def make(way: str, cluster: LocalCluster, **settings: Any) -> Any:
    """A client session of *cluster*, async or looking so."""
    settings.setdefault("access_key", cluster.access_key)
    settings.setdefault("secret_key", cluster.secret_key)
    settings.setdefault("endpoint", cluster.endpoint)
    return AsyncSession(**settings) if way == "async" else both.AsyncView(Session(**settings))


@pytest.fixture
async def api(way: str, cluster: LocalCluster) -> AsyncIterator[Any]:
    """A client session of the shared cluster; afterwards no task of it is left on the loop."""
    async with make(way, cluster, timeouts=Timeouts(start=20, run=20, cleanup=10)) as session:
        yield session
    await asyncio.sleep(0)
    left = [t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith("backendai-sdk")]
    assert not left, f"tasks are left: {left}"


@pytest.fixture
async def small_api(way: str, small_cluster: LocalCluster) -> AsyncIterator[Any]:
    """A client session of the small cluster."""
    async with make(way, small_cluster, timeouts=Timeouts(start=20, run=20, cleanup=10)) as session:
        yield session


@pytest.fixture
async def begin(way: str, release: str) -> AsyncIterator[Any]:
    """``await begin(admin=…, **options)``: a client session of a cluster of the test's own, or of ``cluster=``."""
    async with AsyncExitStack() as stack:

        async def begin(*, admin: bool = False, cluster: LocalCluster | None = None, **options: Any) -> Any:
            if cluster is None:
                cluster = await stack.enter_async_context(LocalCluster(release, **options))
            keys = cluster.admin if admin else cluster.user
            settings = {"access_key": keys.access_key, "secret_key": keys.secret_key}
            times = Timeouts(start=20, run=20, cleanup=10)
            return await stack.enter_async_context(make(way, cluster, timeouts=times, **settings))

        yield begin
