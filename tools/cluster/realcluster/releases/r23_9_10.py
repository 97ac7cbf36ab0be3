"""Backend.AI 23.9.10."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realcluster import settings
from realcluster.accounts import POLICIES, Account, Policy, accounts
from realcluster.cluster import Cluster
from realcluster.console import ClusterError
from realcluster.home import write_whole
from realcluster.images import ALIASES, LABELS, NAMES, PROJECT, REGISTRY, RESOURCES, architecture
from realcluster.releases.base import Release
from realcluster.stores import Tree
from realcluster.toml import Table

# The storage proxy opens this very file while it is imported, as whichever user it runs as.
STORAGE_LOCK = Path("/tmp/backendai-xfs-file-lock")
GROUP = "b0000000-0000-4000-8000-000000000001"


class Release239(Release):
    version = "23.9.10"
    python = (3, 11)
    api_version = "v7.20230615"
    # A newer yarl makes every request but GET / a 500 ("Host '127.0.0.1:23900' cannot contain ':'").
    server_pins = ("yarl==1.9.4", "aiohttp-sse==2.2.0")
    web_pins = ("yarl==1.9.4",)
    first_port = 23900
    first_container_port = 30000

    def check_agent(self, agent: str) -> None:
        if agent == "dummy":
            raise ClusterError("the published agent of 23.9.10 has no dummy backend; use --agent docker")

    def settings(self, cluster: Cluster) -> Mapping[str, Table]:
        watcher: Table = {
            "service-addr": cluster.address("agent-watcher"),
            "ssl-enabled": False,
            "target-service": "none.service",
            "soft-reset-available": False,
        }
        manager: Table = {
            "id": f"i-real{cluster.tag}-manager",
            "distributed-lock": "filelock",
            "disabled-plugins": [],
        }
        return {
            "manager.toml": {**settings.manager(cluster, manager), "docker-registry": {"ssl-verify": False}},
            "storage-proxy.toml": settings.storage(cluster, {"use-watcher": False}, {}),
            "agent.toml": {**settings.agent(cluster, {"scaling-group": "default"}), "watcher": watcher},
        }

    def etcd_config(self) -> Tree:
        registry: Tree = {"": f"https://{REGISTRY}", "type": "harbor2", "project": PROJECT}
        return {
            "system": {"timezone": "UTC"},
            "api": {"allow-origins": "*", "allow-graphql-schema-introspection": "yes"},
            "docker": {"image": {"auto_pull": "none"}, "registry": {REGISTRY: registry}},
            "network": {
                "subnet": {"agent": "127.0.0.0/8", "container": "127.0.0.0/8"},
                "overlay": {"mtu": "1500"},
            },
            "watcher": {"token": "real-cluster-watcher"},
            "idle": {
                "enabled": "network_timeout",
                "app-streaming-packet-timeout": "5m",
                "checkers": {"network_timeout": {"threshold": "24h"}},
            },
        }

    def seed(self, cluster: Cluster) -> None:
        self.manage(cluster, "schema", "oneshot", "-f", "alembic.ini")
        fixture = cluster.folder.settings / "fixture.json"
        write_whole(fixture, json.dumps(_fixture(accounts(cluster.tag)), indent=1))
        self.manage(cluster, "fixture", "populate", fixture)
        cluster.sql(
            "update users u set main_access_key = k.access_key from keypairs k"
            " where k.user = u.uuid and u.main_access_key is null;\n" + _images()
        )

    def before_services(self) -> None:
        STORAGE_LOCK.touch()
        STORAGE_LOCK.chmod(0o666)

    def before_agent(self, cluster: Cluster) -> None:
        # This release keeps a session for ever whose container went away while the agent was down.
        ended = "status = 'TERMINATED', status_info = 'cluster-stopped', terminated_at = now()"
        alive = "status not in ('TERMINATED', 'CANCELLED')"
        cluster.sql(
            f"update kernels set {ended} where {alive}; update sessions set {ended} where {alive};"
            "update agents set occupied_slots = '{}';"
        )

    def agent_command(self, cluster: Cluster) -> list[str | Path]:
        return [cluster.environment / "bin" / "backend.ai", "ag", "start-server", "-f", "agent.toml"]


def _fixture(everybody: list[Account]) -> dict[str, Any]:
    return {
        "keypair_resource_policies": [_policy(policy) for policy in POLICIES],
        "user_resource_policies": [
            {"name": "plain", "max_vfolder_size": -1, "max_session_count_per_model_session": 10}
        ],
        "project_resource_policies": [{"name": "plain", "max_vfolder_size": -1}],
        "domains": [
            {
                "name": "default",
                "description": "",
                "is_active": True,
                "total_resource_slots": {},
                "allowed_vfolder_hosts": {},
                "allowed_docker_registries": [REGISTRY],
            }
        ],
        "groups": [
            {
                "id": GROUP,
                "name": "default",
                "description": "",
                "is_active": True,
                "domain_name": "default",
                "resource_policy": "plain",
                "total_resource_slots": {},
                "allowed_vfolder_hosts": {},
            }
        ],
        "scaling_groups": [
            {
                "name": "default",
                "description": "",
                "is_active": True,
                "driver": "static",
                "driver_opts": {},
                "scheduler": "fifo",
                "use_host_network": False,
                "scheduler_opts": {
                    "allowed_session_types": ["interactive", "batch", "inference"],
                    # Strict first-in-first-out lets one session that fits nowhere hold up everybody's.
                    "config": {"num_retries_to_skip": 1},
                },
            }
        ],
        "sgroups_for_domains": [{"scaling_group": "default", "domain": "default"}],
        "users": [_user(account) for account in everybody],
        "keypairs": [_keypair(account) for account in everybody],
        "association_groups_users": [{"group_id": GROUP, "user_id": account.uuid} for account in everybody],
        "resource_presets": [
            {"name": "small", "resource_slots": {"cpu": "1", "mem": str(512 << 20)}},
            {
                "name": "medium",
                "resource_slots": {"cpu": "2", "mem": str(1 << 30)},
                "shared_memory": str(64 << 20),
            },
        ],
    }


def _policy(policy: Policy) -> dict[str, Any]:
    return policy.row(settings.STORAGE_HOST) | {
        "max_concurrent_sftp_sessions": 2,
        "max_containers_per_session": 1 if policy.slots else 3,
        "max_vfolder_count": 1 if policy.slots else 100,
        "max_vfolder_size": 0,
    }


def _user(account: Account) -> dict[str, Any]:
    return account.user_row() | {"resource_policy": "plain", "sudo_session_enabled": False}


def _keypair(account: Account) -> dict[str, Any]:
    return account.keypair_row() | {"user_id": account.email}


def _images() -> str:
    """Image rows cannot come from a fixture here: `fixture populate` takes tables only, and this is a class."""
    statements = []
    for name in NAMES:
        path, tag = name.removeprefix(f"{REGISTRY}/").split(":")
        statements.append(
            "insert into images (id, name, image, tag, registry, architecture, config_digest, size_bytes, is_local,"
            " type, accelerators, labels, resources) values"
            f" (gen_random_uuid(), '{name}', '{path}', '{tag}', '{REGISTRY}', '{architecture()}',"
            f" 'sha256:{'0' * 64}', 200000000, false, 'COMPUTE', null,"
            f" {settings.quoted(LABELS)}, {settings.quoted(RESOURCES)});"
        )
    statements += [
        f"insert into image_aliases (id, alias, image) select gen_random_uuid(), '{alias}', id from images"
        f" where name = '{name}';"
        for alias, name in ALIASES.items()
    ]
    return "\n".join(statements)
