"""Apps of a session on the wire: started, reached through WebSockets, stopped; the app proxy's one page."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import pytest

from backendai_sdk.local.images import AppSpec, Image

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]


@asynccontextmanager
async def proxy_of(api, name, kind="tcpproxy", **query):
    target = f"/stream/session/{name}/{kind}?{urlencode(query)}"
    headers = api.headers("GET", target, "application/octet-stream")
    async with api._session.ws_connect(api.endpoint + target, headers=headers) as socket:
        yield socket


async def received(socket):
    """All bytes up to the end, and the code of the end."""
    data = b""
    async with asyncio.timeout(20):
        while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            data += message.data
    return data, int(socket.close_code)


@pytest.mark.parametrize("release", RELEASES)
async def test_the_list(both, release):
    _, api = await both(release)
    await api.create("apps-1", config={"preopen_ports": [20001]})
    answer = await api("GET", "/stream/session/apps-1/apps")
    assert answer.json == [
        {"name": "sshd", "protocol": "tcp", "ports": [2200]},
        {"name": "ttyd", "protocol": "http", "ports": [7681]},
        {"name": "simple", "protocol": "http", "ports": [8088]},
        {"name": "20001", "protocol": "preopen", "ports": [20001]},
    ]


@pytest.mark.parametrize(
    ("release", "kind", "end"),
    [("23.09", "tcpproxy", 1006), ("24.03", "tcpproxy", 1001), ("26.9", "httpproxy", 1001)],
)
async def test_a_connection_to_an_app(both, release, kind, end):
    """The end is a closing frame, or, on 23.09, nothing but the end of the connection."""
    _, api = await both(release)
    await api.create("apps-1")
    await api.run("apps-1", "open('hello.txt', 'w').write('hello')")
    async with proxy_of(api, "apps-1", kind, app="simple") as socket:
        await socket.send_str("text is ignored")
        await socket.send_bytes(b"GET /hello.txt HTTP/1.0\r\n")
        await socket.send_bytes(b"\r\n")
        data, code = await received(socket)
    assert data.startswith(b"HTTP/1.0 200 OK\r\n")
    assert data.endswith(b"\r\n\r\nhello")
    assert code == end


async def test_a_port_that_nobody_listens_on(both, unused_port):
    _, api = await both()
    await api.create("apps-1", config={"preopen_ports": [unused_port]})
    async with proxy_of(api, "apps-1", app=str(unused_port)) as socket:
        assert await received(socket) == (b"", 1013)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("release", ["23.09", "26.9"])
async def test_refusals(both, release):
    _, api = await both(release)
    await api.create("apps-1")
    for path, method in (
        ("/stream/session/apps-1/tcpproxy", "GET"),
        ("/session/apps-1/start-service", "POST"),
    ):

        async def ask(path=path, method=method, **params):
            given = {"query": params} if method == "GET" else {"body": params}
            return await api(method, path, **given)

        missing = await ask(app="nothing")
        assert (missing.status, missing.json["title"], missing.json["msg"]) == (
            404,
            "No such app service.",
            "apps-1:nothing",
        )
        sshd = await ask(app="sshd")
        assert (sshd.status, sshd.json["msg"], sshd.json["data"]) == (
            500,
            "Failed to launch the app service",
            "TimeoutError (unknown)",
        )
        assert (await ask(app="simple", port=9999)).status == 400
        assert (await ask(app="simple", port=80)).status == 400
        assert (await ask(app="simple", envs="{")).status == 400
        denied = await ask(app="simple", arguments=json.dumps({"--bind": "0.0.0.0"}))
        assert (denied.status, "--bind" in denied.json["data"]) == (500, True)
        assert (await ask()).status == 400
    assert (await api("GET", "/stream/session/no-such/tcpproxy", query={"app": "simple"})).status == 404


@pytest.mark.parametrize("command", [("/no/such/program",), ("{python}", "-c", "1")])
async def test_an_app_that_does_not_come_up(both, command):
    image = Image(aliases=("python:3.11",), apps=(AppSpec("broken", "http", 8000, command),))
    _, api = await both(images=[image])
    await api.create("apps-1")
    failed = await api("POST", "/session/apps-1/start-service", body={"app": "broken"})
    assert (failed.status, failed.json["msg"]) == (500, "Failed to launch the app service")
    assert failed.json["data"]


async def test_a_service_and_its_address(both):
    _, api = await both()
    await api.create("apps-1")
    started = (await api("POST", "/session/apps-1/start-service", body={"app": "simple"})).json
    assert started["wsproxy_addr"] == api.endpoint
    async with aiohttp.ClientSession() as browser:
        page = f"{started['wsproxy_addr']}/v2/proxy/{started['token']}/apps-1/add?app=simple&protocol=http"
        async with browser.get(page) as answer:
            url = (await answer.json())["url"]
        async with browser.get(url) as answer:
            assert answer.status == 200
        async with browser.get(page.replace(started["token"], "guess")) as answer:
            assert answer.status == 404
        row = (await api.gql("{ compute_session_list(limit: 1, offset: 0) { items { service_ports } } }"))[
            "data"
        ]
        ports = json.loads(row["compute_session_list"]["items"][0]["service_ports"])
        (simple,) = (item for item in ports if item["name"] == "simple")
        assert url == f"http://127.0.0.1:{simple['host_ports'][0]}/"
        body = {"service_name": "simple"}
        for _ in range(2):
            stopped = await api("POST", "/session/apps-1/shutdown-service", query=body, body=body)
            assert stopped.status == 204
        with pytest.raises(aiohttp.ClientError):
            await browser.get(url)
        again = (await api("POST", "/session/apps-1/start-service", body={"app": "simple"})).json
        await api("DELETE", "/session/apps-1")
        async with asyncio.timeout(20):
            while True:  # the app ends with its session
                try:
                    async with browser.get(page.replace(started["token"], again["token"])) as answer:
                        url = (await answer.json())["url"]
                    await (await browser.get(url)).read()
                except aiohttp.ClientError:
                    break
                await asyncio.sleep(0.05)


async def test_apps_survive_neither_a_restart_nor_their_own_end(both):
    _, api = await both("24.03")
    await api.create("apps-1")
    async with proxy_of(api, "apps-1", app="simple") as socket:
        assert (await api("PATCH", "/session/apps-1")).status == 204
        assert (await received(socket))[1] in {1001, 1011}
    async with proxy_of(api, "apps-1", app="simple") as socket:
        await socket.send_bytes(b"GET / HTTP/1.0\r\n\r\n")
        assert (await received(socket))[0].startswith(b"HTTP/1.0 200")


async def test_stopping_the_cluster_ends_open_connections(start, connect):
    cluster = await start()
    api = await connect(cluster)
    await api.create("apps-1")
    async with proxy_of(api, "apps-1", app="simple") as tcp, proxy_of(api, "apps-1", app="ttyd"):
        await cluster.astop()
        assert (await received(tcp))[0] == b""
