"""Backend.AI 26.9.6."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realcluster import settings
from realcluster.accounts import POLICIES, Account, Policy, accounts
from realcluster.cluster import DATABASE, Cluster
from realcluster.console import run
from realcluster.home import write_whole
from realcluster.images import ALIASES, LABELS, NAMES, PROJECT, REGISTRY, RESOURCES, architecture
from realcluster.processes import clean_environment
from realcluster.releases.base import Release
from realcluster.stores import Tree
from realcluster.toml import Table

PROGRAMS = Path(__file__).parent.parent / "programs"
DOMAIN = "d0000000-0000-4000-8000-000000000001"
PROJECT_ID = "b0000000-0000-4000-8000-000000000001"
RESOURCE_GROUP = "c0000000-0000-4000-8000-000000000001"
REGISTRY_ID = "e0000000-0000-4000-8000-000000000001"
# The registry that takes the images made of sessions, and the project in it.
MADE_REGISTRY_ID = "e0000000-0000-4000-8000-000000000002"
MADE_PROJECT = "made"
IMAGE_ID = "f0000000-0000-4000-8000-{:012d}"
ALIAS_ID = "f1000000-0000-4000-8000-{:012d}"
HOSTS = {settings.STORAGE_HOST: list(POLICIES[0].folder_permissions)}
# How long the dummy backend pretends to work, and what it pretends to have.
DUMMY: Table = {
    "agent": {
        "delay": {
            "scan-image": 0.05,
            "pull-image": 0.5,
            "push-image": 0.1,
            "purge-images": 0.1,
            "destroy-kernel": 0.1,
            "clean-kernel": 0.1,
            "create-network": 0.05,
            "destroy-network": 0.05,
        },
        "image": {},
        "resource": {"cpu": {"num-core": 20}, "memory": {"size": 32 << 30}},
    },
    "kernel-creation-ctx": {
        "delay": {
            "prepare-scratch": 0.05,
            "prepare-ssh": 0.05,
            "spawn": 0.05,
            "start-container": 0.5,
            "mount-krunner": 0.05,
        }
    },
    "kernel": {"use-fake-code-runner": True, "delay": {"commit": 1.0}},
}


class Release269(Release):
    version = "26.9.6"
    python = (3, 13)
    api_version = "v9.20250722"
    first_port = 26900
    first_container_port = 31000
    has_registry = True

    def settings(self, cluster: Cluster) -> Mapping[str, Table]:
        real = cluster.state.agent == "docker"
        manager: Table = {
            "internal-addr": cluster.address("manager-internal"),
            "announce-addr": cluster.address("manager"),
            "announce-internal-addr": cluster.address("manager-internal"),
            "heartbeat-timeout": 40.0,
            "pid-file": "/dev/null",
        }
        storage_api: Table = {
            "announce-addr": cluster.address("storage-manager"),
            "internal-addr": cluster.address("storage-internal"),
            "announce-internal-addr": cluster.address("storage-internal"),
        }
        agent: Table = {
            "internal-addr": cluster.address("agent-internal"),
            "announce-internal-addr": cluster.address("agent-internal"),
            "initial-resource-group-name": "default",
            "pid-file": "/dev/null",
            "allow-compute-plugins": [],
            # The dummy backend lists no containers, and has no processes to measure.
            "sync-container-lifecycles": {"enabled": real},
            "utilization-metric": {"process": {"enable": real}},
        }
        return {
            "manager.toml": settings.manager(cluster, manager),
            "storage-proxy.toml": settings.storage(cluster, {"pid-file": "/dev/null"}, storage_api),
            "agent.toml": settings.agent(cluster, agent),
            "agent.dummy.toml": DUMMY,
        }

    def etcd_config(self) -> Tree:
        return {
            "system": {"timezone": "UTC"},
            "docker": {"image": {"auto_pull": "tag"}},
            "network": {"subnet": {"agent": "0.0.0.0/0", "container": "0.0.0.0/0"}},
            "watcher": {"token": "real-cluster-watcher"},
            "idle": {
                "enabled": "network_timeout",
                "app-streaming-packet-timeout": "5m",
                "checkers": {"network_timeout": {"threshold": "24h"}},
            },
        }

    def seed(self, cluster: Cluster) -> None:
        self.manage(cluster, "schema", "oneshot", "-f", "alembic.ini")
        folder = cluster.folder.settings
        write_whole(folder / "fixture.json", json.dumps(_fixture(accounts(cluster.tag)), indent=1))
        self.manage(cluster, "fixture", "populate", "fixture.json")
        # The fixture leaves the permission graph empty, without which plain users may do nothing: the release's
        # own role presets and data migrations fill it.
        presets = folder / "presets" / "fixtures" / "manager"
        presets.mkdir(parents=True, exist_ok=True)
        self.manage(cluster, "permissions", "emit", "--repository", "presets")
        self.manage(cluster, "fixture", "populate", presets / "example-role-presets.json")
        run(
            [
                cluster.environment / "bin/python",
                PROGRAMS / "permission_graph.py",
                cluster.postgres.url(DATABASE),
            ],
            limit=120,
            log=cluster.folder.logs / "seed.log",
            cwd=folder,
            env=clean_environment(),
        )
        self.manage(cluster, "permissions", "provision")

    def note_ports(self, cluster: Cluster) -> None:
        address = f"127.0.0.1:{cluster.ports['registry']}"
        place = settings.quoted({"registry": address, "project": MADE_PROJECT})
        cluster.sql(
            f"update container_registries set registry_name = '{address}', url = 'http://{address}'"
            f" where id = '{MADE_REGISTRY_ID}';"
            f"update groups set container_registry = {place} where id = '{PROJECT_ID}';"
            f"update domains set allowed_docker_registries = '{{{REGISTRY},{address}}}';"
        )

    def agent_command(self, cluster: Cluster) -> list[str | Path]:
        binaries = cluster.environment / "bin"
        if cluster.state.agent == "dummy":
            return [binaries / "python", PROGRAMS / "dummy_agent.py", "-f", "agent.toml"]
        return [binaries / "backend.ai", "ag", "start-server", "-f", "agent.toml"]


def _fixture(everybody: list[Account]) -> dict[str, Any]:
    return {
        "domains": [
            {
                "id": DOMAIN,
                "name": "default",
                "description": "",
                "is_active": True,
                "is_default": True,
                "total_resource_slots": {},
                "allowed_vfolder_hosts": HOSTS,
                "allowed_docker_registries": [REGISTRY],
            }
        ],
        "user_resource_policies": [
            {
                "name": "default",
                "max_vfolder_count": 0,
                "max_quota_scope_size": -1,
                "max_session_count_per_model_session": 10,
                "max_customized_image_count": 10000,
            }
        ],
        "project_resource_policies": [
            {"name": "default", "max_vfolder_count": 0, "max_quota_scope_size": -1, "max_network_count": 3}
        ],
        "keypair_resource_policies": [_policy(policy) for policy in POLICIES],
        "users": [_user(account) for account in everybody],
        "keypairs": [_keypair(account) for account in everybody],
        "groups": [_project("default", PROJECT_ID), *(_personal(account) for account in everybody)],
        "association_groups_users": [
            {"group_id": PROJECT_ID, "user_id": account.uuid} for account in everybody
        ],
        "scaling_groups": [
            {
                "id": RESOURCE_GROUP,
                "name": "default",
                "description": "",
                "is_active": True,
                "is_public": True,
                "is_default": True,
                "driver": "static",
                "driver_opts": {},
                "scheduler": "fifo",
                "scheduler_opts": {},
                "use_host_network": False,
            }
        ],
        "sgroups_for_domains": [{"resource_group_id": RESOURCE_GROUP, "domain_id": DOMAIN}],
        "resource_slot_types": [
            _slot_type("cpu", "count", "CPU", "Core", 1, binary=False),
            _slot_type("mem", "bytes", "RAM", "GiB", 2, binary=True),
        ],
        "container_registries": [
            {
                "id": REGISTRY_ID,
                "registry_name": REGISTRY,
                "url": f"https://{REGISTRY}",
                "type": "harbor2",
                "project": PROJECT,
                "is_global": True,
                "ssl_verify": True,
            },
            # Its address has a port, and comes from `note_ports`.
            {
                "id": MADE_REGISTRY_ID,
                "registry_name": "made",
                "url": "http://made",
                "type": "docker",
                "project": MADE_PROJECT,
                "is_global": True,
                "ssl_verify": False,
            },
        ],
        "images": [_image(number, name) for number, name in enumerate(NAMES, 1)],
        "image_aliases": [
            {"id": ALIAS_ID.format(number), "alias": alias, "image": IMAGE_ID.format(NAMES.index(name) + 1)}
            for number, (alias, name) in enumerate(ALIASES.items(), 1)
        ],
    }


def _policy(policy: Policy) -> dict[str, Any]:
    return policy.row(settings.STORAGE_HOST) | {
        "is_default": policy is POLICIES[0],
        "max_concurrent_sftp_sessions": 10,
        "max_containers_per_session": 1 if policy.slots else 8,
    }


def _user(account: Account) -> dict[str, Any]:
    return account.user_row() | {"domain_id": DOMAIN, "resource_policy": "default"}


def _keypair(account: Account) -> dict[str, Any]:
    return account.keypair_row() | {"is_default": True}


def _project(name: str, identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": name,
        "description": "",
        "is_active": True,
        "domain_name": "default",
        "resource_policy": "default",
        "total_resource_slots": {},
        "allowed_vfolder_hosts": HOSTS,
        "type": "general",
    }


def _personal(account: Account) -> dict[str, Any]:
    """A user's own project, in which their own folders live."""
    identifier = f"b0000000-0000-4000-8000-{0xA000 + account.number:012x}"
    project = _project(f"personal-{account.name}", identifier)
    return {**project, "type": "personal", "creator_id": account.uuid}


def _slot_type(name: str, kind: str, display: str, unit: str, rank: int, *, binary: bool) -> dict[str, Any]:
    return {
        "slot_name": name,
        "slot_type": kind,
        "required": True,
        "display_name": display,
        "description": display,
        "display_unit": unit,
        "display_icon": name,
        "number_format": {"binary": binary, "round_length": 0},
        "rank": rank,
    }


def _image(number: int, name: str) -> dict[str, Any]:
    path, tag = name.removeprefix(f"{REGISTRY}/").split(":")
    return {
        "id": IMAGE_ID.format(number),
        "name": name,
        "project": PROJECT,
        "image": path,
        "tag": tag,
        "registry": REGISTRY,
        "registry_id": REGISTRY_ID,
        "architecture": architecture(),
        # The column is 72 wide and padded.
        "config_digest": f"sha256:{str(number) * 64} ",
        "size_bytes": 200000000,
        "is_local": False,
        "type": "COMPUTE",
        "accelerators": "",
        "labels": LABELS,
        "resources": RESOURCES,
        "status": "ALIVE",
    }
