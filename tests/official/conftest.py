"""The official client, `backend.ai-client`, against a local cluster that runs as a process of its own.

``python tools/official_client.py install`` prints the folder that ``--official-client`` wants; without the option these
tests are skipped. Assumes nothing of a client but its commands: each runs as a child process with a time limit,
because an official client that meets a surprise may hang.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from backendai_sdk import Session

LIMIT = 60.0  # for one command: loaded machines need several seconds for a client's imports alone
RELEASES = {
    "23.9.10": "23.09",
    "26.9.6": "26.9",
}  # a client's version: the server's release that it belongs to
REASON = (
    "needs the official client: run `python tools/official_client.py install`, then pass --official-client"
)


# --- which clients --------------------------------------------------------------------------------------


@attrs.frozen
class Official:
    """One installed official client."""

    folder: Path
    version: str

    @property
    def release(self) -> str:
        return RELEASES[self.version]

    @property
    def modern(self) -> bool:
        return self.version != "23.9.10"

    def __str__(self) -> str:
        return self.version


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--official-client",
        action="append",
        default=[],
        metavar="VENV",
        help="the virtual environment of an official client, from tools/official_client.py; may be repeated",
    )


_CLIENTS = pytest.StashKey[list[Official]]()


def pytest_configure(config: pytest.Config) -> None:
    # The option is unknown when this file is met only during collection: then nobody has given it.
    folders = config.getoption("official_client", default=[])
    config.stash[_CLIENTS] = [_installed(Path(folder).resolve()) for folder in folders]


def _installed(folder: Path) -> Official:
    code = "import importlib.metadata as m; print(m.version('backend.ai-client'))"
    try:
        done = subprocess.run([folder / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise pytest.UsageError(f"--official-client {folder}: no backend.ai-client there ({error})") from None
    version = done.stdout.strip()
    if version not in RELEASES:
        raise pytest.UsageError(f"--official-client {folder}: {version} is none of {', '.join(RELEASES)}")
    return Official(folder, version)


class Skipped(pytest.Module):
    """A module without the client that it is about: one line in the summary, not one for each test."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return None if parent.config.stash[_CLIENTS] else Skipped.from_parent(parent, path=module_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "official" in metafunc.fixturenames:
        clients = metafunc.config.stash[_CLIENTS]
        metafunc.parametrize("official", clients, ids=str, indirect=True, scope="session")


@pytest.fixture(scope="session")
def official(request: pytest.FixtureRequest) -> Official:
    """The client under test."""
    return request.param


# --- the cluster ----------------------------------------------------------------------------------------


@attrs.frozen
class Cluster:
    """A local cluster in a process of its own, known by what that has printed."""

    exports: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables as a shell reads them."""
        command = ["sh", "-c", '. "$0" && env -0', str(self.exports)]
        found = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
        pairs = (item.partition("=") for item in found.stdout.decode().split("\0"))
        return {name: value for name, _, value in pairs if name.startswith("BACKEND_")}

    def connect(self) -> Session:
        """Our own client, for what a test needs besides the commands that it is about."""
        env = self.environment
        return Session(
            env["BACKEND_ENDPOINT"],
            access_key=env["BACKEND_ACCESS_KEY"],
            secret_key=env["BACKEND_SECRET_KEY"],
        )


@contextmanager
def running_cluster(folder: Path, release: str, *options: str) -> Iterator[Cluster]:
    exports = folder / "exports"
    command = [sys.executable, "-m", "backendai_sdk.local", "--release", release, *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            exports.write_text("".join(process.stdout.readline() for _ in range(4)), "utf-8")
            yield Cluster(exports)
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def roomy(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests of a module; each leaves no live session in it."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), official.release) as cluster:
        yield cluster


@pytest.fixture
def api(roomy: Cluster) -> Iterator[Session]:
    """Our client of the module's cluster; at the end of the test all sessions are removed."""
    with roomy.connect() as api:
        yield api
        if left := [row.id for row in api.list(page_size=100)]:
            api.destroy(*left)


@pytest.fixture
def full(api: Session) -> Session:
    """The cluster with all of its 16 cpus taken by `holder-1`: what comes next waits."""
    api.create("python", name="holder-1", resources="cpu=16 mem=1g")
    return api


# --- commands -------------------------------------------------------------------------------------------


def shown(text: str) -> list[str]:
    """The lines that a terminal would show at last: what is overwritten on a line is gone, as are progress bars."""
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    return [line for line in lines if line.strip() and not re.match(r"(Up|Down)loading files: ", line)]


