"""One AsyncSession on several event loops, one after the other and at once. Async only: the blocking one has its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backendai_sdk import AsyncSession, LocalCluster, UsageError


def test_a_second_loop_after_the_first_has_ended(cluster: LocalCluster) -> None:
    api = AsyncSession(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key)

    async def use() -> str:
        async with api.create("python") as cs:
            return (await cs.execute("print(1)")).stdout

    async def last() -> str:
        async with api:
            return await use()

    with asyncio.Runner() as first:
        assert first.run(use()) == "1\n"
        first.run(api._client._transport._shared.connection.close())  # type: ignore[union-attr]
    assert asyncio.run(last()) == "1\n"


def test_two_loops_at_once_are_refused_with_a_sentence(cluster: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncSession(
            cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key
        ) as api:
            await api.ping()
            caught: list[BaseException] = []

            def elsewhere() -> None:
                with pytest.raises(UsageError, match="another event loop") as refused:
                    asyncio.run(api.ping())  # type: ignore[arg-type]
                caught.append(refused.value)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join)
            assert caught

    asyncio.run(main())
