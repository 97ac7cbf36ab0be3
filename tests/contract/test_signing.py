"""Who may ask: keys, signatures, dates, versions; and signing in at a web server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from backendai_sdk import AsyncSession, AuthenticationError, BackendAIError
from backendai_sdk._transport import transport

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = "cpu=1 mem=512m"


async def test_ping(api: AsyncSession, server: Any) -> None:
    info = await api.ping()
    assert info.release[:2] == {"23.09": (23, 9), "26.9": (26, 9)}[server.release]


async def test_sha512(server: Any) -> None:
    async with server.api(hash_name="sha512") as api:
        await api.ping()
        await api.list()


async def test_wrong_secret(server: Any) -> None:
    async with server.api(secret_key="not-the-secret-of-this-key-at-all-000000") as api:
        with pytest.raises(AuthenticationError) as caught:
            await api.list()
        assert caught.value.status == 401
        assert "not-the-secret" not in str(caught.value)


async def test_unknown_key(server: Any) -> None:
    async with server.api(access_key="AKNOBODYNOBODYNOBODY") as api:
        with pytest.raises(AuthenticationError) as caught:
            await api.list()
        assert caught.value.status == 401


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=2), timedelta(days=-300)])
async def test_a_clock_that_is_off(server: Any, off: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server refuses the date once; its own ``Date`` header corrects the clock."""

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + off

    monkeypatch.setattr(transport, "datetime", Off)
    async with server.api() as api:
        await api.ping()
        await api.list()


async def test_a_version_that_nobody_speaks(server: Any) -> None:
    async with server.api(api_version="v99.20990101") as api:
        with pytest.raises(BackendAIError, match="api_version"):
            await api.list()


async def test_an_older_version(server: Any) -> None:
    async with server.api(api_version="v7.20230615") as api:
        await api.ping()
        await api.list(status="all")


@pytest.mark.needs_code
async def test_web_server(server: Any, unique: str) -> None:
    """Signing in, listing, running code and leaving, through a web server."""
    async with AsyncSession(config=server.web_config()) as api:
        await api.ping()
        await api.list()
        async with api.create("python", name=f"{unique}-web", resources=SMALL) as cs:
            result = await cs.execute("print('through the web server')")
            assert result.stdout == "through the web server\n"
            async with cs.stream_events() as events:
                await cs.destroy()
                names = [event.name async for event in events]
            assert names[-1] == "session_terminated"


async def test_web_server_with_a_wrong_password(server: Any) -> None:
    async with AsyncSession(config=server.web_config(password="not the password")) as api:
        with pytest.raises(AuthenticationError):
            await api.list()
