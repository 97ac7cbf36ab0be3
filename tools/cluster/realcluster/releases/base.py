"""What a release must tell about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from realcluster.cluster import Cluster
from realcluster.console import ClusterError, run
from realcluster.processes import clean_environment
from realcluster.stores import Tree
from realcluster.toml import Table

MANAGE_SECONDS = 300


class Release(ABC):
    version: ClassVar[str]
    python: ClassVar[tuple[int, int]]
    # The newest wire protocol it speaks.
    api_version: ClassVar[str]
    # Exact versions of other packages, for what newer ones break.
    server_pins: ClassVar[tuple[str, ...]] = ()
    web_pins: ClassVar[tuple[str, ...]] = ()
    first_port: ClassVar[int]
    first_container_port: ClassVar[int]
    # Whether it makes images of sessions, and needs a registry to push them to.
    has_registry: ClassVar[bool] = False

    def requirements(self) -> list[str]:
        parts = ("manager", "agent", "storage-proxy")
        return [*(f"backend.ai-{part}=={self.version}" for part in parts), *self.server_pins]

    def web_requirements(self) -> list[str]:
        return [f"backend.ai-webserver=={self.version}", *self.web_pins]

    def check_agent(self, agent: str) -> None:
        """Raise `ClusterError` if the release has no such agent."""
        del agent

    @abstractmethod
    def settings(self, cluster: Cluster) -> Mapping[str, Table]:
        """Each daemon's settings by file name."""

    @abstractmethod
    def etcd_config(self) -> Tree:
        """The shared settings, without Redis' address."""

    @abstractmethod
    def seed(self, cluster: Cluster) -> None:
        """Fill the empty database: schema, accounts, images."""

    def note_ports(self, cluster: Cluster) -> None:
        """Bring rows up to date in which the ports of this run are."""
        del cluster

    def before_services(self) -> None:
        """Prepare what the daemons expect of the machine."""
        return

    def before_agent(self, cluster: Cluster) -> None:
        """What must be put right in kept data before an agent starts that has no sessions."""
        del cluster

    @abstractmethod
    def agent_command(self, cluster: Cluster) -> list[str | Path]:
        """The command that starts the agent with its settings file, in the settings folder."""

    def manage(self, cluster: Cluster, *arguments: str | Path) -> str:
        """Run one of the manager's own commands; it finds its settings in the folder it runs in."""
        try:
            return run(
                [cluster.environment / "bin" / "backend.ai", "mgr", *arguments],
                limit=MANAGE_SECONDS,
                log=cluster.folder.logs / "seed.log",
                cwd=cluster.folder.settings,
                env={**clean_environment(), "DOCKER_HOST": "tcp://127.0.0.1:9"},
            )
        except ClusterError as problem:
            raise ClusterError(f"the manager's own command failed: {problem}") from None
