"""The daemons of one cluster: what each is, the order they come up and go down in, and when one is up."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

from realcluster import settings, toml
from realcluster.cluster import DATABASE, KERNEL_UID, Cluster
from realcluster.console import run, say, step
from realcluster.home import SEED_VERSION, write_whole
from realcluster.processes import Daemon, as_user, clean_environment
from realcluster.releases.base import Release
from realcluster.stores import POSTGRES_STOP

PROGRAMS = Path(__file__).parent / "programs"
MANAGER_SECONDS = 180
SERVICE_SECONDS = 120
AGENT_SECONDS = 240
# Sessions of one CPU that may run side by side, whatever the machine has: the docker agent multiplies its cores.
WANTED_CPUS = 20
WANTED_MEMORY = 12 << 30
STORES = ("postgres", "redis", "etcd")
# As they end: whoever is asked before whom it asks.
SERVICES = ("webserver", "agent-docker", "agent-dummy", "manager", "storage", "coordinator", "registry")


def write_settings(cluster: Cluster, release: Release) -> None:
    folder = cluster.folder.settings
    for name, table in release.settings(cluster).items():
        write_whole(folder / name, toml.dumps(table))
    write_whole(folder / "webserver.conf", toml.dumps(settings.webserver(cluster)))
    write_whole(folder / "alembic.ini", settings.alembic(cluster))
    volume = cluster.volumes / settings.VOLUME
    volume.mkdir(parents=True, exist_ok=True)
    # Otherwise the proxy takes the folder for one of an older layout.
    (volume / "version.txt").write_text("3\n")
    own = cluster.folder.data / "storage"
    own.mkdir(parents=True, exist_ok=True)
    for path in (own, cluster.volumes, volume, volume / "version.txt"):
        os.chown(path, KERNEL_UID, KERNEL_UID)
    if not (folder / "manager.key_secret").exists():
        code = "import sys, zmq.auth; zmq.auth.create_certificates(sys.argv[1], 'manager')"
        run([cluster.environment / "bin/python", "-c", code, folder], limit=60, env=clean_environment())


def start_stores(cluster: Cluster) -> None:
    with step(f"{cluster.version}: PostgreSQL, Redis, etcd"):
        cluster.postgres.start(cluster.processes)
        cluster.redis.start(cluster.processes)
        cluster.etcd.start(cluster.processes)


def fill_stores(cluster: Cluster, release: Release) -> None:
    """Put the shared settings in place, and fill the database if no earlier run has done so wholly."""
    redis: dict[str, str] = {"addr": f"127.0.0.1:{cluster.ports['redis']}"}
    cluster.etcd.put("config", {**release.etcd_config(), "redis": redis})
    cluster.etcd.put("volumes", settings.volumes(cluster))
    if cluster.state.seeded != SEED_VERSION:
        with step(f"{cluster.version}: schema, accounts, images"):
            cluster.postgres.create(DATABASE)
            release.seed(cluster)
        cluster.state.seeded = SEED_VERSION
        cluster.folder.write_state(cluster.state)
    cluster.sql(f"update scaling_groups set wsproxy_addr = '{cluster.url('coordinator')}'")
    release.note_ports(cluster)


def start_services(cluster: Cluster, release: Release) -> None:
    """Start the manager, storage proxy, coordinator and web server, and wait until they answer."""
    processes = cluster.processes
    release.before_services()
    if release.has_registry and cluster.state.agent == "docker":
        _start_registry(cluster)
    with step(f"{cluster.version}: manager, storage proxy, web server"):
        for daemon in _daemons(cluster):
            processes.start(daemon)
        processes.wait("manager", MANAGER_SECONDS, lambda: answers(cluster.url("manager")))
        for name in ("storage", "coordinator", "webserver"):
            processes.wait(name, SERVICE_SECONDS, lambda name=name: answers(cluster.url(name)))  # type: ignore[misc]


def _start_registry(cluster: Cluster) -> None:
    """Where the images are pushed that are made of sessions."""
    folder = cluster.folder.data / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    config = cluster.folder.settings / "registry.yml"
    # JSON is YAML.
    table = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": f"127.0.0.1:{cluster.ports['registry']}"},
    }
    write_whole(config, json.dumps(table))
    cluster.processes.start(Daemon("registry", ["docker-registry", "serve", config], folder))
    cluster.processes.wait("registry", SERVICE_SECONDS, lambda: answers(cluster.url("registry")))


def _daemons(cluster: Cluster) -> list[Daemon]:
    folder = cluster.folder.settings
    program = cluster.environment / "bin" / "backend.ai"
    web = cluster.web_environment / "bin" / "backend.ai"
    # The manager makes a Docker client that it never uses, and dies where there is no address for one.
    manager = Daemon(
        "manager", [program, "mgr", "start-server"], folder, {"DOCKER_HOST": "tcp://127.0.0.1:9"}
    )
    # Folders must belong to the user that sessions run as.
    storage: list[str | Path] = [program, "storage", "start-server", "-f", folder / "storage-proxy.toml"]
    owner = str(KERNEL_UID)
    own = cluster.folder.data / "storage"
    port = str(cluster.ports["coordinator"])
    return [
        manager,
        Daemon(
            "storage",
            as_user(owner, owner, storage),
            own,
            {"HOME": str(own), "BACKENDAI_PROMETHEUS_DIR": str(own)},
        ),
        Daemon("coordinator", [sys.executable, PROGRAMS / "coordinator.py", port], folder),
        Daemon("webserver", [web, "web", "start-server", "-f", folder / "webserver.conf"], folder),
    ]


def start_agent(cluster: Cluster, release: Release) -> None:
    """Start the agent and wait until the manager knows it alive; an agent of the other kind is ended."""
    name = f"agent-{cluster.state.agent}"
    for other in {"agent-docker", "agent-dummy"} - {name}:
        stop(cluster, other)
    if cluster.processes.pid(name) is not None and agent_is_alive(cluster):
        return
    with step(f"{cluster.version}: {cluster.state.agent} agent"):
        if cluster.processes.pid(name) is None:
            if cluster.state.agent == "docker":
                cluster.docker.remove_containers(cluster.agent_id, cluster.folder.sockets)
            release.before_agent(cluster)
            # Only a heartbeat of the new one makes it alive again.
            cluster.sql("update agents set status = 'LOST' where status = 'ALIVE'")
        env = {
            "DOCKER_HOST": cluster.docker.url if cluster.state.agent == "docker" else "tcp://127.0.0.1:9",
            "BACKEND_CPU_OVERCOMMIT_FACTOR": str(overcommit(os.cpu_count() or 1, WANTED_CPUS)),
            "BACKEND_MEM_OVERCOMMIT_FACTOR": str(overcommit(_memory(), WANTED_MEMORY)),
        }
        argv = release.agent_command(cluster)
        cluster.processes.start(Daemon(name, argv, cluster.folder.settings, env))
        cluster.processes.wait(name, AGENT_SECONDS, lambda: agent_is_alive(cluster))


def overcommit(have: int, wanted: int) -> int:
    """The factor that makes ``wanted`` of what the machine has; the agents take 1 to 10."""
    return max(1, min(10, math.ceil(wanted / have)))


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def agent_is_alive(cluster: Cluster) -> bool:
    rows = cluster.sql(f"select 1 from agents where id = '{cluster.agent_id}' and status = 'ALIVE'")
    return rows.strip() == "1"


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def stop(cluster: Cluster, name: str, ask: signal.Signals = signal.SIGTERM) -> None:
    if cluster.processes.stop(name, ask):
        say(f"{cluster.version}: {name} ended")


def stop_all(cluster: Cluster) -> None:
    """End every daemon of the cluster and the agent's containers."""
    for name in SERVICES:
        stop(cluster, name)
    if cluster.state.agent == "docker":
        cluster.docker.remove_containers(cluster.agent_id, cluster.folder.sockets)
    for name in ("etcd", "redis"):
        stop(cluster, name)
    stop(cluster, "postgres", POSTGRES_STOP)
    for scratch in cluster.folder.data.glob("agent-*/scratch/*"):
        shutil.rmtree(scratch, ignore_errors=True)
