"""The images this cluster offers, and how a text becomes one of them.

Assumes nothing about containers: an image is a name for an interpreter on this machine, **this machine's Python**
unless it says otherwise, whatever its tag says. The names exist so that programs written for a real cluster start here
unchanged. A name that is not in the catalogue is refused as a real server refuses it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from .kernel import Runtime, find_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DEFAULT_IMAGES", "MIB", "USUAL_SHMEM", "AppSpec", "Catalogue", "Image", "as_reference"]

MIB: Final = 1024 * 1024
USUAL_SHMEM: Final = 64 * MIB


@attrs.frozen
class AppSpec:
    """A service that an image brings; `command` is formatted with the `python` and `port` it runs with."""

    name: str
    protocol: str
    port: int  # inside the container
    command: tuple[str, ...]
    allowed_arguments: tuple[str, ...] = ()
    allowed_envs: tuple[str, ...] = ()


# A file server over the session's work folder. Its address comes last: no argument may open it to others.
_SIMPLE: Final = AppSpec(
    "simple",
    "http",
    8088,
    ("{python}", "-m", "http.server", "{port}", "{arguments}", "--bind", "127.0.0.1"),
    allowed_arguments=("--directory", "--protocol"),
)


@attrs.frozen
class Image:
    """One image of the catalogue.

    `interpreter` is what runs its code: None for this machine's Python, `"bash"`, `"node"`, one of these with a path
    (`"python:/opt/python3.12/bin/python3"`, also `python`), or a command or path that tells by its name what it is.
    """

    name: str = "stable/python"
    tag: str = "3.11-debian12"
    registry: str = "cr.backend.ai"
    architecture: str = "x86_64"
    aliases: tuple[str, ...] = ()
    min_cpu: int = 1
    min_mem: int = 64 * MIB
    shmem: int = USUAL_SHMEM  # shared memory when none is asked for; a part of `mem`
    needs_pull: bool = False  # go through PULLING when a session starts
    apps: tuple[AppSpec, ...] = (_SIMPLE,)
    interpreter: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def runtime(self) -> Runtime:
        """The program that runs its code, looked up on this machine. ValueError if it is not there."""
        if self.interpreter is None:
            return Runtime()
        runtime = find_runtime(self.interpreter)
        if runtime is None:
            raise ValueError(
                f"interpreter={self.interpreter!r} of image {self.canonical}: there is no such program here; "
                "allowed: a path of an executable file, or a command on the PATH"
            )
        return runtime

    @property
    def canonical(self) -> str:
        """The full reference."""
        return f"{self.registry}/{self.name}:{self.tag}"


DEFAULT_IMAGES: Final[tuple[Image, ...]] = (
    Image(tag="3.13-debian12", aliases=("python:3.13", "python:3.13-debian12")),
    Image(tag="3.12-debian12", aliases=("python:3.12", "python:3.12-debian12")),
    Image(
        tag="3.11-debian12",
        aliases=("python", "python3", "python:latest", "python:3.11", "python:3.11-debian12"),
    ),
    Image(tag="3.11-ubuntu20.04", aliases=("python:3.11-ubuntu20.04",)),
    Image(tag="3.10-ubuntu20.04", aliases=("python:3.10", "python:3.10-ubuntu20.04")),
    Image(tag="3.9-ubuntu20.04", aliases=("python:3.9", "python:3.9-ubuntu20.04")),
    Image(tag="3.8-ubuntu18.04", aliases=("python:3.8", "python:3.8-ubuntu18.04")),
    Image(tag="3.6-ubuntu18.04", aliases=("python:3.6", "python:3.6-ubuntu18.04")),
    Image(
        name="stable/bash", tag="5-debian12", aliases=("bash", "bash:latest", "bash:5"), interpreter="bash"
    ),
    Image(
        name="stable/nodejs",
        tag="lts-debian12",
        aliases=("node", "node:latest", "nodejs", "nodejs:latest"),
        interpreter="node",
    ),
)


def as_reference(text: str) -> str:
    """`text` read as an image reference, with the parts a server fills in."""
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        path, tag = text, "latest"
    if "/" not in path:
        path = f"index.docker.io/lablup/{path}"
    return f"{path}:{tag}"


class Catalogue:
    """The images that sessions may be created with.

    Besides those it was given, `python:/path/to/python3` (or `bash:`, `node:`) is an image for every such program of
    this machine; it is listed, under a reference of its own, from the moment it is first asked for.
    """

    def __init__(self, images: Iterable[Image] | None = None) -> None:
        """Without `images`: the usual ones, as far as their interpreters are here. Else ValueError for one that is not."""
        if images is None:
            self._images = [image for image in DEFAULT_IMAGES if _is_here(image)]
        else:
            self._images = list(images)
            for image in self._images:
                _ = image.runtime

    def __iter__(self) -> Iterator[Image]:
        return iter(tuple(self._images))

    def add(self, image: Image) -> None:
        """Offer one more, in place of one of the same reference."""
        self._images = [other for other in self._images if other.canonical != image.canonical]
        self._images.append(image)

    def find(self, text: str) -> Image | None:
        """The image that `text` names: as a reference first, as an alias after that, as a program at last."""
        reference = as_reference(text)
        for image in self._images:
            if image.canonical in {text, reference} or f"{image.name}:{image.tag}" == text:
                return image
        for image in self._images:
            if text in image.aliases:
                return image
        made = _image_of_program(text)
        if made is not None:
            self.add(made)
        return made


def _is_here(image: Image) -> bool:
    try:
        return bool(image.runtime)
    except ValueError:
        return False


def _image_of_program(text: str) -> Image | None:
    """An image for `KIND:/path`, if that is an executable file. A path cannot be a tag, so the tag is made up."""
    kind, _, path = text.partition(":")
    if not path.startswith("/"):
        return None
    try:
        runtime = find_runtime(text)
    except ValueError:
        return None
    if runtime is None:
        return None
    tag = f"{Path(path).name}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    return Image(name=f"local/{kind}", tag=tag, aliases=(text,), interpreter=text)
