"""`python -m backendai_sdk.local`: run the cluster on its own and print what a client needs to know.

Assumes a reader of its output, a person or a script: four `export` lines, flushed once the server answers.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from .cluster import LocalCluster
from .releases import RELEASES

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m backendai_sdk.local", description=main.__doc__)
    parser.add_argument(
        "--release", choices=sorted(RELEASES), default="26.8", help="the release to speak like"
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--allow-remote", action="store_true", help="let --host be one that other machines can reach"
    )
    parser.add_argument("--admin", action="store_true", help="print a superadmin's keys instead of a user's")
    options = parser.parse_args(argv)
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    try:
        cluster = LocalCluster(
            options.release, host=options.host, port=options.port, allow_remote=options.allow_remote
        )
    except ValueError as exc:
        parser.error(str(exc))
    with cluster:
        keys = cluster.admin if options.admin else cluster.user
        lines = (
            f"export BACKEND_ENDPOINT={cluster.endpoint}",
            "export BACKEND_ENDPOINT_TYPE=api",
            f"export BACKEND_ACCESS_KEY={keys.access_key}",
            f"export BACKEND_SECRET_KEY={keys.secret_key}",
        )
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        asked_to_stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
