"""A kernel as a notebook has it, and a small cluster in this process that its cells work on.

What a cell shows is told to the test as it comes, so a test acts when it sees something and not after a while.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from jupyter_client.manager import KernelManager

from backendai_sdk import Session
from backendai_sdk.local import Agent, LocalCluster


@attrs.define
class Ran:
    """What one cell has shown, in order."""

    messages: list[dict[str, Any]]
    reply: dict[str, Any]

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [m["content"] for m in self.messages if m["msg_type"] in kinds]

    @property
    def stdout(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stderr")

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The bundles that were displayed, last values included."""
        return [c["data"] for c in self.of("display_data", "update_display_data", "execute_result")]

    @property
    def error(self) -> str:
        """The error as the notebook shows it; nothing if the cell went well."""
        errors = self.of("error")
        assert bool(errors) == (self.reply["status"] == "error")
        return "\n".join(errors[0]["traceback"]) if errors else ""


class Kernel:
    """A kernel, whose cells are run one after the other."""

    def __init__(self, manager: KernelManager) -> None:
        self._manager = manager
        self._client = manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(
        self,
        code: str,
        *,
        answers: tuple[str, ...] | None = None,
        seen: Callable[[dict[str, Any]], None] = lambda message: None,
    ) -> Ran:
        """Run a cell; *answers* are what the user types (``None``: nobody can), *seen* is called with each message."""
        messages: list[dict[str, Any]] = []
        typed = iter(answers or ())

        def hook(message: dict[str, Any]) -> None:
            messages.append(message)
            seen(message)

        def asked(message: dict[str, Any]) -> None:
            hook(message)
            if (line := next(typed, None)) is not None:
                self._client.input(line)

        # After an error, kernels would drop what comes soon after.
        reply = self._client.execute_interactive(
            code,
            allow_stdin=answers is not None,
            output_hook=hook,
            stdin_hook=asked,
            stop_on_error=False,
            timeout=50,
        )
        return Ran(messages, reply["content"])

    def complete(self, code: str) -> tuple[str, list[str]]:
        """What is to be replaced at the end of the code, and by what."""
        reply = self._client.complete(code, reply=True, timeout=20)["content"]
        return code[reply["cursor_start"] : reply["cursor_end"]], reply["matches"]

    def interrupt(self) -> None:
        """What the stop button does."""
        self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with room for two cpus: what does not fit waits."""
    with LocalCluster(agents=[Agent("i-small", cpu=2, mem="4g", accelerators={})]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def environment(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the kernels: the cluster's settings, and nothing of whoever runs the tests."""
    home = tmp_path_factory.mktemp("jupyter")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKEND_", "JUPYTER"))}
    return kept | {
        "BACKEND_ENDPOINT": cluster.endpoint,
        "BACKEND_ACCESS_KEY": cluster.access_key,
        "BACKEND_SECRET_KEY": cluster.secret_key,
        "IPYTHONDIR": str(home),
        "JUPYTER_RUNTIME_DIR": str(home),
    }


@pytest.fixture(scope="module")
def shared_kernel(environment: dict[str, str]) -> Iterator[Kernel]:
    manager = KernelManager(transport="ipc", connection_file=str(Path(environment["IPYTHONDIR"], "k.json")))
    manager.start_kernel(env=environment)
    kernel = Kernel(manager)
    try:
        ran = kernel.run("%load_ext backendai_sdk.notebook\n%backendai connect")
        assert not ran.error
        assert not kernel.run("%backendai use shared --image python --resources cpu=1 mem=1g").error
        yield kernel
    finally:
        kernel.close()


@pytest.fixture
def kernel(shared_kernel: Kernel, cluster: LocalCluster) -> Iterator[Kernel]:
    """The module's kernel; the session `shared` is in use, and is the only one, before and after each test."""
    yield shared_kernel
    left = [s.name for s in cluster.live_sessions() if s.status != "TERMINATING"]
    assert left == ["shared"]


@pytest.fixture
def api(cluster: LocalCluster) -> Iterator[Session]:
    """A client session of the test's own."""
    with Session(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key) as session:
        yield session
