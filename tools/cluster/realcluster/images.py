"""The one container image that every session runs in: Debian 12 with its Python and ipykernel.

No image registry is needed: debootstrap makes the root folder, Docker imports it under the names that the
clusters' image tables have.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from realcluster.console import run, step
from realcluster.docker_api import Docker
from realcluster.home import Home, lock, write_whole
from realcluster.packages import debian_mirror
from realcluster.processes import PATH, unmount_below

SUITE = "bookworm"
BUILD_SECONDS = 1200
# To be raised when the root's contents change: an older root is made again.
ROOT_VERSION = "1"
REGISTRY = "cr.backend.ai"
PROJECT = "stable"
PYTHON = "/usr/bin/python3"
TAGS = ("3.9-ubuntu20.04", "3.11-debian12")
NAMES = tuple(f"{REGISTRY}/{PROJECT}/python:{tag}" for tag in TAGS)
ALIASES = {
    "python": NAMES[0],
    "python3": NAMES[0],
    "python:3.6-ubuntu18.04": NAMES[0],
    "python:3.11": NAMES[1],
}
LABELS = {
    "ai.backend.kernelspec": "1",
    "ai.backend.envs.corecount": "OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,NPROC",
    "ai.backend.features": "query batch uid-match user-input",
    # Chooses which of the agent's own Python runtimes is mounted; Debian 12 runs this one.
    "ai.backend.base-distro": "ubuntu20.04",
    "ai.backend.resource.min.cpu": "1",
    "ai.backend.resource.min.mem": "256m",
    "ai.backend.runtime-type": "python",
    "ai.backend.runtime-path": PYTHON,
    "ai.backend.role": "COMPUTE",
    "ai.backend.service-ports": "jupyter:http:8081,simple:http:8088",
}
# A session that asks for no memory gets the least; with 64m ipykernel is killed, and query mode answers 127.
RESOURCES = {"cpu": {"min": "1", "max": None}, "mem": {"min": "256m", "max": None}}
# The service `simple` is Python's own web server.
SERVICE = '{"command": ["{runtime_path}", "-m", "http.server", "{ports[0]}"]}\n'
LEFT_OUT = (
    "proc/*",
    "sys/*",
    "dev/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
)


def architecture() -> str:
    """This machine's name in the image tables."""
    return {"arm64": "aarch64"}.get(platform.machine(), platform.machine())


def build_root(home: Home) -> Path:
    """The tar of the root folder, made once per home."""
    tar = home.docker / f"root-{SUITE}-{ROOT_VERSION}.tar"
    with lock(home.docker / "root.lock", BUILD_SECONDS, "the container root"):
        if not tar.exists():
            with step("container root (debootstrap, python3-ipykernel)"):
                _build(home.docker / "root", tar, home.logs / "container-root.log")
    return tar


def _build(root: Path, tar: Path, log: Path) -> None:
    # debootstrap mounts /proc in there: after a run that was killed nothing may be deleted through that mount.
    if root.exists():
        unmount_below(root)
        shutil.rmtree(root)
    include = "--include=python3,ca-certificates"
    run(
        ["debootstrap", "--variant=minbase", include, SUITE, root, debian_mirror(SUITE)],
        limit=BUILD_SECONDS,
        log=log,
    )
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
    apt = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "python3-ipykernel"]
    run(["chroot", root, *apt], limit=BUILD_SECONDS, log=log, env=env)
    unmount_below(root)
    (root / "usr/bin/python").symlink_to("python3")
    services = root / "etc/backend.ai/service-defs"
    services.mkdir(parents=True)
    write_whole(services / "simple.json", SERVICE)
    part = tar.with_suffix(".part")
    leave_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
    run(["tar", "-C", root, "--numeric-owner", *leave_out, "-cf", part, "."], limit=300, log=log)
    part.rename(tar)
    shutil.rmtree(root)


def import_image(docker: Docker, tar: Path) -> None:
    """Give the daemon the image under each of its names."""
    if all(docker.has_image(name) for name in NAMES):
        return
    with step("kernel image"):
        labels = [f'LABEL {key}="{value}"' for key, value in LABELS.items()]
        with tar.open("rb") as file:
            docker.import_image(file, NAMES[0], [f"ENV PATH={PATH}", "ENV LANG=C.UTF-8", *labels])
        for name in NAMES[1:]:
            docker.tag(NAMES[0], name)