@attrs.frozen
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """What it said to the person in front of it."""
        return shown(self.err)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table that it printed."""
        head, rule, *rows = self.out.splitlines()
        spans = [match.span() for match in re.finditer("-+", rule)]
        cells = [[row[begin:end].strip() for begin, end in spans] for row in (head, *rows)]
        return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


@attrs.frozen
class Commands:
    """Starts the official client, in a folder and with the settings that the cluster has printed."""

    official: Official
    folder: Path
    environment: dict[str, str]

    def __call__(self, *args: str, stdin: str = "") -> Done:
        """Run `backend.ai` to its end."""
        return self.run(["backend.ai", *args], stdin)

    def ok(self, *args: str, stdin: str = "") -> Done:
        """The same, for a command that must succeed."""
        done = self(*args, stdin=stdin)
        assert done.code == 0, done
        return done

    def json(self, *args: str) -> Any:
        return json.loads(self.ok("--output", "json", *args).out)

    def script(self, code: str) -> Any:
        """Run Python code in the client's environment; what it printed, read as JSON."""
        done = self.run(["python", "-c", code], "")
        assert done.code == 0, done
        return json.loads(done.out)

    def run(self, command: list[str], stdin: str) -> Done:
        with self.start(*command) as child:
            try:
                out, err = child.communicate(stdin.encode(), timeout=LIMIT)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
                pytest.fail(f"{shlex.join(command)} has hung; so far: {out!r} {err!r}")
        return Done(child.returncode, out.decode(), err.decode())

    @contextmanager
    def start(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs; it is killed at the end of the block if it still does."""
        name, *args = command
        pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        program = [str(self.official.folder / "bin" / name), *args]
        with subprocess.Popen(program, cwd=self.folder, env=self.environment, **pipes) as child:
            try:
                yield child
            finally:
                child.kill()


@pytest.fixture
def commands_of(official: Official, tmp_path: Path) -> Callable[[Cluster], Commands]:
    """Commands for a cluster, in an empty folder and without anything of whoever runs the tests."""

    def make(cluster: Cluster) -> Commands:
        folder, home = tmp_path / "work", tmp_path / "home"
        folder.mkdir()
        home.mkdir()
        settings = {
            "HOME": str(home),
            "PYTHONWARNINGS": "ignore",
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
        }
        return Commands(official, folder, {**settings, **cluster.environment})

    return make


@pytest.fixture
def backendai(commands_of: Any, roomy: Cluster, api: Session) -> Commands:
    """The `backend.ai` command of the module's cluster."""
    return commands_of(roomy)


# --- following events -----------------------------------------------------------------------------------


class Relay:
    """Passes connections on to a cluster, and knows when it has begun to answer with a stream of events."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition("/")[2].partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.following = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._pass, args=pair))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if b"text/event-stream" in data and data.startswith(b"HTTP/1.1 200"):
                    self.following.set()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side has gone, or the test is over

    def close(self) -> None:
        for thing in self._sockets:
            with suppress(OSError):  # its other side has gone already
                thing.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)
        for thing in self._sockets:
            thing.close()


@attrs.frozen
class Following:
    """A command that follows a session's events, and has begun to."""

    child: subprocess.Popen[bytes]

    def lines(self, last: str) -> list[str]:
        """The lines up to the one that begins with `last`."""
        assert self.child.stdout is not None
        found: list[str] = []
        for line in self.child.stdout:
            found.append(line.decode().rstrip("\n"))
            if found[-1].startswith(last):
                return found
        pytest.fail(f"ended without {last}: {found}")

    def stop(self) -> int:
        """Press Ctrl-C; the exit status."""
        self.child.send_signal(signal.SIGINT)
        return self.child.wait(LIMIT)


@pytest.fixture
def follow(backendai: Commands) -> Iterator[Callable[..., Any]]:
    """Start a command that follows events; returns when the server has begun to send them."""
    relay = Relay(backendai.environment["BACKEND_ENDPOINT"])
    relayed = attrs.evolve(
        backendai, environment={**backendai.environment, "BACKEND_ENDPOINT": relay.endpoint}
    )

    @contextmanager
    def begin(*args: str) -> Iterator[Following]:
        with relayed.start("backend.ai", *args) as child:
            assert relay.following.wait(LIMIT), "no stream of events was asked for"
            yield Following(child)

    yield begin
    relay.close()
