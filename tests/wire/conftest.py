"""Scripted managers, client sessions of them, and a look at what every test leaves behind."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from by_path import load

from backendai_sdk import AsyncSession
from backendai_sdk._transport import Transport
from backendai_sdk.config import Config, Timeouts
from backendai_sdk.retry import RetryPolicy

manager = load("wire_manager", Path(__file__).with_name("manager.py"))
load("wire_herd", Path(__file__).with_name("herd.py"))

FAST = RetryPolicy(base=0.01, cap=0.02)
LIMITS = Timeouts(connect=2, request=5, silence=2, cleanup=2)


def settings(endpoint: Any, **given: Any) -> Config:
    """Complete settings for a server of a test."""
    if given.get("endpoint_type") != "session":
        given = {"access_key": manager.ACCESS, "secret_key": manager.SECRET} | given
    return Config(endpoint=endpoint, **({"retry": FAST, "timeouts": LIMITS} | given))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What is closed when the test is over, the last opened first."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def serve(stack: AsyncExitStack) -> Callable[..., Any]:
    """Start a scripted manager: ``await serve(script, ...)``."""

    async def start(script: Any = None, **options: Any) -> Any:
        return await stack.enter_async_context(manager.Manager(script, **options))

    return start


@pytest.fixture
def client(stack: AsyncExitStack) -> Callable[..., Any]:
    """A client session: ``await client(endpoint, ...)``."""

    async def start(endpoint: Any, **given: Any) -> AsyncSession:
        where = getattr(endpoint, "endpoint", endpoint)
        return await stack.enter_async_context(AsyncSession(config=settings(where, **given)))

    return start


@pytest.fixture
def transport(stack: AsyncExitStack) -> Callable[..., Any]:
    """A bare transport: ``transport(endpoint, ...)``."""

    def make(endpoint: Any, **given: Any) -> Transport:
        where = getattr(endpoint, "endpoint", endpoint)
        made = Transport(settings(where, **given))
        stack.push_async_callback(made.close)
        return made

    return make


@pytest.fixture
async def closed_port() -> str:
    """An address on which nothing listens."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session", autouse=True)
def _old_objects() -> Iterator[None]:
    """What is there before the tests need not be looked through after each of them."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    """No task outlives its test; an open socket would be a ResourceWarning, which is an error."""
    before = asyncio.all_tasks()
    yield
    for _ in range(3):
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert not left, f"tasks are left: {left}"
    gc.collect()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    return both


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
