"""One contract, several servers: the same scenarios on the local cluster and on real Backend.AI managers.

A scenario uses the public API only. Which server it runs on is an option: ``--contract-server local-26.9`` (the
default), ``local-23.09``, or the path of a JSON file that ``tools/cluster/cluster.py env`` has written for a real
cluster. One process tests one server; with ``--contract-report FILE`` it writes what became of each scenario, and
``tools/contract_matrix.py`` makes one table of several such files and judges it.

Marks say where servers are known to differ, each with the place in the protocol's description:

- ``fault(server, why)``: the scenario cannot hold there; it is run, and has to fail.
- ``differs(server, why)``: the scenario holds, and looks different there.
- ``absent(server, why)``: there is nothing to run it against.
- ``needs_code``: code must really run, which an agent without containers cannot do.

``server`` is a release (``"23.09"``, ``"26.9"``: the real one and the local cluster behaving like it) or a column
(``"23.9.10"``, ``"26.9.6"``, ``"local-23.09"``, ``"local-26.9"``).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio

from backendai_sdk import AsyncComputeSession, AsyncSession, LocalCluster
from backendai_sdk._wire.gql import data_of
from backendai_sdk.config import Config, Timeouts
from backendai_sdk.local import Agent

MARKS = {
    "fault(server, why)": "a known fault of that server: the scenario must fail there",
    "differs(server, why)": "holds, but looks different on that server",
    "absent(server, why)": "that server has nothing to run the scenario against",
    "needs_code": "code must really run",
}
# Real sessions take ten to thirty seconds to start on a small machine that does other things as well.
REAL = Timeouts(start=150, run=60, cleanup=60)
LOCAL = Timeouts(start=20, run=20, cleanup=10)
SMALL = "cpu=1 mem=512m"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption("--contract-server", default="local-26.9", help="local-26.9, local-23.09, or a JSON file")
    group.addoption("--contract-report", help="write what became of each scenario to this JSON file")


# --- servers ---------------------------------------------------------------------------------------------


@attrs.frozen
class Server:
    """What a scenario may know of the server it runs on."""

    name: str
    release: str
    is_local: bool
    agent: str
    config_of: Callable[[str], Config | None]
    web: str | None = None

    @property
    def image_to_save(self) -> str:
        """An image for sessions that are committed: a real one is compressed whole, so it is a small one."""
        return "python" if self.is_local else "python:slim"

    async def image_made(self, api: AsyncSession, name: str) -> str:
        """The reference of the image that a session was converted to under *name*; the SDK lists no images yet."""
        query = "query { images { registry name tag labels { key value } } }"
        answer = data_of(await api._client.gql({"query": query, "variables": {}}))
        label = {"key": "ai.backend.customized-image.name", "value": name}
        (image,) = (image for image in answer["images"] if label in image["labels"])
        return f"{image['registry']}/{image['name']}:{image['tag']}"

    def config(self, account: str = "user", **changes: Any) -> Config:
        """The settings of one of its accounts: ``user``, ``admin``, ``other``, ``tight`` or ``idle``."""
        config = self.config_of(account)
        if config is None:
            pytest.skip(f"{self.name} has no account {account!r}")
        return attrs.evolve(config, **changes)

    def api(self, account: str = "user", **changes: Any) -> AsyncSession:
        """A client session of one of its accounts."""
        return AsyncSession(config=self.config(account, **changes))

    def web_config(self, account: str = "user", **changes: Any) -> Config:
        """The settings to sign in at its web server."""
        config = self.config(account)
        return attrs.evolve(config, endpoint=self.web or config.endpoint, endpoint_type="session", **changes)

    def is_one_of(self, *names: str) -> bool:
        """Whether it is that column, or of that release."""
        return self.name in names or self.release in names


def _real(path: Path) -> Server:
    told = json.loads(path.read_text(encoding="utf-8"))
    accounts = told["accounts"]

    def config_of(account: str) -> Config | None:
        if account not in accounts:
            return None
        keys = accounts[account]
        return Config(
            endpoint=told["endpoint"],
            access_key=keys["access_key"],
            secret_key=keys["secret_key"],
            username=keys["email"],
            password=keys["password"],
            timeouts=REAL,
        )

    return Server(
        told["release"], _release(told["release"]), False, told["agent"], config_of, told.get("webserver")
    )


def _local(name: str, running: ExitStack) -> Server:
    release = name.removeprefix("local-")
    # As small as the real ones, so that what does not fit there does not fit here.
    agents = [Agent("i-local", cpu=8, mem="16g", accelerators={})]
    # Sessions take a moment to start, as they do elsewhere: what happens meanwhile can be seen.
    roomy = running.enter_context(LocalCluster(release=release, agents=agents, step_delay=0.1))
    # Limits are the whole cluster's here, not an account's.
    special = {
        "tight": LocalCluster(release=release, agents=agents, max_concurrent_sessions=1),
        "idle": LocalCluster(release=release, agents=agents, idle_timeout=1.0),
    }
    other = roomy.add_user("other@local.test")

    def config_of(account: str) -> Config | None:
        cluster = special.get(account, roomy)
        cluster.start()  # does nothing if it runs
        running.callback(cluster.stop)
        keys = {"admin": cluster.admin, "other": other}.get(account, cluster.user)
        return Config(
            endpoint=cluster.endpoint,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            username=keys.email,
            password=keys.password,
            timeouts=LOCAL,
        )

    return Server(name, release, True, "local", config_of)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server that the contract is held against."""
    name = request.config.getoption("--contract-server")
    with ExitStack() as running:
        yield _local(name, running) if name.startswith("local-") else _real(Path(name))


