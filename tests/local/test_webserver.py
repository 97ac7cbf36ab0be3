"""Logging in with a password and a cookie, as endpoint type `session` does."""

from __future__ import annotations

import aiohttp
import pytest


@pytest.fixture
async def web():
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def test_login_and_func(start, web):
    cluster = await start("26.9")
    url = cluster.endpoint
    async with web.get(f"{url}/func/") as answer:
        assert (await answer.json())["manager"] == "26.9.6"
    async with web.get(f"{url}/func/auth/role") as answer:
        assert answer.status == 401
        assert await answer.json() == {
            "type": "https://api.backend.ai/probs/auth-failed",
            "title": "Unauthorized access",
        } | (await answer.json())
    keys = {"username": cluster.user.email, "password": cluster.user.password}
    async with web.post(f"{url}/server/login", json=keys) as answer:
        assert answer.status == 200
        assert await answer.json() == {
            "authenticated": True,
            "data": {"access_key": cluster.access_key, "role": "user", "status": "active"},
        }
        assert answer.cookies["AIOHTTP_SESSION"].value == answer.headers["X-BackendAI-SessionID"]
    async with web.post(f"{url}/server/login", json=keys) as answer:
        assert (answer.status, (await answer.json())["title"]) == (400, "You have already logged in.")
    async with web.post(f"{url}/server/login-check", json={}) as answer:
        assert (await answer.json())["authenticated"] is True
    async with web.get(f"{url}/func/auth/role") as answer:
        assert (await answer.json())["global_role"] == "user"
    body = {"name": "by-cookie", "image": "python", "config": {}}
    async with web.post(f"{url}/func/session", json=body) as answer:
        assert answer.status == 201
    async with web.delete(f"{url}/func/session/by-cookie") as answer:
        assert (await answer.json()) == {"stats": {"status": "terminated"}}
    async with web.post(f"{url}/server/logout") as answer:
        assert answer.status == 200
    async with web.get(f"{url}/func/auth/role") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(("release", "status"), [("23.09", 200), ("26.9", 401)])
async def test_wrong_password(start, web, release, status):
    cluster = await start(release)
    body = {"username": cluster.user.email, "password": "wrong"}
    async with web.post(f"{cluster.endpoint}/server/login", json=body) as answer:
        assert answer.status == status
        assert (await answer.json())["authenticated"] is False
    async with web.post(f"{cluster.endpoint}/server/login-check") as answer:
        assert (await answer.json())["data"] is None
    async with web.post(f"{cluster.endpoint}/server/login", json={}) as answer:
        assert answer.status == 400
    async with web.post(f"{cluster.endpoint}/server/logout") as answer:
        assert answer.status == (200 if release == "26.9" else 201)
