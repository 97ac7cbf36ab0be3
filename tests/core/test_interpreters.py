"""Images that run another interpreter: by name, on every release, async and blocking; what else a session can still works."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import AsyncSession, ExecutionFailed, ExecutionTimeout, InputRequest, NotFound, Stdout
from backendai_sdk.local import Image, LocalCluster

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])
TRANSPORTS = pytest.mark.parametrize("transport", ["rest", "websocket"])
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
OTHERS = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[23].*/bin/python3"))


@RELEASES
async def test_bash_sessions(api: Any) -> None:
    async with api.create("bash") as cs:
        assert (await cs.execute("x=41; cd /; greet() { echo hello $1; }")).ok
        result = await cs.execute("echo $((x + 1)); greet you; pwd; echo oops >&2")
        assert (result.stdout, result.stderr, result.exit_code) == ("42\nhello you\n/\n", "oops\n", 0)
        result = await cs.execute("(exit 3)")
        assert (result.ok, result.exit_code) == (False, 3)
        with pytest.raises(ExecutionFailed):
            await cs.execute("no_such_command", check=True)
        assert (
            await cs.execute("read -p 'who? ' name; echo hi $name", stdin=["Ada"])
        ).stdout == "who? hi Ada\n"
        with pytest.raises(ExecutionTimeout):
            await cs.execute("sleep 600", timeout=0.5)
        assert (await cs.execute("echo $x")).stdout == "41\n"
        assert (await cs.complete("ech")).matches == ()


@TRANSPORTS
async def test_bash_streams_and_asks(api: Any, transport: str) -> None:
    async with api.create("bash") as cs:
        seen = []
        async with cs.stream_execute("echo one; read -s x; echo got $x", transport=transport) as run:
            async for item in run:
                if isinstance(item, InputRequest):
                    seen.append(item.is_password)
                    await run.send_input("it")
                elif isinstance(item, Stdout):
                    seen.append(item.text)
        assert seen == ["one\n", True, "got it\n"]


async def test_all_else_works_in_a_bash_session(api: Any, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(256)) * 12_000)
    async with api.create("bash") as cs:
        await cs.upload([big], to="data")
        assert (await cs.execute("wc -c < data/big.bin")).stdout.strip() == str(big.stat().st_size)
        assert [file.path for file in await cs.list_files("data")] == ["data/big.bin"]
        assert await cs.read_file("data/big.bin") == big.read_bytes()
        await cs.write_file("run.sh", "echo ran with $1\n")
        result = await cs.execute_batch(build="bash -n run.sh", exec="bash run.sh 1")
        assert (result.stdout, result.exit_code) == ("ran with 1\n", 0)
        async with cs.forward_port("simple") as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
            writer.write(b"GET /run.sh HTTP/1.0\r\n\r\n")
            assert b"ran with" in await reader.read()
            writer.close()
        await cs.execute("x=1")
        await cs.restart()
        assert (await cs.execute("echo ${x-gone}")).stdout == "gone\n"
        assert "gone" in await cs.logs()


@needs_node
@RELEASES
async def test_node_sessions(api: Any) -> None:
    async with api.create("node") as cs:
        assert (await cs.execute("const x = 41; function next() { return x + 1 }")).ok
        result = await cs.execute("console.log(next()); console.error('oops')")
        assert (result.stdout, result.stderr, result.exit_code) == ("42\n", "oops\n", 0)
        result = await cs.execute("null.x")
        assert (result.ok, result.exit_code) == (False, 1)
        assert "TypeError" in result.stderr
        with pytest.raises(ExecutionTimeout):
            await cs.execute("while (true) {}", timeout=0.5)
        assert (await cs.execute("console.log(x)")).stdout == "41\n"
        assert "Math.sqrt" in (await cs.complete("Math.sq")).matches


@pytest.mark.skipif(not OTHERS, reason="no Python 3.12 or 3.13 in ~/.pyenv")
@pytest.mark.parametrize("python", OTHERS, ids=lambda path: path.parent.parent.name)
async def test_a_python_of_a_given_path(api: Any, python: Path) -> None:
    version = "import platform; print(platform.python_version())"
    async with api.create(f"python:{python}") as cs:
        assert (await cs.execute(version)).stdout.strip() == python.parent.parent.name
        result = await cs.execute_batch(exec=f"python -c '{version}'")
        assert result.stdout.strip() == python.parent.parent.name
        info = await cs.refresh()
        async with api.create(info.image) as same:  # the reference under which it is listed
            assert (await same.execute(version)).stdout.strip() == python.parent.parent.name


@RELEASES
async def test_what_is_not_there_is_refused(api: Any) -> None:
    for image in ("python:/no/such/python", "perl"):
        with pytest.raises(NotFound):
            await api.create(image)


async def test_an_image_of_my_own() -> None:
    mine = Image(name="lab/shell", tag="1", aliases=("sh",), interpreter="bash")
    async with LocalCluster(images=[mine]) as cluster:
        async with AsyncSession(
            endpoint=cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key
        ) as api:
            result = await api.run("sh", code="echo $BASH_VERSION", rm=True)
            assert result.stdout.strip()
            with pytest.raises(NotFound):
                await api.create("python")
