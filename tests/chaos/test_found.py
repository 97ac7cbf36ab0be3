"""What faults have found: each of these left a session behind, or failed, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from backendai_sdk import (
    AsyncSession,
    BackendAIError,
    ConnectError,
    LocalCluster,
    SessionTimeout,
    Timeouts,
)
from backendai_sdk.local.faults import (
    ErrorStatus,
    Fault,
    HtmlPage,
    Latency,
    LostReply,
    TooManyRequests,
    TruncatedJson,
)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


def client(cluster: LocalCluster, timeouts: Timeouts | None = None) -> AsyncSession:
    return AsyncSession(
        endpoint=cluster.endpoint,
        access_key=cluster.access_key,
        secret_key=cluster.secret_key,
        timeouts=timeouts or Timeouts(cleanup=20),
    )


async def gone(cluster: LocalCluster) -> None:
    async with asyncio.timeout(10):
        while cluster.live_sessions():
            await asyncio.sleep(0.01)


async def test_a_manager_that_is_away_after_a_lost_reply(cluster: LocalCluster) -> None:
    """The retries of one request are over long before it is back; the clean-up is not."""
    async with client(cluster) as api:
        with cluster.faults.add(LostReply(), "POST /session", times=1) as fault:
            creating = asyncio.ensure_future(api.create("python"))
            await fault.await_hit()
        await cluster.arestart(downtime=2.5)
        with pytest.raises(BackendAIError):
            await creating
        await gone(cluster)


async def test_a_manager_that_is_away_when_a_block_ends(cluster: LocalCluster) -> None:
    async with client(cluster) as api:
        async with api.create("python"):
            restarting = asyncio.create_task(cluster.arestart(downtime=2.5))
            await asyncio.sleep(0.5)
        await restarting
        await gone(cluster)


async def test_a_server_that_stays_away_costs_no_more_than_the_clean_up_may(cluster: LocalCluster) -> None:
    limit = 1.5
    async with client(cluster, Timeouts(cleanup=limit)) as api:
        loop = asyncio.get_running_loop()
        # The first says more than that it took too long; a busy machine may have no time left for it.
        with pytest.raises((ConnectError, SessionTimeout)):
            async with api.create("python"):
                await cluster.astop()
                begin = loop.time()
        assert loop.time() - begin < limit + 1


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)], ids=str)
async def test_a_lost_reply_of_a_server_whose_clock_is_off(
    cluster: LocalCluster, name: str | None, off: timedelta
) -> None:
    """What it has made looks older than the request, by a clock that was corrected only then."""
    cluster.clock.offset = off
    async with client(cluster) as api:
        cluster.faults.add(LostReply(then="reset"), "POST /session", times=1, skip=1)
        async with api.create("python", name=name) as session:
            assert [s.id for s in cluster.live_sessions()] == [session.id]
            assert len(cluster.faults.hits) == 1


@pytest.mark.parametrize("name", [None, "mine"])
async def test_a_clock_within_the_tolerance(cluster: LocalCluster, name: str | None) -> None:
    """No server minds ten minutes, so no date is corrected; what is newer than the request is told apart all the same."""
    cluster.clock.offset = timedelta(minutes=-10)
    async with client(cluster) as api:
        cluster.faults.add(LostReply(then="reset"), "POST /session", times=1)
        async with api.create("python", name=name) as session:
            assert [s.id for s in cluster.live_sessions()] == [session.id]
            assert len(cluster.faults.hits) == 1


async def test_creations_cancelled_while_the_manager_stands_still(cluster: LocalCluster) -> None:
    """It reads them when it goes on, perhaps after the look-ups that were to find what to undo."""
    async with client(cluster) as api:
        for _ in range(8):
            await api.list()  # so that there is a connection
            cluster.freeze()
            creating = asyncio.ensure_future(api.create("python"))
            await asyncio.sleep(0.03)
            creating.cancel()
            await asyncio.sleep(0.1)
            cluster.thaw()
            with pytest.raises(asyncio.CancelledError):
                await creating
        await gone(cluster)


BAD_ANSWERS = [
    ErrorStatus(500),
    HtmlPage(200, text="sign in"),
    TruncatedJson(),
    TooManyRequests(retry_after=0),
]


@pytest.mark.parametrize("fault", BAD_ANSWERS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("on", ["/admin/gql", "DELETE *"])
async def test_one_bad_answer_during_the_clean_up_of_a_block(
    cluster: LocalCluster, fault: Fault, on: str
) -> None:
    async with client(cluster) as api:
        async with api.create("python"):
            injection = cluster.faults.add(fault, on, times=1)
        assert injection.hits
        await gone(cluster)


async def test_one_bad_answer_while_a_cancelled_creation_is_undone(cluster: LocalCluster) -> None:
    async with client(cluster) as api:
        await api.ping()
        with cluster.faults.add(LostReply(then="reset"), "POST /session", times=1) as lost:
            creating = asyncio.ensure_future(api.create("python"))
            slow = cluster.faults.add(Latency(0.1), "/admin/gql", times=1)
            bad = cluster.faults.add(ErrorStatus(500), "/admin/gql", times=1, skip=1)
            await lost.await_hit()
            await slow.await_hit()
            creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert bad.hits
        await gone(cluster)
