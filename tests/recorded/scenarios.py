"""The captures as stories: which belong together, on what kind of cluster, and what has to happen in between.

Within a scenario requests are sent in the order in which they were recorded. The session that a request needs and no
capture has created is made first. What is asked differently here than there is said in `changes`, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from backendai_sdk.local import Agent, Image, LocalCluster

from .capture import Capture, captures
from .replay import Change, Hook, Stage

CAPTURES = captures()
MIB = 1024 * 1024
LOCAL_RELEASES = {"23.9.10": "23.09", "26.9.6": "26.9"}


@attrs.frozen(kw_only=True)
class Scenario:
    """Some captures that are replayed on one cluster."""

    name: str
    release: str
    claims: Callable[[Capture], bool]
    options: Mapping[str, Any] = attrs.field(factory=dict)
    before: Mapping[str, Hook] = attrs.field(factory=dict)
    changes: Mapping[str, Change] = attrs.field(factory=dict)
    finally_: Hook | None = None
    hang_up: Mapping[str, str] = attrs.field(
        factory=dict
    )  # before which request the recorder left which stream
    set_up: frozenset[str] = frozenset()  # replayed for what they bring about, compared elsewhere

    def __str__(self) -> str:
        return f"{self.release}/{self.name}"

    def captures(self) -> list[Capture]:
        """In the order in which they were sent; those without a date where their number puts them."""
        own = [
            c for c in CAPTURES if c.release == self.release and (self.claims(c) or c.number in self.set_up)
        ]
        dates: dict[str, str] = {}
        last = ""
        for capture in own:
            dates[capture.name] = last = capture.moment or last
        return sorted(own, key=lambda c: dates[c.name])


def _family(*names: str, but: str = "") -> Callable[[Capture], bool]:
    left_out = set(but.split())
    return lambda c: c.family in names and c.number not in left_out


def _numbers(pattern: str) -> Callable[[Capture], bool]:
    return lambda c: re.match(pattern, c.name) is not None and c.answer is not None


def _wait(name: str, *statuses: str) -> Hook:
    async def hook(stage: Stage) -> None:
        await stage.until_status(name, *statuses)

    return hook


async def _one_ended_one_running(stage: Stage) -> None:
    await stage.create("dock-1")
    await stage.call("DELETE", "/session/dock-1")
    await stage.until_status("dock-1", "TERMINATED")
    await stage.create("dock-2")


def _with_file(session: str, file: str) -> Hook:
    async def hook(stage: Stage) -> None:
        if session not in {s.name for s in stage.cluster.sessions()}:
            await stage.create(session)
        code = f"open({file!r}, 'w').close()"
        answer = await stage.call(
            "POST", f"/session/{session}", {"mode": "query", "run_id": "f", "code": code}
        )
        assert answer.json["result"]["status"] == "finished", answer.body

    return hook


def _login(cluster: LocalCluster, password: str) -> bytes:
    return json.dumps({"username": cluster.user.email, "password": password}).encode()


_IMAGE_23 = Image(tag="3.9-ubuntu20.04", min_mem=256 * MIB)
_IMAGE_26 = Image(tag="3.9-ubuntu20.04")
_SLIM_23 = Image(tag="3.11-slim", min_mem=256 * MIB, aliases=("python:slim",))
_SLIM_26 = Image(tag="3.11-slim", aliases=("python:slim",))
_LABELS = (
    ("ai.backend.kernelspec", "1"),
    ("ai.backend.envs.corecount", "OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,NPROC"),
    ("ai.backend.base-distro", "ubuntu20.04"),
    ("ai.backend.runtime-type", "python"),
    ("ai.backend.runtime-path", "/usr/bin/python3"),
)


_OFFERED = [
    Image(tag=tag, min_mem=256 * MIB, aliases=aliases, labels=_LABELS)
    for tag, aliases in (
        ("3.9-ubuntu20.04", ("python", "python3", "python:3.9-ubuntu20.04")),
        ("3.11-debian12", ("python:3.11",)),
        ("3.11-slim", ("python:slim",)),
    )
]


_SMALL = Agent("i-local-docker", cpu=2, mem="23g", accelerators={})
_COMMON_23: Mapping[str, Any] = {"images": [_IMAGE_23], "agents": [_SMALL], "idle_timeout": 0}
_COMMON_26: Mapping[str, Any] = {
    "images": [_IMAGE_26],
    "agents": [attrs.evolve(_SMALL, cpu=8)],
    "idle_timeout": 0,
}
_NEVER = {"step_delay": 3600.0}  # nothing is ever scheduled

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="root", release="23.9.10", claims=_family("root"), options=_COMMON_23),
    Scenario(name="auth", release="23.9.10", claims=_family("auth"), options=_COMMON_23),
    Scenario(name="errors", release="23.9.10", claims=_family("errors"), options=_COMMON_23),
    Scenario(name="gql", release="23.9.10", claims=_family("gql"), options=_COMMON_23),
    Scenario(
        name="images",
        release="23.9.10",
        claims=_family("images"),
        options={**_COMMON_23, "images": _OFFERED},
    ),
    Scenario(
        name="create, before anything is scheduled",
        release="23.9.10",
        claims=_numbers("create-0[1-4]"),
        options={**_COMMON_23, **_NEVER},
    ),
    Scenario(
        name="create",
        release="23.9.10",
        claims=_family("create", but="create-01 create-02 create-03 create-04"),
        set_up=frozenset({"create-01", "create-04"}),
        options=_COMMON_23,
        # A second of the three is enough to see that there is no room.
        changes={"create-05": Change(replace={'"maxWaitSeconds": 3': '"maxWaitSeconds": 1'})},
        before={
            "create-05": _wait("enq-6658c22", "RUNNING"),
            "create-14": _wait("enq-6658c24", "TERMINATED"),
        },
        finally_=_wait("enq-6658c25", "TERMINATED"),
    ),
    Scenario(
        name="quota",
        release="23.9.10",
        claims=_numbers("quota-0[1-7]"),
        options={**_COMMON_23, "max_concurrent_sessions": 1},
        changes={"quota-02": Change(replace={'"maxWaitSeconds": 5': '"maxWaitSeconds": 1'})},
    ),
    Scenario(
        name="dependencies, before anything is scheduled",
        release="23.9.10",
        claims=_numbers("cluster-(07|08|09|10)"),
        options={**_COMMON_23, **_NEVER},
    ),
    Scenario(
        name="cluster",
        release="23.9.10",
        claims=_family("cluster", but="cluster-07 cluster-08 cluster-09 cluster-10"),
        set_up=frozenset({"cluster-07", "cluster-08"}),
        options=_COMMON_23,
        changes={
            # There are no folders here, and a session's home is where its code runs.
            "cluster-13": Change(replace={', "mounts": ["data1"]': "", "/home/work/": ""}),
            "cluster-14": Change(replace={", os.listdir('/home/work/data1')": "", "/home/work": "."}),
            "cluster-07": Change(replace={"sleep 3; ": "sleep 0.5; "}),
        },
        before={
            "cluster-07": _wait("clu-753e9b", "TERMINATED"),
            "cluster-11": _wait("dep-23016e", "TERMINATED"),
        },
        finally_=_wait("dep-23016ec", "TERMINATED"),
    ),
    Scenario(
        name="docker",
        release="23.9.10",
        claims=_family("docker"),
        options=_COMMON_23,
        hang_up={"docker-53": "docker-54"},
        changes={
            # What is printed in which two seconds must not depend on how fast the machine is.
            "docker-15": Change(replace={"time.sleep(1.2)": "time.sleep((0, 3, 0, 2.2)[i])"}),
        },
    ),
    Scenario(
        name="app",
        release="23.9.10",
        claims=_family("app", but="app-04"),
        options=_COMMON_23,
        finally_=_wait("app-d5a5a8new", "TERMINATED"),
    ),
    Scenario(
        name="commit",
        release="23.9.10",
        claims=_family("commit", but="commit-04 commit-05"),
        options={**_COMMON_23, "images": [_SLIM_23]},
        finally_=_wait("com-bbf02c", "TERMINATED"),
    ),
    Scenario(
        name="dummy agent",
        release="23.9.10",
        claims=_family("dummy"),
        options=_COMMON_23,
        changes={"dummy-01": Change(replace={'"domain": "dummy"': '"domain": "default"'})},
        finally_=_wait("dummy-9ddde7", "TERMINATED"),
    ),
    Scenario(
        name="running code",
        release="26.9.6",
        claims=_numbers(r"04|0[5-9]|1[0-4]"),
        options=_COMMON_26,
        before={"07-download-dummy": _with_file("dum-1", "a.txt")},
        changes={
            # What is printed in the first two seconds must not depend on how fast the machine is.
            "04f-execute-continued": Change(replace={"time.sleep(1)": "time.sleep((0, 3, 0, 0)[i])"}),
        },
    ),
    Scenario(
        name="sessions",
        release="26.9.6",
        claims=_numbers(r"0[1-3]|15|2\d|4\d|5\d"),
        options=_COMMON_26,
        before={"15b-destroy-again": _wait("dock-6", "TERMINATED")},
    ),
    Scenario(
        name="commit",
        release="26.9.6",
        claims=_numbers("16(-|a-|b)|17(-|c)|19"),
        options={**_COMMON_26, "images": [_SLIM_26]},
    ),
    Scenario(
        name="listing",
        release="26.9.6",
        claims=_numbers("3[01]"),
        options=_COMMON_26,
        before={"30-gql-compute_session_list": _one_ended_one_running},
    ),
    Scenario(
        name="images",
        release="26.9.6",
        claims=_numbers("32"),
        options={**_COMMON_26, "images": [*_OFFERED[1:], _OFFERED[0]]},
    ),
    Scenario(
        name="WebSocket",
        release="26.9.6",
        claims=_numbers("6"),
        options=_COMMON_26,
        # Still longer than it takes until the next call is attached.
        changes={
            "61-ws-execute-batch-slow": Change(replace={"sleep 1": "sleep 0.7", "sleep 2": "sleep 0.7"})
        },
    ),
    Scenario(
        name="web server",
        release="26.9.6",
        claims=_numbers("9"),
        options=_COMMON_26,
        # The recorder kept no password.
        changes={
            "90-webserver-login": Change(body=lambda cluster: _login(cluster, cluster.user.password)),
            "91-webserver-login-wrong": Change(body=lambda cluster: _login(cluster, "wrong")),
        },
    ),
)
