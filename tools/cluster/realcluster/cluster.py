"""One cluster: a release in a home, with its folder, ports, stores and daemons at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from realcluster.docker import OurDocker
from realcluster.home import Folder, Home, State
from realcluster.processes import Processes
from realcluster.stores import Etcd, Postgres, Redis

PASSWORD = "real-cluster"
DATABASE = "backend"
NAMESPACE = "local"
# Sessions run as this user, and folders belong to it.
KERNEL_UID = 1000


@dataclass
class Cluster:
    home: Home
    version: str
    state: State

    @cached_property
    def folder(self) -> Folder:
        return self.home.release(self.version)

    @cached_property
    def processes(self) -> Processes:
        return Processes(self.folder.path, self.folder.processes, self.folder.logs)

    @cached_property
    def docker(self) -> OurDocker:
        return OurDocker(self.home)

    @property
    def ports(self) -> dict[str, int]:
        return self.state.ports

    @property
    def agent_id(self) -> str:
        return f"i-real{self.tag}-{self.state.agent}"

    @property
    def tag(self) -> str:
        """A short name of the release for ids and keys: 239, 269."""
        return "".join(self.version.split(".")[:2])

    @property
    def environment(self) -> Path:
        return self.home.environments / f"{self.version}-server"

    @property
    def web_environment(self) -> Path:
        return self.home.environments / f"{self.version}-web"

    @property
    def volumes(self) -> Path:
        return self.folder.data / "volumes"

    @cached_property
    def postgres(self) -> Postgres:
        return Postgres(self.folder.data / "postgres", self.ports["postgres"], PASSWORD)

    @cached_property
    def redis(self) -> Redis:
        return Redis(self.folder.data / "redis", self.ports["redis"])

    @cached_property
    def etcd(self) -> Etcd:
        return Etcd(self.folder.data / "etcd", self.ports["etcd"], self.ports["etcd-peer"], NAMESPACE)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def address(self, service: str) -> dict[str, str | int]:
        return {"host": "127.0.0.1", "port": self.ports[service]}

    def sql(self, text: str) -> str:
        return self.postgres.sql(DATABASE, text)
