"""What tests need to know about a cluster."""

from __future__ import annotations

import shlex
from typing import Any

from realcluster.accounts import IDLE_SECONDS, LIFETIME_SECONDS, accounts
from realcluster.cluster import Cluster
from realcluster.console import ClusterError
from realcluster.images import ALIASES, NAMES
from realcluster.ports import CONTAINERS
from realcluster.releases.base import Release


def environment_document(cluster: Cluster, release: Release) -> dict[str, Any]:
    """Addresses, accounts and images of a cluster that has been up; ``running`` says whether it is now."""
    return {
        "release": cluster.version,
        "running": cluster.processes.pid("manager") is not None,
        "endpoint": cluster.url("manager"),
        "webserver": cluster.url("webserver"),
        "storage": cluster.url("storage"),
        "coordinator": cluster.url("coordinator"),
        "api_version": release.api_version,
        "agent": cluster.state.agent,
        "domain": "default",
        "group": "default",
        "resource_group": "default",
        "accounts": {
            account.name: {
                "access_key": account.access_key,
                "secret_key": account.secret_key,
                "email": account.email,
                "password": account.password,
            }
            for account in accounts(cluster.tag)
        },
        "idle_seconds": IDLE_SECONDS,
        "idle_lifetime_seconds": LIFETIME_SECONDS,
        "images": list(NAMES),
        "aliases": ALIASES,
        "ports": {name: port for name, port in cluster.ports.items() if name != CONTAINERS},
        "container_ports_from": cluster.ports[CONTAINERS],
        "docker_host": cluster.docker.url if cluster.state.agent == "docker" else None,
        "log_folder": str(cluster.folder.logs),
        "folder": str(cluster.folder.path),
    }


def shell_exports(document: dict[str, Any], account: str) -> str:
    """``export`` lines for the SDK and the official client."""
    keys = document["accounts"].get(account)
    if keys is None:
        raise ClusterError(f"no account {account!r}; there are {', '.join(document['accounts'])}")
    variables = {
        "BACKEND_ENDPOINT": document["endpoint"],
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": keys["access_key"],
        "BACKEND_SECRET_KEY": keys["secret_key"],
        "BACKEND_DOMAIN": document["domain"],
        "BACKEND_GROUP": document["group"],
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
