"""Running code over a WebSocket, frame by frame as captured from real servers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]


@asynccontextmanager
async def socket_of(api, name, path="execute"):
    target = f"/stream/session/{name}/{path}"
    headers = api.headers("GET", target, "application/octet-stream")
    async with api._session.ws_connect(api.endpoint + target, headers=headers) as socket:
        yield socket


async def frames_of(socket):
    """All frames up to the one that ends the run."""
    frames = [await socket.receive_json(timeout=20)]
    while frames[-1]["status"] not in {"finished", "waiting-input", "error"}:
        frames.append(await socket.receive_json(timeout=20))
    return frames


def text_of(frames, kind="stdout"):
    return "".join(text for frame in frames for where, text in frame["console"] if where == kind)


@pytest.mark.parametrize("release", RELEASES)
async def test_query(both, release):
    _, api = await both(release)
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_json({"mode": "query", "code": "for i in range(3): print(i)", "options": {}})
        frames = await frames_of(socket)
    assert set(frames[-1]) == {"status", "console", "exitCode", "options", "files"}
    assert (frames[-1]["exitCode"], text_of(frames)) == (0, "0\n1\n2\n")


async def test_input_is_a_bare_frame(both):
    _, api = await both()
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_json({"mode": "query", "code": "print('got', input('say: '))", "options": {}})
        frames = await frames_of(socket)
        assert (frames[-1]["status"], frames[-1]["options"]) == ("waiting-input", {"is_password": False})
        await socket.send_str('{"mode": "input"}')
        frames = await frames_of(socket)
    assert text_of(frames) == 'got {"mode": "input"}\n'


async def test_batch(both):
    _, api = await both("23.09")
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_json({"mode": "batch", "code": "", "options": {"exec": "echo ran; exit 3"}})
        frames = await frames_of(socket)
    words = [f["status"] for f in frames if f["status"] != "continued"]
    assert words == ["clean-finished", "build-finished", "finished"]
    assert (frames[-1]["exitCode"], text_of(frames)) == (3, "ran\n")


async def test_output_comes_while_the_code_runs(both):
    _, api = await both()
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_json({"mode": "query", "code": "print('first', flush=True)\nprint(input())"})
        seen = ""
        while "first" not in seen:
            seen += text_of([await socket.receive_json(timeout=20)])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("{nope", "Invalid API parameters"),
        ('{"mode": "bogus"}', "InvalidStreamMode"),
        ("[]", "InvalidStreamMode"),
    ],
)
async def test_a_frame_that_starts_nothing(both, frame, said):
    _, api = await both()
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_str(frame)
        (answer,) = await frames_of(socket)
    assert answer["status"] == "error"
    assert said in answer["msg"]


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "input()"])
async def test_leaving_interrupts_the_code(both, code):
    _, api = await both()
    await api.create("code-1")
    async with socket_of(api, "code-1") as socket:
        await socket.send_json({"mode": "query", "code": code})
        await socket.receive_json(timeout=20)
    # The next run waits for the end of that one, and gets its turn.
    async with asyncio.timeout(20):
        assert await api.run("code-1", "print('free')") == "free\n"


async def test_refused_before_the_upgrade(both):
    _, api = await both()
    answer = await api("GET", "/stream/session/no-such/execute")
    assert answer.status == 404
