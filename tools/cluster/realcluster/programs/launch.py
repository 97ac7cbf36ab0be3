"""Becomes a daemon after writing down who it is: ``launch.py RECORD COMMAND [ARGUMENT...]``.

The record is written by the process itself before it becomes the daemon, so that there is no moment at which the
daemon runs and nobody knows of it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    record, *argv = sys.argv[1:]
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    part = Path(f"{record}.part")
    part.write_text(json.dumps({"pid": os.getpid(), "started": int(started), "boot": boot}))
    part.replace(record)
    os.execvp(argv[0], argv)


main()
