"""Install the official client, `backend.ai-client`, for the tests that run it against the local cluster.

``python tools/official_client.py install [23.9.10 | 26.9.6]`` makes a virtual environment under the user's cache folder
and prints where it is: the argument of ``pytest tests/official --official-client``. Assumes a package index and the one
Python that the release runs on. What is complete is not made again; what was left half-finished is.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MARKER = "complete.json"
_INSTALL_LIMIT = 900.0
_START_LIMIT = 120.0


class Release(NamedTuple):
    """What one release of the client needs."""

    python: str
    requirements: tuple[str, ...]


RELEASES = {
    # It allows yarl < 2, but with 1.17 and later it cannot sign a request.
    "23.9.10": Release("3.11", ("backend.ai-client==23.9.10", "yarl<1.17")),
    "26.9.6": Release("3.13", ("backend.ai-client==26.9.6",)),
}


def cache_folder() -> Path:
    """Where the environments are, one folder for each release."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "backendai_sdk" / "official-client"


def install(version: str, root: Path | None = None) -> Path:
    """Make the environment of a release, unless it is there already; where it is.

    Raises `SystemExit` when there is no suitable Python, `CalledProcessError` or `TimeoutExpired` when a step fails.
    """
    root = root or cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    folder = root / version
    with _locked(root / f"{version}.lock"):
        if not is_complete(folder, version):
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, RELEASES[version])
    return folder


def is_complete(folder: Path, version: str) -> bool:
    """Whether an installation was finished, of what is asked for today, and its Python is still there."""
    try:
        found = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == _marker(RELEASES[version]) and (folder / "bin" / "python").exists())


def _marker(release: Release) -> dict[str, object]:
    return {"python": release.python, "requirements": list(release.requirements)}


def _make(folder: Path, release: Release) -> None:
    python = find_python(release.python)
    print(f"installing {' '.join(release.requirements)} for {python} in {folder}", file=sys.stderr)
    _run([python, "-m", "venv", str(folder)], _INSTALL_LIMIT)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *release.requirements], _INSTALL_LIMIT)
    _run([str(folder / "bin" / "backend.ai"), "--help"], _START_LIMIT)
    # Written last: its presence says that everything before it was done.
    (folder / MARKER).write_text(json.dumps(_marker(release)), "utf-8")


def _run(command: list[str], limit: float) -> None:
    # Our standard output is for the folder's name alone; what goes wrong is said on the other one.
    subprocess.run(command, check=True, timeout=limit, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def find_python(version: str) -> str:
    """An interpreter of exactly this minor version: this one, one on the path, or one of pyenv's."""
    for python in _candidates(version):
        # A pyenv shim may exist for a version that is not active: only one that answers counts.
        question = "import sys; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return python
    raise SystemExit(f"the official client needs Python {version}, which is not on this machine")


def _candidates(version: str) -> Iterable[str]:
    yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One installation at a time; the lock goes with the process that holds it."""
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description="The official client in an environment of its own.")
    parser.add_argument("command", choices=["install"])
    parser.add_argument("version", nargs="?", choices=sorted(RELEASES), default="23.9.10")
    print(install(parser.parse_args().version))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
