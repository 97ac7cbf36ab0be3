"""The paths and parameters that a real 26.9.6 has, against those that the SDK and the local cluster use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from recorded.capture import WIRE
from recorded.replay import Stage

from backendai_sdk._wire.creation import CreateSpec, create_body
from backendai_sdk._wire.run_requests import RunRequests
from backendai_sdk.enums import ClusterMode, SessionType
from backendai_sdk.local import LocalCluster
from backendai_sdk.local.creation import create_fields
from backendai_sdk.local.releases import RELEASES
from backendai_sdk.local.routes import ROUTES
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.models.slots import ResourceSlots

PACKAGE = Path(__file__).resolve().parents[2] / "backendai_sdk"


def real_routes() -> dict[str, set[str]]:
    lines = (WIRE / "routes-26.9.6.txt").read_text("utf-8").splitlines()
    return {path: set(methods) for path, *methods in map(str.split, lines) if path.startswith("/")}


def real_fields(request: str) -> dict[str, tuple[str, ...]]:
    """The names that each parameter of a request may have, by the first of them."""
    text = (WIRE / "request-fields-26.9.6.txt").read_text("utf-8")
    block = re.search(rf"^{request}: .*\n((?:    .*\n)+)", text, re.MULTILINE)
    assert block is not None
    found = re.findall(r"^    (\w+) .*accepts: (.*)$", block[1], re.MULTILINE)
    return {name: tuple(names.split(", ")) for name, names in found}


# Parameters of a create request that the local cluster does not read, and why.
FIELDS_LESS: Mapping[str, str] = {
    "job_priority": "sessions are not ordered among those of one user here",
    "is_preemptible": "no session is ever preempted here",
}


# What a real server has under the same roofs, and the local cluster has not (yet).
ROUTES_LESS = """
/auth: authorize logout my-ip signout signup ssh-keypair update-full-name update-password update-password-no-auth
/config: delete docker-registries get set
/manager: prom scheduler/operation scheduler/status scheduler/trigger
/resource: container-registries recalculate-usage stats/admin/month stats/user/month usage/month usage/period watcher
/resource: watcher/agent/restart watcher/agent/start watcher/agent/stop
/session: _/create-cluster _/create-from-template _/sync-agent-registry
"""


METHODS_LESS: dict[str, set[str]] = {}


def local_routes() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in ROUTES:
        for path in route.paths:
            found.setdefault(path, set()).update(route.methods)
    return found


async def test_the_local_cluster_has_no_paths_of_its_own() -> None:
    """Paths of other releases are in its table too: they must not be answered."""
    real = real_routes()
    more = [
        (m, p)
        for p, methods in local_routes().items()
        for m in methods - real.get(p, {"GET"} if p == "/" else set())
    ]
    assert more, "the table has nothing but this release's paths: then this test is not needed"
    async with LocalCluster("26.9") as cluster, Stage(cluster) as stage:
        for method, path in more:
            answer = await stage.call(method, path.replace("{session_name}", "any"))
            assert answer.status in {404, 405}, f"{method} {path}: {answer}"
            assert answer.json["type"].endswith(("/url-not-found", "/method-not-allowed"))


def test_what_the_local_cluster_lacks_is_listed() -> None:
    listed = {
        f"{roof}/{path}"
        for roof, _, paths in (line.partition(": ") for line in ROUTES_LESS.strip().splitlines())
        for path in paths.split()
    }
    roofs = {path.partition("/")[0] for path in (p.removeprefix("/") for p in listed)}
    real = {path for path in real_routes() if path.split("/")[1] in roofs and "prometheus" not in path}
    local = local_routes()
    assert real - set(local) == listed
    methods = {path: real_routes()[path] - local[path] - {"HEAD"} for path in real & set(local)}
    assert {path: missing for path, missing in methods.items() if missing} == METHODS_LESS


def test_the_sdk_asks_paths_that_the_server_has() -> None:
    real = {re.sub(r"\{\w+\}", "{}", path) for path in real_routes()} | {"/"}
    asked: set[str] = set()
    for file in sorted(PACKAGE.glob("_async/*.py")) + sorted(PACKAGE.glob("_transport/*.py")):
        asked |= set(
            re.findall(r'"(/(?:session|events|admin|auth|folders|stream)[\w/{}-]*)"', file.read_text("utf-8"))
        )
    assert len(asked) > 8
    assert asked <= real


def test_the_local_cluster_takes_the_same_parameters_under_the_same_names() -> None:
    real = real_fields("CreateFromParamsRequest")
    local = {field.names[0]: field.names for field in create_fields(RELEASES["26.9"])}
    known = {name: names for name, names in real.items() if name not in FIELDS_LESS}
    assert {name: set(names) for name, names in local.items()} == {
        name: set(names) for name, names in known.items()
    }
    assert set(FIELDS_LESS) <= set(real)


def test_the_sdk_sends_parameters_that_the_server_takes() -> None:
    spec = CreateSpec(  # everything that can be asked for
        name="every-option",
        image="python",
        type=SessionType.BATCH,
        resources=ResourceSlots.parse("cpu=1 mem=1g"),
        resource_opts={"shmem": "64m"},
        mounts={"data": "/data"},
        env={"A": "1"},
        startup_command="true",
        bootstrap_script="true",
        cluster_size=1,
        cluster_mode=ClusterMode.SINGLE_NODE,
        scaling_group="default",
        tag="tag",
        dependencies=["other"],
        callback_url="http://localhost/",
        starts_at="2030-01-01T00:00:00+00:00",
        architecture="x86_64",
        domain="default",
        project="default",
        owner_access_key="AK",
        preopen_ports=[8080],
        agents=["i-1"],
        priority=10,
        batch_timeout="2h",
    )
    server = ServerInfo(
        api_version="v9.20250722", server_version="v9.20250722", manager="26.9.6", release=(26, 9, 6)
    )
    sent = set(create_body(spec, server, reuse=True))
    assert len(sent) == 21
    assert sent <= {name for names in real_fields("CreateFromParamsRequest").values() for name in names}


def test_the_sdk_sends_an_execution_that_the_server_takes() -> None:
    # The one key that it does not take, `runId`, is what other releases read.
    assert set(RunRequests("1").first("query", "1", {})) - set(real_fields("ExecuteRequest")) == {"runId"}
