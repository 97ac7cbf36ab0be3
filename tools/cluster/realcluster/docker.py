"""A Docker daemon of our own, shared by the releases of one home.

It keeps away from a Docker that the machine may already run: a containerd, a socket, a data folder and a bridge of
its own, and no packet-filter rules (published ports are relayed by Docker's own proxy, on loopback).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from realcluster import toml
from realcluster.console import ClusterError, NoDockerError, run, say, step, tail
from realcluster.docker_api import Docker
from realcluster.home import Home, is_locked, lock
from realcluster.images import build_root, import_images
from realcluster.processes import (
    Daemon,
    Processes,
    Stat,
    all_processes,
    is_inside,
    kill_all,
    unmount_below,
)

START_SECONDS = 60
LOCK_SECONDS = 1500
RUNTIME = Path(__file__).parent / "programs" / "runc-capped"
HELPERS = ("containerd-shim", "docker-proxy", "runc")


class OurDocker:
    """The daemon of a home, whether it runs or not."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.docker
        self._processes = Processes(self._folder, self._folder / "processes", home.logs)
        self._users = self._folder / "users"
        self.socket = self._folder / "docker.sock"
        self.api = Docker(self.socket)
        self.bridge = f"bai{hashlib.sha256(os.fsencode(home.path)).hexdigest()[:8]}"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def prepare(self) -> None:
        """Make the container root, which needs no daemon."""
        build_root(self._home)

    def up(self, release: str) -> None:
        """See that the daemon runs and has the image; ``release`` uses it from now on.

        Raises `NoDockerError` if it cannot be started here.
        """
        with lock(self._folder / "daemon.lock", LOCK_SECONDS, "Docker"):
            self._users.mkdir(exist_ok=True)
            (self._users / release).touch()
            if not self._runs():
                with step("Docker daemon"):
                    self._start()
            import_images(self.api, build_root(self._home))
            # 26.9 takes an image's name away with each commit of a session that runs in it.
            keeper: list[str | Path] = [
                sys.executable,
                "-m",
                "realcluster.programs.image_keeper",
                self.socket,
            ]
            path = {"PYTHONPATH": str(Path(__file__).parents[1])}
            self._processes.start(Daemon("image-keeper", keeper, self._folder, path))

    def down(self, release: str) -> None:
        """``release`` uses the daemon no more; nobody else's release keeps it from ending."""
        with lock(self._folder / "daemon.lock", LOCK_SECONDS, "Docker"):
            (self._users / release).unlink(missing_ok=True)
            if others := self._used_by():
                say(f"the Docker daemon stays up for {', '.join(others)}")
                return
            self._stop()

    def remove_containers(self, agent: str, sockets: Path) -> None:
        """Remove an agent's containers: its sessions', and its relay, which holds its socket folder."""
        if not self._runs():
            return
        mine = {*self.api.containers({"label": [f"ai.backend.owner={agent}"]})}
        mine |= {*self.api.containers({"name": [f"backendai-socket-relay.{agent}"]})}
        mine |= {*self.api.containers({"volume": [str(sockets / "container")]})}
        for container in mine:
            self.api.remove_container(container)
        self.api.remove_unused_networks()

    def status(self) -> str:
        if not self._runs():
            return "down"
        memory = sum(self._processes.memory(name) for name in ("containerd", "dockerd"))
        running = len(self.api.containers(stopped=False))
        return f"up, {memory} MiB, {running} containers, used by {', '.join(self._used_by())}"

    def _runs(self) -> bool:
        return self._processes.pid("dockerd") is not None and self.api.answers()

    def _used_by(self) -> list[str]:
        """The releases that need the daemon: they said so, and live or are just coming up."""
        users = sorted(marker.name for marker in self._users.glob("*"))
        return [user for user in users if self._lives(user)]

    def _lives(self, release: str) -> bool:
        folder = self._home.release(release)
        processes = Processes(folder.path, folder.processes, folder.logs)
        return is_locked(folder.path / "lock") or any(processes.pid(name) for name in processes.names())

    def _start(self) -> None:
        self._stop()
        try:
            self._make_bridge()
            self._start_containerd()
            self._processes.start(Daemon("dockerd", self._command(), self._folder))
            self._processes.wait("dockerd", START_SECONDS, self.api.answers)
        except ClusterError as problem:
            reason = _reason(self._processes.log("dockerd")) or str(problem).splitlines()[0]
            say(tail(self._processes.log("dockerd")))
            self._stop()
            raise NoDockerError(f"Docker cannot be started here: {reason}") from None

    def _start_containerd(self) -> None:
        address = self._folder / "containerd.sock"
        settings: toml.Table = {
            "version": 2,
            "root": str(self._folder / "containerd"),
            "state": str(self._folder / "containerd-state"),
            "disabled_plugins": ["io.containerd.grpc.v1.cri"],
            "grpc": {"address": str(address)},
        }
        config = self._folder / "containerd.toml"
        config.write_text(toml.dumps(settings))
        address.unlink(missing_ok=True)
        self._processes.start(Daemon("containerd", ["containerd", "--config", config], self._folder))
        self._processes.wait("containerd", START_SECONDS, address.exists)

    def _command(self) -> list[str | Path]:
        folder = self._folder
        # A file of the machine's own Docker must not be read.
        config = folder / "daemon.json"
        config.write_text("{}")
        for stale in (self.socket, folder / "dockerd.pid"):
            stale.unlink(missing_ok=True)
        argv: list[str | Path] = ["dockerd", "--config-file", config, "--host", self.url]
        argv += [
            "--data-root",
            folder / "data",
            "--exec-root",
            folder / "exec",
            "--pidfile",
            folder / "dockerd.pid",
        ]
        argv += ["--containerd", folder / "containerd.sock", "--bridge", self.bridge]
        argv += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        argv += [
            "--add-runtime",
            f"capped={RUNTIME}",
            "--default-runtime",
            "capped",
            "--shutdown-timeout",
            "5",
        ]
        return argv

    def _stop(self) -> None:
        """End the daemon and everything of it, also what a killed run left."""
        if self._runs():
            for container in self.api.containers():
                self.api.remove_container(container)
            with suppress(ClusterError):
                self.api.remove_unused_networks()
        for name in ("image-keeper", "dockerd", "containerd"):
            if self._processes.stop(name):
                say(f"{name} ended")
        kill_all(self._leftovers())
        unmount_below(self._folder)
        shutil.rmtree(self._folder / "exec", ignore_errors=True)
        shutil.rmtree(self._folder / "containerd-state", ignore_errors=True)
        for bridge in self._bridges():
            run(["ip", "link", "delete", bridge], limit=20)
        for stale in (self.socket, self._folder / "containerd.sock", self._folder / "dockerd.pid"):
            stale.unlink(missing_ok=True)

    def _leftovers(self) -> list[Stat]:
        """Helpers of our daemons and the containers' processes below them, once the daemons are gone."""
        processes = list(all_processes())
        helpers = {stat.pid for stat in processes if self._is_helper(stat.pid)}
        found = set(helpers)
        while more := {stat.pid for stat in processes if stat.parent in found} - found:
            found |= more
        return [stat for stat in processes if stat.pid in found]

    def _is_helper(self, pid: int) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        if not Path(os.fsdecode(command[0])).name.startswith(HELPERS):
            return False
        ours = os.fsencode(f"{self._folder}/")
        return is_inside(pid, self._folder) or any(ours in part for part in command)

    def _bridges(self) -> list[str]:
        """Our bridge, and those of Docker networks that our data folder knows of."""
        links = json.loads(run(["ip", "-json", "link", "show", "type", "bridge"], limit=20) or "[]")
        names = [link["ifname"] for link in links if "ifname" in link]
        try:
            known = (self._folder / "data/network/files/local-kv.db").read_bytes()
        except OSError:
            known = b""
        return [
            name
            for name in names
            if name == self.bridge or (name.startswith("br-") and name[3:].encode() in known)
        ]

    def _make_bridge(self) -> None:
        if self.bridge in self._bridges():
            return
        routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"], limit=20))
        subnet = free_subnet([route["dst"] for route in routes])
        run(["ip", "link", "add", self.bridge, "type", "bridge"], limit=20)
        run(["ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", self.bridge], limit=20)
        run(["ip", "link", "set", self.bridge, "up"], limit=20)


def free_subnet(routes: list[str]) -> ipaddress.IPv4Network:
    """A private network of 256 addresses that no route of this machine touches."""
    taken = []
    for route in routes:
        with suppress(ValueError):  # "default"
            network = ipaddress.IPv4Network(route)
            if network.prefixlen:
                taken.append(network)
    for candidate in ipaddress.IPv4Network("10.213.0.0/16").subnets(new_prefix=24):
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise NoDockerError("Docker cannot be started here: no free subnet in 10.213.0.0/16")


def _reason(log: Path) -> str | None:
    """The line in which the daemon says why it gave up."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.startswith("failed to start daemon")), None)
