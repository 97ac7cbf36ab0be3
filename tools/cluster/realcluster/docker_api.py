"""The few calls of Docker's HTTP interface that are needed, over the daemon's own socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, urlencode

from realcluster.console import ClusterError


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, limit: float | None) -> None:
        super().__init__("docker", timeout=limit)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Docker:
    """A Docker daemon behind ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def answers(self) -> bool:
        try:
            return self._call("GET", "/_ping", limit=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def has_image(self, name: str) -> bool:
        return self._call("GET", f"/images/{_path(name)}/json")[0] == 200

    def import_image(self, tar: BinaryIO, name: str, changes: list[str]) -> None:
        """Make an image of a root folder's tar; ``changes`` are Dockerfile lines such as LABEL."""
        repository, _, tag = name.rpartition(":")
        query = urlencode({"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}, doseq=True)
        status, answer = self._call("POST", f"/images/create?{query}", tar, limit=300)
        if status != 200 or "errorDetail" in answer:
            raise ClusterError(f"Docker did not import {name}: {answer.strip()}")

    def tag(self, name: str, other: str) -> None:
        repository, _, tag = other.rpartition(":")
        self._expect("POST", f"/images/{_path(name)}/tag?{urlencode({'repo': repository, 'tag': tag})}")

    def image_losses(self) -> Iterator[None]:
        """Each time an image loses a name or goes; listens from the first step on, until the daemon ends."""
        query = urlencode({"filters": json.dumps({"type": ["image"], "event": ["untag", "delete"]})})
        connection = _Connection(self._path, None)
        try:
            connection.request("GET", f"/v1.41/events?{query}")
            answer = connection.getresponse()
            yield  # what was lost before anybody listened
            while answer.readline():
                yield
        finally:
            connection.close()

    def containers(
        self, filters: Mapping[str, list[str]] | None = None, *, stopped: bool = True
    ) -> list[str]:
        """Ids of the containers that match Docker's ``filters``."""
        query = urlencode({"all": int(stopped), "filters": json.dumps(dict(filters or {}))})
        return [row["Id"] for row in json.loads(self._expect("GET", f"/containers/json?{query}"))]

    def remove_container(self, container: str) -> None:
        # One that is already on its way out answers 409, one that is gone 404.
        with suppress(ClusterError):
            self._expect("DELETE", f"/containers/{container}?force=1&v=1", limit=60)

    def remove_unused_networks(self) -> None:
        self._expect("POST", "/networks/prune")

    def _expect(self, method: str, path: str, limit: float = 60) -> str:
        status, answer = self._call(method, path, limit=limit)
        if status >= 300:
            raise ClusterError(f"Docker answered {status} to {method} {path}: {answer.strip()}")
        return answer

    def _call(
        self, method: str, path: str, body: BinaryIO | None = None, *, limit: float = 60
    ) -> tuple[int, str]:
        connection = _Connection(self._path, limit)
        try:
            connection.request(method, f"/v1.41{path}", body=cast("http.client._DataType", body))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


def _path(name: str) -> str:
    return quote(name, safe="/:")
