"""Debian packages and Python environments, by name only: where they come from is apt's and pip's own affair."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from realcluster.console import ClusterError, run, step
from realcluster.home import MACHINE_LOCKS, lock, write_whole
from realcluster.processes import PATH

APT_SECONDS = 900
PIP_SECONDS = 1800
# The command that shows that a package is there (another package may have brought it), and the package.
COMMANDS = {
    "redis-server": "redis-server",
    "etcd": "etcd-server",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "setpriv": "util-linux",
}
DOCKER_COMMANDS = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
}
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Made by backendai_sdk's tools/cluster while it installs packages.\nexit 101\n"


def postgres_programs() -> Path | None:
    """The folder of the newest PostgreSQL server's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def missing_packages(*, docker: bool) -> list[str]:
    """The Debian packages whose programs are not on this machine."""
    commands = {**COMMANDS, **DOCKER_COMMANDS} if docker else COMMANDS
    missing = {package for command, package in commands.items() if not shutil.which(command, path=PATH)}
    if postgres_programs() is None:
        missing.add("postgresql")
    return sorted(missing)


def install_debian(*, docker: bool, log: Path) -> None:
    """Install what is missing, without starting any package's own daemon."""
    if not missing_packages(docker=docker):
        return
    if not shutil.which("apt-get"):
        raise ClusterError("this tool needs Debian: there is no apt-get")
    with lock(MACHINE_LOCKS / "backendai-cluster-apt", APT_SECONDS, "Debian packages"):
        if missing := missing_packages(docker=docker):
            with step(f"Debian packages ({', '.join(missing)})"), _daemons_stay_down():
                _apt(["update"], log)
                _apt(["install", "--yes", "--no-install-recommends", *missing], log)
    if left := missing_packages(docker=docker):
        raise ClusterError(f"apt-get installed them, but their programs are not there: {', '.join(left)}")


def _apt(arguments: list[str], log: Path) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A run that was killed half-way through leaves packages unpacked but not configured.
    if arguments[0] == "install":
        run(["dpkg", "--configure", "-a"], limit=APT_SECONDS, log=log, env=env)
    argv = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments]
    run(argv, limit=APT_SECONDS, log=log, env=env)


@contextmanager
def _daemons_stay_down() -> Iterator[None]:
    """Debian asks this file before it starts a package's daemon; 101 refuses.  Another's file is left alone."""
    ours = not POLICY.exists() or POLICY.read_text() == POLICY_TEXT
    if ours:
        write_whole(POLICY, POLICY_TEXT, 0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def debian_mirror(suite: str) -> str:
    """The address that this machine's apt takes Debian from."""
    fields = "$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
    if mirror := pick_mirror(run(["apt-get", "indextargets", "--format", fields], limit=60), suite):
        return mirror
    raise ClusterError("apt's settings name no Debian mirror to make the container root from")


def pick_mirror(listing: str, suite: str) -> str | None:
    """The best address in ``apt-get indextargets``' answer: ``suite`` itself, else any plain Debian suite."""
    rows = [line.split("|") for line in listing.splitlines() if line.count("|") == 4]
    plain = [
        (release == suite, address)
        for created_by, origin, component, release, address in rows
        if (created_by, origin, component) == ("Packages", "Debian", "main") and "-" not in release
    ]
    return max(plain, key=lambda row: row[0])[1] if plain else None


def find_python(version: tuple[int, int]) -> Path:
    """A working CPython of this version with venv: on PATH, or among pyenv's."""
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(
        pyenv.glob(f"versions/{version[0]}.{version[1]}.*/bin/python"), key=_patch_number, reverse=True
    )
    if on_path := shutil.which(name):
        found.insert(0, Path(on_path))
    for python in found:
        if _answers(python, version):
            return python
    raise ClusterError(
        f"Python {version[0]}.{version[1]} with venv and ensurepip is needed and was found neither on PATH (as {name})"
        f" nor in {pyenv}/versions; on Debian: apt-get install {name}-venv, elsewhere: pyenv install {version[0]}.{version[1]}"
    )


def _patch_number(python: Path) -> int:
    patch = python.parts[-3].rpartition(".")[2]
    return int(patch) if patch.isdigit() else -1


def _answers(python: Path, version: tuple[int, int]) -> bool:
    # A shim of pyenv may stand there for a version that is not active.
    code = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != {version!r})"
    try:
        return (
            subprocess.run([python, "-c", code], capture_output=True, timeout=30, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def make_environment(
    folder: Path, python: tuple[int, int], requirements: Sequence[str], modules: Sequence[str], log: Path
) -> None:
    """A virtual environment with these requirements.

    ``modules`` are what that must be importable afterwards.  A file written last says what the environment
    holds: one that lacks it, or holds something else, is made again.
    """
    marker = folder / "complete.json"
    wanted = {"python": list(python), "requirements": sorted(requirements)}
    if (folder / "bin" / "python").exists() and marker.exists() and json.loads(marker.read_text()) == wanted:
        return
    with lock(folder.with_name(f"{folder.name}.lock"), PIP_SECONDS, f"the environment {folder.name}"):
        if (
            (folder / "bin" / "python").exists()
            and marker.exists()
            and json.loads(marker.read_text()) == wanted
        ):
            return
        with step(f"Python environment {folder.name}"):
            shutil.rmtree(folder, ignore_errors=True)
            env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
            run([find_python(python), "-m", "venv", folder], limit=300, log=log, env=env)
            interpreter = folder / "bin" / "python"
            pip: list[str | Path] = [
                interpreter,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--quiet",
            ]
            run([*pip, *requirements], limit=PIP_SECONDS, log=log, env=env)
            imports = "; ".join(f"import {module}" for module in modules)
            run([interpreter, "-W", "ignore", "-c", imports], limit=120, log=log, env=env)
            write_whole(marker, json.dumps(wanted))
