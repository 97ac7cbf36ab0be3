"""Which ports a cluster listens on: fixed numbers where they are free, others where they are not.

All lie below 32768, where Linux's range for outgoing connections begins: a port in that range may be held by any
connection of any program at the moment a daemon wants it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping

from realcluster.console import ClusterError

NAMES = (
    "manager",
    "webserver",
    "storage",
    "storage-manager",
    "coordinator",
    "postgres",
    "redis",
    "etcd",
    "etcd-peer",
    "agent-rpc",
    "agent-relay",
    "agent-metadata",
    "agent-watcher",
    "manager-internal",
    "storage-internal",
    "agent-internal",
    "manager-monitor",
    "manager-monitor-web",
    "storage-monitor",
    "storage-monitor-web",
    "agent-monitor",
    "agent-monitor-web",
    "registry",
)
CONTAINERS = "containers"
CONTAINER_PORTS = 300
LAST = 32767


def is_free(port: int) -> bool:
    """Whether a daemon could listen on ``port`` of every address of this machine now."""
    with socket.socket() as probe:
        # As servers do: a port that is only waiting for late packets is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def choose(
    wanted: Mapping[str, int],
    first: int,
    containers: int,
    taken: Collection[int] = (),
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """A port for every name, and the first of the containers' range under `CONTAINERS`.

    ``wanted`` are the numbers of the run before; without them the numbers count up from ``first``.  What is not
    ``free``, or is in ``taken``, moves to the next number that is.  Raises `ClusterError` if there is none.
    """
    chosen: dict[str, int] = {}
    start = wanted.get(CONTAINERS, containers)
    while any(port in taken or not free(port) for port in range(start, start + CONTAINER_PORTS)):
        start += CONTAINER_PORTS
        if start + CONTAINER_PORTS > LAST:
            raise ClusterError(f"no {CONTAINER_PORTS} free ports in a row between {containers} and {LAST}")
    used = {*taken, *range(start, start + CONTAINER_PORTS)}
    for offset, name in enumerate(NAMES):
        port = wanted.get(name, first + offset)
        while port in used or not free(port):
            port += 1
            if port > LAST:
                raise ClusterError(f"no free port for {name} between {first} and {LAST}")
        used.add(port)
        chosen[name] = port
    return {**chosen, CONTAINERS: start}


def all_of(ports: Mapping[str, int]) -> set[int]:
    """Every number that a record of chosen ports stands for."""
    start = ports.get(CONTAINERS)
    listed = {port for name, port in ports.items() if name != CONTAINERS}
    return listed if start is None else listed | set(range(start, start + CONTAINER_PORTS))
