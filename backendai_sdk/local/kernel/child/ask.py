"""Asks whoever runs the session for one line and prints it: `read` of a bash session. Fails if nobody can be asked."""

from __future__ import annotations

import os
import signal
import sys

from . import asking


def main(kind: str) -> None:
    """`kind` is `password` for what should not be shown while it is typed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends without a word; the shell sees why
    reply = asking.Line(int(os.environ["_BACKENDAI_CHANNEL"])).request("ask", password=kind == "password")
    text = None if reply is None else reply.get("text")
    if text is None:
        sys.exit(1)
    sys.stdout.write(f"{text}\n")
