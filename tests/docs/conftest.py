"""What the tests of documents and examples share: the helper for pages, and examples as child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from by_path import load

from backendai_sdk.local import Keypair, LocalCluster

EXAMPLES = Path(__file__).parents[2] / "examples"

load("docs_blocks", Path(__file__).with_name("blocks.py"))


@attrs.frozen
class Children:
    """Starts examples as children, in a folder and with settings of their own; warnings are errors there."""

    folder: Path
    environment: dict[str, str]

    def of(self, cluster: LocalCluster, keys: Keypair | None = None) -> Children:
        """The same with a cluster in the BACKEND_* variables."""
        keys = keys or cluster.user
        added = {
            "BACKEND_ENDPOINT": cluster.endpoint,
            "BACKEND_ACCESS_KEY": keys.access_key,
            "BACKEND_SECRET_KEY": keys.secret_key,
        }
        return attrs.evolve(self, environment={**self.environment, **added})

    @contextmanager
    def start(self, example: str, *args: str) -> Iterator[subprocess.Popen[str]]:
        """A child that runs; it is killed at the end of the block if it still does."""
        command = [sys.executable, "-W", "error", str(EXAMPLES / example), *args]
        pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes) as child:
            try:
                yield child
            finally:
                child.kill()

    def run(self, example: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a child to its end."""
        with self.start(example, *args) as child:
            stdout, stderr = child.communicate(stdin, timeout=50)
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)


@pytest.fixture
def children(tmp_path: Path) -> Children:
    """Examples as child processes, without settings of whoever runs the tests."""
    return Children(tmp_path, {**os.environ, "COLUMNS": "200"})
