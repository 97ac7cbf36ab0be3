"""The container images that sessions run in: Debian 12 with its Python and ipykernel, whole and slim.

No image registry is needed for them: debootstrap makes the root folder, Docker imports it under the names that the
clusters' image tables have. The slim one is for commits, which compress all of an image with one core.
"""

from __future__ import annotations

import fnmatch
import platform
import re
import shutil
import tarfile
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
TAGS = ("3.9-ubuntu20.04", "3.11-debian12", "3.11-slim")
NAMES = tuple(f"{REGISTRY}/{PROJECT}/python:{tag}" for tag in TAGS)
SLIM = NAMES[2]
# Each image has a second name, by which it is found when it has lost the first.
KEPT = "kept"
ALIASES = {
    "python": NAMES[0],
    "python3": NAMES[0],
    "python:3.6-ubuntu18.04": NAMES[0],
    "python:3.11": NAMES[1],
    "python:slim": SLIM,
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
# What no session needs, as paths in the root; of a folder, all that is in it.
NOT_IN_SLIM = (
    "usr/share/[!jz]*",  # jupyter has the kernel, zoneinfo the time zones
    "usr/lib/apt",
    "usr/lib/dpkg",
    "usr/lib/gcc",
    "usr/lib/systemd",
    "usr/lib/udev",
    "usr/lib/valgrind",
    "usr/lib/*-linux-gnu/gconv",
    "usr/lib/*-linux-gnu/gio",
    "usr/lib/*-linux-gnu/perl*",
    "usr/lib/*-linux-gnu/libapt*",
    "usr/lib/*-linux-gnu/libboost*",
    "usr/lib/*-linux-gnu/libdb-*",
    "usr/lib/*-linux-gnu/libgio*",
    "usr/lib/*-linux-gnu/libicu*",
    "usr/lib/*-linux-gnu/libperl*",
    "usr/lib/*-linux-gnu/libpython*",
    "usr/lib/*-linux-gnu/lib*san.so*",
    "usr/lib/python3*/idlelib",
    "usr/lib/python3*/lib2to3",
    "usr/lib/python3*/pydoc_data",
    "usr/lib/python3/dist-packages/*pydevd*",
    "usr/lib/python3/dist-packages/coverage*",
    "usr/lib/python3/dist-packages/debugpy*",
    "usr/lib/python3/dist-packages/pkg_resources*",
    "usr/lib/python3/dist-packages/setuptools*",
    "usr/bin/apt*",
    "usr/bin/dpkg*",
    "usr/bin/gdb*",
    "usr/bin/openssl",
    "usr/bin/perl*",
    "*/__pycache__",
    "var/cache",
    "var/lib/dpkg",
    "var/log",
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


def slim(root: Path) -> Path:
    """The tar of a smaller root, made of the whole one's."""
    tar = root.with_name(f"slim-{root.name}")
    if tar.exists():
        return tar
    # A pattern of `fnmatch` ends with one for the end of the text.
    patterns = [fnmatch.translate(pattern).removesuffix(r"\Z") for pattern in NOT_IN_SLIM]
    left_out = re.compile(f"\\./(?:{'|'.join(patterns)})(?:/|\\Z)")
    part = tar.with_suffix(".part")
    with tarfile.open(root) as whole, tarfile.open(part, "w") as smaller:
        for member in whole:
            if not left_out.match(member.name):
                smaller.addfile(member, whole.extractfile(member) if member.isreg() else None)
    part.rename(tar)
    return tar


def import_images(docker: Docker, root: Path) -> None:
    """Give the daemon the images under each of their names."""
    restore_images(docker)
    if all(docker.has_image(name) for name in NAMES):
        return
    with step("kernel images"):
        labels = [f'LABEL {key}="{value}"' for key, value in LABELS.items()]
        changes = [f"ENV PATH={PATH}", "ENV LANG=C.UTF-8", *labels]
        for tar, names in ((root, [name for name in NAMES if name != SLIM]), (slim(root), [SLIM])):
            with tar.open("rb") as file:
                docker.import_image(file, names[0], changes)
            for name in names[1:]:
                docker.tag(names[0], name)
    for name in NAMES:
        docker.tag(name, _kept(name))


def restore_images(docker: Docker) -> None:
    """Give back the names that images have lost."""
    for name in NAMES:
        if not docker.has_image(name) and docker.has_image(_kept(name)):
            docker.tag(_kept(name), name)


def _kept(name: str) -> str:
    return f"{KEPT}/{name.rpartition('/')[2]}"
