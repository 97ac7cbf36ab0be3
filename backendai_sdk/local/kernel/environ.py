"""The environment variables of a session's programs.

Nothing of the parent's environment gets in but what programs need to start: it may hold the secrets of the client
(`BACKEND_SECRET_KEY`) and of everything else on the machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where libraries, temporary files and the time zone are: facts about the machine.
PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SITE = Path(__file__).parent / "child" / "site"
# Inherited by everything a session starts, so that what left its process group can still be found and ended.
TOKEN = "_BACKENDAI_LOCAL_KERNEL"  # noqa: S105 - a name, and nothing secret behind it
CHANNEL = "_BACKENDAI_CHANNEL"


def build(environ: Mapping[str, str], *, work_dir: Path, bin_dir: Path, token: str) -> dict[str, str]:
    """The environment of an interpreter: a minimal base, then what the session was created with."""
    base = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    base |= {
        "PATH": os.environ.get("PATH", DEFAULT_PATH),
        "HOME": str(work_dir),
        "PWD": str(work_dir),
        "USER": "work",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PYTHONUNBUFFERED": "1",
    }
    base |= environ
    base["PATH"] = f"{bin_dir}{os.pathsep}{base['PATH']}"
    base[TOKEN] = token
    return base


def for_command(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell command: Python programs in it can ask for input."""
    own = [str(SITE)]
    if environ.get("PYTHONPATH"):
        own.append(environ["PYTHONPATH"])
    return {**environ, "PYTHONPATH": os.pathsep.join(own)}


def find_bin(commands: Mapping[str, str]) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """A folder in which the names of `commands` are these programs; made for the purpose where there is none."""
    folder = Path(commands["python"]).parent
    if folder.is_absolute() and all(_means(folder, name, program) for name, program in commands.items()):
        return folder, None
    made = tempfile.TemporaryDirectory(prefix="backendai-bin-")
    for name, program in commands.items():
        # A script and not a link: behind a link, the interpreter of a virtual environment would not know its home.
        script = Path(made.name, name)
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(program)} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return Path(made.name), made


def _means(folder: Path, name: str, program: str) -> bool:
    """Whether a shell that looks into `folder` first finds `program` under `name`."""
    if Path(program).parent == folder:
        return (folder / name).resolve() == Path(program).resolve()
    path = os.environ.get("PATH", DEFAULT_PATH)
    return shutil.which(name, path=f"{folder}{os.pathsep}{path}") == program
