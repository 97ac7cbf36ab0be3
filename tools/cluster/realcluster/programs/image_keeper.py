"""Gives images their names back as soon as they have lost them: ``python -m realcluster.programs.image_keeper SOCKET``.

A commit in 26.9.6 takes the name of the session's own image for what it saves, and deletes that afterwards, name and
all: no session could be started from the image any more.
"""

from __future__ import annotations

import sys
from pathlib import Path

from realcluster.docker_api import Docker
from realcluster.images import restore_images


def main() -> None:
    docker = Docker(Path(sys.argv[1]))
    for _ in docker.image_losses():
        restore_images(docker)


main()
