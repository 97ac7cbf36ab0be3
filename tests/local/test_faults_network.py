"""Faults of the network, proved with a bare socket: what is on the wire, when, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from backendai_sdk.local.faults import Bandwidth, Cut, HalfOpen, Latency, Reset, Slices, SlowClose

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def dial(cluster: Any) -> socket.socket:
    parts = urlsplit(cluster.endpoint)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def read(sock: socket.socket) -> tuple[list[tuple[float, bytes]], str]:
    """Every piece with its time, and how it ended: `"close"`, `"reset"` or `"silence"`."""
    pieces: list[tuple[float, bytes]] = []
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return pieces, "reset"
        except TimeoutError:
            return pieces, "silence"
        if not piece:
            return pieces, "close"
        pieces.append((time.monotonic(), piece))


def ask(cluster: Any, request: bytes = GET, *, patience: float = 10.0) -> tuple[bytes, str, Any]:
    try:
        with dial(cluster) as sock:
            sock.settimeout(patience)
            sock.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            pieces, end = read(sock)
            return b"".join(piece for _, piece in pieces), end, pieces
    except (ConnectionResetError, BrokenPipeError):  # as it was accepted: dialling may see it, or sending
        return b"", "reset", []


@pytest.fixture
async def cluster(start):
    return await start(faults_seed=1)


async def asked(*args: Any, **kwargs: Any) -> tuple[bytes, str, Any]:
    return await asyncio.to_thread(ask, *args, **kwargs)


async def test_without_faults_and_the_endpoint_stays(cluster):
    endpoint = cluster.endpoint
    text, end, _ = await asked(cluster)
    assert text.startswith(b"HTTP/1.1 200 OK\r\n")
    assert end == "close"
    with cluster.faults.add(Latency(0.01)):
        assert (await asked(cluster))[0].startswith(b"HTTP/1.1 200")
    assert cluster.endpoint == endpoint


async def test_latency(cluster):
    with cluster.faults.add(Latency(0.3)) as fault:
        begin = time.monotonic()
        text, _, pieces = await asked(cluster)
    assert text.startswith(b"HTTP/1.1 200")
    assert pieces[0][0] - begin >= 0.3
    assert [hit.target for hit in fault.hits] == ["GET /"]


async def test_jitter_repeats_with_the_seed(start):
    delays = []
    for seed in (5, 5, 6):
        cluster = await start(faults_seed=seed)
        fault = cluster.faults.add(Latency(0, jitter=10.0))
        delays.append([fault.dice().random() for _ in range(3)])
    assert delays[0] == delays[1] != delays[2]


async def test_bandwidth_of_answers(cluster):
    size = len((await asked(cluster))[0])
    with cluster.faults.add(Bandwidth(size / 0.5)):
        begin = time.monotonic()
        text, _, pieces = await asked(cluster)
    assert len(text) == size
    assert pieces[-1][0] - begin >= 0.45
    assert len(pieces) > 3  # a slow line, not a late answer


async def upload(api: Any, session: str, name: str, content: bytes) -> int:
    head = f'--b\r\nContent-Disposition: form-data; name="src"; filename="{name}"\r\n\r\n'.encode()
    kind = "multipart/form-data"
    body = io.BytesIO(head + content + b"\r\n--b--\r\n")
    answer = await api(
        "POST",
        f"/session/{session}/upload",
        data=body,
        content_type=kind,
        **{"Content-Type": f"{kind}; boundary=b"},
    )
    return int(answer.status)


async def test_bandwidth_of_uploads(both):
    cluster, api = await both()
    await api.create("slow-1")
    content = b"x" * 300_000
    took = []
    for _ in range(2):
        begin = time.monotonic()
        assert await upload(api, "slow-1", "a.bin", content) == 204
        took.append(time.monotonic() - begin)
        cluster.faults.add(Bandwidth(600_000), "POST /session/*/upload")
    assert took[1] >= 0.4 > took[0]
    assert (cluster.sessions()[0].work_dir / "a.bin").read_bytes() == content


async def test_slices(cluster):
    plain = await asked(cluster)
    with cluster.faults.add(Slices(10, pause=0.002)):
        text, end, pieces = await asked(cluster)
    assert len(plain[2]) <= 2
    assert len(pieces) > 10
    assert (len(text), end) == (len(plain[0]), "close")  # all of it, in order
    assert text.startswith(b"HTTP/1.1 200 OK\r\n")
    assert text.endswith(plain[0][-20:])


@pytest.mark.parametrize(
    ("fault", "ending"),
    [(Reset, "reset"), (Cut, "close"), (HalfOpen, "silence")],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("after", [0, 1, 100])
async def test_the_answer_ends_after_so_many_bytes(cluster, fault, ending, after):
    with cluster.faults.add(fault(after), times=1):
        text, end, _ = await asked(cluster, patience=0.5)
        assert (len(text), end) == (after, ending)
        assert (await asked(cluster))[1] == "close"


@pytest.mark.parametrize("fault", [Reset(), Cut(), HalfOpen()], ids=str)
async def test_after_nothing_the_server_has_not_acted(both, fault):
    cluster, api = await both()
    with cluster.faults.add(fault, "POST /session") as injection:
        creating = asyncio.create_task(api.create("never-1"))
        await injection.await_hit()
        if isinstance(fault, HalfOpen):
            creating.cancel()
        with pytest.raises((aiohttp.ClientError, asyncio.CancelledError)):
            await creating
    assert cluster.sessions() == []


@pytest.mark.parametrize("fault", [Reset(20_000, of="request"), Cut(20_000, of="request")], ids=str)
async def test_a_request_cut_in_its_middle(both, fault):
    cluster, api = await both()
    await api.create("half-1")
    cluster.faults.add(fault, "POST *upload")
    with pytest.raises(aiohttp.ClientError):
        await upload(api, "half-1", "a.bin", b"x" * 1_000_000)
    assert not (cluster.sessions()[0].work_dir / "a.bin").exists()
    assert await upload(api, "half-1", "b.bin", b"x" * 100) == 204  # less than the limit


async def test_slow_close(cluster):
    with cluster.faults.add(SlowClose(0.4)):

        def keep_alive() -> tuple[float, float, bytes, str]:
            with dial(cluster) as sock:
                begin = time.monotonic()
                sock.sendall(GET)
                pieces, end = read(sock)
                return pieces[0][0] - begin, time.monotonic() - begin, pieces[0][1], end

        first, last, text, end = await asyncio.to_thread(keep_alive)
    assert b"\r\nConnection: close\r\n" in text
    assert first < 0.4 <= last
    assert end == "close"


async def test_new_connections(cluster):
    with cluster.faults.add(Reset(), "connect") as fault:
        text, end, _ = await asked(cluster)
    assert (text, end) == (b"", "reset")
    assert [hit.target for hit in fault.hits] == ["connect"]
    with cluster.faults.add(HalfOpen(), "connect"):
        assert (await asked(cluster, patience=0.3))[:2] == (b"", "silence")
    with cluster.faults.add(Latency(0.2), "connect"):  # on all of a connection's answers
        begin = time.monotonic()
        assert (await asked(cluster))[1] == "close"
        assert time.monotonic() - begin >= 0.2
    assert (await asked(cluster))[0].startswith(b"HTTP/1.1 200")


async def test_a_fault_strikes_only_what_it_is_set_on(both):
    cluster, api = await both()
    cluster.faults.add(Reset(), "GET /session/*")
    assert (await api("GET", "/")).status == 200
    assert (await api.create("spared-1")).status == 201
    with pytest.raises(aiohttp.ClientError):
        await api("GET", "/session/spared-1")


async def test_one_connection_is_struck_for_one_request_only(both):
    """A kept-alive connection: what was done to one answer is not done to the next."""
    cluster, api = await both()
    cluster.faults.add(Slices(50, pause=0.01), times=1)
    cluster.faults.add(Latency(0.2), times=1)
    first = time.monotonic()
    await api("GET", "/")
    second = time.monotonic()
    await api("GET", "/")
    assert second - first >= 0.2 > time.monotonic() - second


async def test_an_event_stream_is_subject_to_them(both, listen):
    cluster, api = await both()
    await api.create("eve-1")
    cluster.faults.add(Cut(600), "GET /events/session", times=1)
    events = await listen(api)
    await api("DELETE", "/session/eve-1")
    with contextlib.suppress(aiohttp.ClientPayloadError):
        async with asyncio.timeout(10):
            await events._task
    assert events._task.done()
    assert b"session_terminated" not in events.raw
    assert 0 < len(events.raw) < 600


async def test_a_websocket_is_subject_to_them(both):
    cluster, api = await both()
    await api.create("ws-1")
    cluster.faults.add(Reset(400), "GET /stream/session/*/execute")
    assert api._session is not None
    path = "/stream/session/ws-1/execute"
    headers = api.headers("GET", path, "application/octet-stream")
    async with api._session.ws_connect(cluster.endpoint + path, headers=headers) as ws:
        await ws.send_json({"mode": "query", "code": "for i in range(1000): print('x' * 50)"})
        message = await ws.receive(timeout=10)
    assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE}
    assert ws.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


def download(api: Any, session: str, name: str) -> Any:
    return api.open("POST", f"/session/{session}/download_single", query={"file": name})


async def test_a_download_is_subject_to_them(both):
    cluster, api = await both()
    await api.create("down-1")
    (cluster.sessions()[0].work_dir / "big.bin").write_bytes(bytes(900_000))
    cluster.faults.add(Cut(500_000), "POST /session/*/download_single", times=1)
    got = 0
    with pytest.raises(aiohttp.ClientPayloadError):
        async with download(api, "down-1", "big.bin") as response:
            assert response.status == 200
            async for chunk in response.content.iter_any():
                got += len(chunk)
    assert 400_000 < got < 500_000
    async with download(api, "down-1", "big.bin") as response:
        assert len(await response.read()) == 900_000


async def test_a_slow_line_makes_the_server_wait(both):
    """What is written waits for the line, and the writer with it."""
    cluster, api = await both()
    await api.create("wait-1")
    cluster.faults.add(Bandwidth(1_800_000), "* *download*")
    (cluster.sessions()[0].work_dir / "big.bin").write_bytes(bytes(900_000))
    begin = time.monotonic()
    async with download(api, "wait-1", "big.bin") as response:
        assert len(await response.read()) == 900_000
    assert time.monotonic() - begin >= 0.4


async def test_disconnect(both, listen):
    cluster, api = await both()
    events = await listen(api)
    assert cluster.disconnect("GET /vfolder*") == 0
    assert cluster.disconnect("GET /events*") == 1
    async with asyncio.timeout(10):
        await asyncio.wait([events._task])
    assert isinstance(events._task.exception(), aiohttp.ClientError)
    assert (await api("GET", "/")).status == 200


@pytest.mark.parametrize(
    "fault",
    [HalfOpen(), HalfOpen(50), Latency(600), Bandwidth(1), SlowClose(600), Slices(1, pause=60)],
    ids=str,
)
async def test_the_cluster_stops_at_once_all_the_same(start, fault):
    cluster = await start()
    injection = cluster.faults.add(fault)
    sockets = [dial(cluster) for _ in range(3)]
    try:
        for sock in sockets:
            sock.sendall(GET)
        await injection.await_hit(3)
        begin = time.monotonic()
        await cluster.astop()
        assert time.monotonic() - begin < 5
        for sock in sockets:
            sock.settimeout(5)
            assert read(sock)[1] in {"close", "reset"}
    finally:
        for sock in sockets:
            sock.close()
