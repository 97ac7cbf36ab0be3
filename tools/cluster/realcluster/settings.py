"""The daemons' settings that both releases share; each release adds what only it knows."""

from __future__ import annotations

import json

from realcluster.cluster import DATABASE, KERNEL_UID, NAMESPACE, PASSWORD, Cluster
from realcluster.ports import CONTAINER_PORTS, CONTAINERS
from realcluster.stores import Tree
from realcluster.toml import Table

STORAGE_SECRET = "real-cluster-storage-secret"
UPLOAD_SECRET = "real-cluster-upload-token-secret-of-32-bytes-or-more"
VOLUME = "volume1"
STORAGE_HOST = f"local:{VOLUME}"
ALEMBIC = """\
[alembic]
script_location = ai.backend.manager.models:alembic
sqlalchemy.url = {url}
[loggers]
keys = root
[handlers]
keys = stderr
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = stderr
[handler_stderr]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(name)s: %(message)s
"""


def logging() -> Table:
    return {
        "level": "INFO",
        "drivers": ["console"],
        "pkg-ns": {"": "WARNING", "ai.backend": "INFO", "alembic": "WARNING"},
        "console": {"colored": False, "format": "verbose"},
    }


def common(cluster: Cluster) -> dict[str, Table]:
    etcd: Table = {"namespace": NAMESPACE, "addr": cluster.address("etcd"), "user": "", "password": ""}
    return {"etcd": etcd, "logging": logging(), "debug": {"enabled": False}}


def alembic(cluster: Cluster) -> str:
    return ALEMBIC.format(url=cluster.postgres.url(DATABASE))


def manager(cluster: Cluster, more: Table) -> Table:
    database: Table = {
        "type": "postgresql",
        "addr": cluster.address("postgres"),
        "name": DATABASE,
        "user": "postgres",
        "password": PASSWORD,
    }
    table: Table = {
        "num-proc": 1,
        "service-addr": cluster.address("manager"),
        "ssl-enabled": False,
        "ipc-base-path": str(cluster.folder.sockets),
        "rpc-auth-manager-keypair": str(cluster.folder.settings / "manager.key_secret"),
        "hide-agents": False,
        "event-loop": "asyncio",
        "aiomonitor-termui-port": cluster.ports["manager-monitor"],
        "aiomonitor-webui-port": cluster.ports["manager-monitor-web"],
    }
    return {**common(cluster), "db": database, "manager": {**table, **more}}


def storage(cluster: Cluster, more: Table, more_api: Table) -> Table:
    table: Table = {
        "node-id": f"i-real{cluster.tag}-storage",
        "num-proc": 1,
        "event-loop": "asyncio",
        "ipc-base-path": str(cluster.folder.data / "storage"),
        "user": KERNEL_UID,
        "group": KERNEL_UID,
        "scandir-limit": 1000,
        "max-upload-size": "10g",
        "secret": UPLOAD_SECRET,
        "session-expire": "1d",
        "aiomonitor-termui-port": cluster.ports["storage-monitor"],
        "aiomonitor-webui-port": cluster.ports["storage-monitor-web"],
    }
    client: Table = {"service-addr": cluster.address("storage"), "ssl-enabled": False}
    inner: Table = {
        "service-addr": cluster.address("storage-manager"),
        "ssl-enabled": False,
        "secret": STORAGE_SECRET,
    }
    return {
        **common(cluster),
        "storage-proxy": {**table, **more},
        "api": {"client": client, "manager": {**inner, **more_api}},
        "volume": {VOLUME: {"backend": "vfs", "path": str(cluster.volumes / VOLUME)}},
    }


def agent(cluster: Cluster, more: Table) -> Table:
    folder = cluster.folder.data / f"agent-{cluster.state.agent}"
    for name in ("var", "commit", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    first = cluster.ports[CONTAINERS]
    table: Table = {
        "backend": cluster.state.agent,
        "id": cluster.agent_id,
        "rpc-listen-addr": cluster.address("agent-rpc"),
        "agent-sock-port": cluster.ports["agent-relay"],
        "metadata-server-bind-host": "127.0.0.1",
        "metadata-server-port": cluster.ports["agent-metadata"],
        "aiomonitor-termui-port": cluster.ports["agent-monitor"],
        "aiomonitor-webui-port": cluster.ports["agent-monitor-web"],
        "event-loop": "asyncio",
        "ipc-base-path": str(cluster.folder.sockets),
        "var-base-path": str(folder / "var"),
        "image-commit-path": str(folder / "commit"),
        "mount-path": str(cluster.volumes),
        "cohabiting-storage-proxy": True,
    }
    container: Table = {
        "port-range": [first, first + CONTAINER_PORTS - 1],
        "kernel-uid": KERNEL_UID,
        "kernel-gid": KERNEL_UID,
        "bind-host": "127.0.0.1",
        "advertised-host": "127.0.0.1",
        "sandbox-type": "docker",
        "scratch-type": "hostdir",
        "scratch-root": str(folder / "scratch"),
        "scratch-size": "1G",
    }
    resource: Table = {"reserved-cpu": 0, "reserved-mem": "1G", "reserved-disk": "1G"}
    return {**common(cluster), "agent": {**table, **more}, "container": container, "resource": resource}


def webserver(cluster: Cluster) -> Table:
    return {
        "service": {
            "ip": "127.0.0.1",
            "port": cluster.ports["webserver"],
            "mode": "webui",
            "wsproxy": {"url": cluster.url("coordinator")},
        },
        "security": {"cookie_secure": False},
        "api": {
            "domain": "default",
            "endpoint": cluster.url("manager"),
            "text": f"Backend.AI {cluster.version}",
            "ssl_verify": False,
        },
        "session": {
            "max_age": 604800,
            "flush_on_startup": False,
            "login_block_time": 5,
            "login_allowed_fail_count": 1000,
            "max_count_for_preopen_ports": 10,
            "redis": {"addr": f"127.0.0.1:{cluster.ports['redis']}"},
        },
        "ui": {"brand": "Backend.AI"},
        "pipeline": {},
        "resources": {},
        "environments": {},
        "plugin": {},
        "webserver": {"event-loop": "asyncio", "ipc-base-path": str(cluster.folder.sockets)},
        "logging": logging(),
        "debug": {"enabled": False},
    }


def volumes(cluster: Cluster) -> Tree:
    proxy = {
        "client_api": cluster.url("storage"),
        "manager_api": cluster.url("storage-manager"),
        "secret": STORAGE_SECRET,
        "ssl_verify": "false",
    }
    return {
        "_types": {"user": "", "group": ""},
        "default_host": STORAGE_HOST,
        "exposed_volume_info": "percentage",
        "proxies": {"local": proxy},
    }


def quoted(value: object) -> str:
    """A value as JSON in an SQL string."""
    return "'" + json.dumps(value).replace("'", "''") + "'"
