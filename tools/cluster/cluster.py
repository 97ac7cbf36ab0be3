#!/usr/bin/env python3
"""Brings up a complete, real Backend.AI cluster on one Debian machine, as root, from published packages.

    cluster.py up --release 26.9.6          install what is missing and start what does not run
    cluster.py env --release 26.9.6         what tests need to know, as one JSON document

docs/how-to/real-clusters.md says what it brings up and what it does to the machine.  Python 3.11 or newer and the
standard library suffice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from realcluster import ports, services
from realcluster.cluster import Cluster
from realcluster.console import ClusterError, say
from realcluster.docker import OurDocker
from realcluster.home import SEED_VERSION, Home, State, lock
from realcluster.packages import install_debian, make_environment
from realcluster.processes import unmount_below
from realcluster.releases import RELEASES
from realcluster.releases.base import Release
from realcluster.report import environment_document, shell_exports

LOCK_SECONDS = 2700
TOTAL_SECONDS = 3600
SERVER_MODULES = ("ai.backend.manager.server", "ai.backend.agent.server", "ai.backend.storage.server")
WEB_MODULES = ("ai.backend.web.server",)


def main() -> int:
    options = _options()
    home = Home(Path(options.home).expanduser().absolute())
    release = RELEASES[options.release]
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.signal(signal.SIGTERM, _asked_to_end)
    signal.alarm(TOTAL_SECONDS)
    try:
        if options.command == "env":
            return _env(home, release, shell=options.shell, account=options.account)
        if options.command == "status":
            return _status(home, release)
        if os.geteuid() != 0:
            raise ClusterError("this needs root: it installs packages and makes containers")
        home.create()
        with lock(home.release(release.version).path / "lock", LOCK_SECONDS, f"release {release.version}"):
            _change(options.command, home, release, options.agent)
    except ClusterError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("interrupted; `up` goes on from here, `down` ends what runs", file=sys.stderr)
        return 130
    return 0


def _options() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {
        "install": "packages, environments and the container root; starts nothing",
        "up": "install, start, and wait until everything answers; again is fine",
        "status": "what runs; exit status 1 if something does not",
        "down": "end everything that up started; keeps data and environments",
        "reset": "down, and forget databases, folders and logs",
        "env": "print what tests need, as JSON",
    }
    listed = "; ".join(f"{name}: {what}" for name, what in commands.items())
    parser.add_argument("command", choices=commands, metavar="COMMAND", help=listed)
    parser.add_argument("--release", choices=RELEASES, required=True)
    parser.add_argument(
        "--agent", choices=("docker", "dummy"), default="docker", help="docker runs code really"
    )
    parser.add_argument(
        "--home", default=cache / "backendai_sdk" / "cluster", help="everything lives here (%(default)s)"
    )
    parser.add_argument("--shell", action="store_true", help="env: shell exports instead of JSON")
    parser.add_argument("--account", default="user", help="env --shell: whose keys (%(default)s)")
    return parser.parse_args()


def _time_is_up(_signal: int, _frame: FrameType | None) -> None:
    raise ClusterError(f"gave up after {TOTAL_SECONDS} s in all")


def _asked_to_end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _change(command: str, home: Home, release: Release, agent: str) -> None:
    began = time.monotonic()
    if command == "install":
        _install(home, release, agent)
    elif command == "up":
        _up(home, release, agent)
    else:
        _down(home, release)
        if command == "reset":
            _forget(home, release)
    say(f"{release.version}: {command} took {time.monotonic() - began:.1f} s")


def _install(home: Home, release: Release, agent: str) -> None:
    release.check_agent(agent)
    install_debian(docker=agent == "docker", log=home.logs / "apt.log")
    server = home.environments / f"{release.version}-server"
    web = home.environments / f"{release.version}-web"
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(
                make_environment,
                server,
                release.python,
                release.requirements(),
                SERVER_MODULES,
                home.logs / f"{server.name}.log",
            ),
            pool.submit(
                make_environment,
                web,
                release.python,
                release.web_requirements(),
                WEB_MODULES,
                home.logs / f"{web.name}.log",
            ),
        ]
        if agent == "docker":
            jobs.append(pool.submit(OurDocker(home).prepare))
        for job in jobs:
            job.result()


def _up(home: Home, release: Release, agent: str) -> None:
    _install(home, release, agent)
    if agent == "docker":
        # First, so that a machine without Docker is known before anything else runs.
        OurDocker(home).up(release.version)
    folder = home.release(release.version)
    folder.create()
    state = folder.read_state() or State()
    cluster = Cluster(home, release.version, state)
    if state.seeded not in (0, SEED_VERSION):
        services.stop_all(cluster)  # the database is about to be filled anew
    state.agent = agent
    _choose_ports(cluster, release)
    services.write_settings(cluster, release)
    services.start_stores(cluster)
    services.fill_stores(cluster, release)
    services.start_services(cluster, release)
    services.start_agent(cluster, release)
    say(f"{release.version}: up at {cluster.url('manager')}, web server at {cluster.url('webserver')}")


def _choose_ports(cluster: Cluster, release: Release) -> None:
    processes = cluster.processes
    if not any(processes.pid(name) for name in processes.names()):
        # What a killed run left is not somebody else's.
        for name in processes.names():
            processes.stop(name)
        with lock(cluster.home.path / "ports.lock", 60, "choosing ports"):
            others = [other.read_state() for other in cluster.home.releases() if other != cluster.folder]
            taken = {port for other in others if other for port in ports.all_of(other.ports)}
            before = cluster.ports
            chosen = ports.choose(before, release.first_port, release.first_container_port, taken)
            cluster.state.ports = chosen
            cluster.folder.write_state(cluster.state)
        if before and before != chosen:
            say(f"{release.version}: other ports than before, the old ones are taken; see `env`")
    cluster.folder.write_state(cluster.state)


def _down(home: Home, release: Release) -> None:
    folder = home.release(release.version)
    state = folder.read_state()
    if state is not None:
        services.stop_all(Cluster(home, release.version, state))
    OurDocker(home).down(release.version)


def _forget(home: Home, release: Release) -> None:
    folder = home.release(release.version)
    unmount_below(folder.path)
    for path in (folder.settings, folder.data, folder.logs, folder.processes, folder.sockets):
        shutil.rmtree(path, ignore_errors=True)
    (folder.path / "state.json").unlink(missing_ok=True)


def _known(home: Home, release: Release) -> Cluster:
    state = home.release(release.version).read_state()
    if state is None or not state.seeded:
        raise ClusterError(f"{release.version} has not been brought up in {home.path} yet: run `up` first")
    return Cluster(home, release.version, state)


def _env(home: Home, release: Release, *, shell: bool, account: str) -> int:
    document = environment_document(_known(home, release), release)
    print(shell_exports(document, account) if shell else json.dumps(document, indent=1))
    return 0


def _status(home: Home, release: Release) -> int:
    cluster = _known(home, release)
    names = [
        *services.STORES,
        *(["registry"] if release.has_registry and cluster.state.agent == "docker" else []),
        "manager",
        "storage",
        "coordinator",
        "webserver",
        f"agent-{cluster.state.agent}",
    ]
    down = 0
    for name in names:
        pid = cluster.processes.pid(name)
        down += pid is None
        print(f"{name:13}", f"up, pid {pid}, {cluster.processes.memory(name)} MiB" if pid else "down")
    if cluster.state.agent == "docker":
        print(f"{'docker':13}", cluster.docker.status())
    alive = not down and services.agent_is_alive(cluster)
    print(
        f"{'answers':13}", "manager and agent" if alive and services.answers(cluster.url("manager")) else "no"
    )
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