# --- what scenarios share --------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(server: Server) -> AsyncIterator[AsyncSession]:
    """The plain user's client session."""
    async with server.api() as session:
        yield session


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(server: Server) -> AsyncIterator[AsyncSession]:
    """An administrator's client session."""
    async with server.api("admin") as session:
        yield session


@pytest.fixture
def unique() -> str:
    """A name that no other scenario has, as a beginning of names."""
    return f"ct-{secrets.token_hex(5)}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def keeper(api: AsyncSession) -> AsyncIterator[Keeper]:
    """Holds the session that scenarios share."""
    held = Keeper(api)
    yield held
    await held.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cs(keeper: Keeper) -> AsyncComputeSession:
    """A running session, shared between scenarios that leave it as they found it."""
    return await keeper.running()


class Keeper:
    """One running session for many scenarios; one that has ended or is blocked is replaced."""

    def __init__(self, api: AsyncSession) -> None:
        self._api = api
        self._cs: AsyncComputeSession | None = None

    async def running(self) -> AsyncComputeSession:
        if self._cs is not None and not (await self._cs.refresh()).status.is_running:
            self._cs = None
        if self._cs is None:
            self._cs = await self._api.create("python", resources=SMALL, tag="shared")
        return self._cs

    async def close(self) -> None:
        if self._cs is not None:
            await self._cs.destroy(forced=True)


# --- marks and the report --------------------------------------------------------------------------------

_REPORT = pytest.StashKey["Report"]()


@attrs.define
class Report:
    """What became of each scenario, collected where the tests are reported (with xdist: in the main process)."""

    path: str | None
    server: str
    rows: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "/contract/" not in report.nodeid and "contract/" not in report.location[0]:
            return
        row = self.rows.setdefault(
            report.nodeid.rpartition("contract/")[2], {"outcome": "passed", "seconds": 0.0, "notes": []}
        )
        row["line"] = report.location[1]
        row["seconds"] += report.duration
        for name, value in report.user_properties:
            if name == "note" and value not in row["notes"]:
                row["notes"].append(value)
        if report.skipped:
            row["outcome"] = "fault" if hasattr(report, "wasxfail") else "absent"
            if row["outcome"] == "absent" and isinstance(report.longrepr, tuple):
                row["notes"].append(report.longrepr[2])
        elif report.failed:
            row["outcome"] = "failed"

    def pytest_sessionfinish(self) -> None:
        if self.path is not None:
            told = {"server": self.server, "scenarios": self.rows}
            Path(self.path).write_text(json.dumps(told, indent=1), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")
    path = config.getoption("--contract-report", None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(path, _told(config)[0]), "contract-report")


def _told(config: pytest.Config) -> tuple[str, str, str]:
    """The server's column, the release that it is or behaves like, and the kind of its agent."""
    name = config.getoption("--contract-server")
    if name.startswith("local-"):
        return name, name.removeprefix("local-"), "local"
    told = json.loads(Path(name).read_text(encoding="utf-8"))
    return told["release"], _release(told["release"]), told["agent"]


def _release(version: str) -> str:
    """``23.9.10`` is of release 23.09."""
    year, month, *_ = version.split(".")
    return f"{year}.{month}" if int(year) > 23 else f"{year}.{int(month):02}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    column, release, agent = _told(config)
    here = {column, release}
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        # A scenario on a real server that does other things as well; nothing local comes near it.
        item.add_marker(pytest.mark.timeout(30 if agent == "local" else 300))
        for mark in item.iter_markers("differs"):
            if mark.args[0] in here:
                item.user_properties.append(("note", mark.args[1]))
        for mark in item.iter_markers("absent"):
            if mark.args[0] in here:
                item.add_marker(pytest.mark.skip(reason=mark.args[1]))
        for mark in item.iter_markers("fault"):
            if mark.args[0] in here:
                item.user_properties.append(("note", mark.args[1]))
                raises = mark.kwargs.get("raises", AssertionError)
                item.add_marker(pytest.mark.xfail(reason=mark.args[1], strict=True, raises=raises))
        if agent == "dummy" and item.get_closest_marker("needs_code"):
            item.add_marker(pytest.mark.skip(reason="no code runs: the agent has no containers here"))
