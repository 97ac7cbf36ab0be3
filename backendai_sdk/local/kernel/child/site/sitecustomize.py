"""Lets Python programs in the shell commands of a session ask the user: their `input` goes to whoever runs the session.

Loaded by every Python program a command starts, so it does next to nothing until it is used. A program that gets its
input from a pipe or a file reads that, as it would anywhere.
"""

import importlib.machinery
import importlib.util
import os
import stat
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import


def _is_asked_for() -> bool:
    try:
        channel = os.fstat(int(os.environ["_BACKENDAI_CHANNEL"]))
        stdin = os.fstat(0)
        null = os.stat(os.devnull)  # noqa: PTH116
    except (KeyError, ValueError, OSError):
        return False
    return stat.S_ISSOCK(channel.st_mode) and stat.S_ISCHR(stdin.st_mode) and stdin.st_rdev == null.st_rdev


def _install() -> None:
    path = os.path.join(_HERE, os.pardir, "asking.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location("_backendai_asking", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.install(int(os.environ["_BACKENDAI_CHANNEL"]))


def _chain() -> None:
    """Runs the `sitecustomize` of the machine, which this one hides."""
    others = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if _is_asked_for():
    _install()
_chain()
