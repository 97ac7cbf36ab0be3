"""The three stores of a cluster: PostgreSQL, Redis and etcd, each of its own and on loopback only."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from realcluster.console import ClusterError, run
from realcluster.packages import postgres_programs
from realcluster.processes import Daemon, Processes, as_user, clean_environment

START_SECONDS = 60
Tree: TypeAlias = "Mapping[str, str | Tree]"


class Postgres:
    """A PostgreSQL server whose data may be thrown away: it does not wait for the disk."""

    def __init__(self, data: Path, port: int, password: str) -> None:
        self._data = data
        self._port = port
        self._password = password
        programs = postgres_programs()
        if programs is None:
            raise ClusterError("PostgreSQL's programs are not installed")
        self._programs = programs

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres:{self._password}@127.0.0.1:{self._port}/{database}"

    def start(self, processes: Processes) -> None:
        if processes.pid("postgres") is None:
            processes.stop("postgres")
            if not (self._data / "PG_VERSION").exists():
                self._make(processes.log("initdb"))
            # Its own record of a server: surely nobody's, now that our record of the same says so.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "250",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        argv: list[str | Path] = [self._programs / "postgres", "-D", self._data, *options]
        processes.start(Daemon("postgres", as_user("postgres", "postgres", argv), self._data))
        processes.wait("postgres", START_SECONDS, lambda: self._answers("postgres"))

    def create(self, database: str) -> None:
        """An empty database, whatever was there."""
        self.sql("postgres", f"drop database if exists {database} with (force);\ncreate database {database};")

    def sql(self, database: str, text: str) -> str:
        """Run statements; rows come back one a line, unaligned.  Stops at the first error."""
        argv: list[str | Path] = [
            self._programs / "psql",
            "-X",
            "-q",
            "-t",
            "-A",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
        ]
        env = {**clean_environment(), "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "10"}
        return run(
            [*argv, "-p", str(self._port), "-U", "postgres", "-d", database], limit=60, env=env, text=text
        )

    def _answers(self, database: str) -> bool:
        try:
            return self.sql(database, "select 1").strip() == "1"
        except ClusterError:
            return False

    def _make(self, log: Path) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(parents=True)
        self._data.chmod(0o700)
        shutil.chown(self._data, "postgres", "postgres")
        argv: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            self._data,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        # initdb takes the password from a file; it runs as another user, who must be able to read it.
        secret = self._data.with_suffix(".password")
        secret.write_text(self._password)
        shutil.chown(secret, "postgres", "postgres")
        try:
            auth: list[str | Path] = ["-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
            command = as_user("postgres", "postgres", [*argv, *auth])
            run(command, limit=120, log=log, cwd=self._data, env=clean_environment())
        finally:
            secret.unlink()


class Redis:
    """A Redis server that keeps nothing."""

    def __init__(self, data: Path, port: int) -> None:
        self._data = data
        self._port = port

    def start(self, processes: Processes) -> None:
        argv: list[str | Path] = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        argv += ["--dir", self._data, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        processes.start(Daemon("redis", argv, self._data))
        processes.wait("redis", START_SECONDS, self._answers)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


class Etcd:
    """An etcd server, spoken to through its JSON gateway."""

    def __init__(self, data: Path, port: int, peer_port: int, namespace: str) -> None:
        self._data = data
        self._url = f"http://127.0.0.1:{port}"
        self._peer = f"http://127.0.0.1:{peer_port}"
        self._namespace = namespace

    def start(self, processes: Processes) -> None:
        argv: list[str | Path] = ["etcd", "--name", "only", "--data-dir", self._data / "etcd"]
        argv += ["--listen-client-urls", self._url, "--advertise-client-urls", self._url]
        argv += ["--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer]
        argv += ["--initial-cluster", f"only={self._peer}"]
        processes.start(Daemon("etcd", argv, self._data))
        processes.wait("etcd", START_SECONDS, self._answers)

    def put(self, prefix: str, tree: Tree) -> None:
        """Make ``tree`` all there is below ``prefix``; the key "" is the value of its parent."""
        base = f"/sorna/{self._namespace}/{prefix}/".encode()
        self._call("kv/deleterange", {"key": _coded(base), "range_end": _coded(base[:-1] + b"0")})
        for key, value in flatten(prefix, tree):
            coded = _coded(f"/sorna/{self._namespace}/{key}".encode())
            self._call("kv/put", {"key": coded, "value": _coded(value.encode())})

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/health", timeout=5) as answer:
                return json.load(answer).get("health") in {"true", True}
        except (OSError, ValueError):
            return False

    def _call(self, name: str, body: Mapping[str, str]) -> None:
        request = urllib.request.Request(f"{self._url}/v3/{name}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
        except urllib.error.URLError as problem:
            raise ClusterError(f"etcd did not take {name}: {problem}") from None


def flatten(prefix: str, tree: Tree) -> list[tuple[str, str]]:
    """Keys and values of a nested table, as etcd holds them."""
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        path = f"{prefix}/{key}" if key else prefix
        rows += [(path, value)] if isinstance(value, str) else flatten(path, value)
    return rows


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Fast: it ends sessions instead of waiting for them.
POSTGRES_STOP = signal.SIGINT
