"""A job for the program that works inside a session: the files it is made of, its command, its answer."""

from __future__ import annotations

import json
import re
import secrets
from functools import cache
from importlib.resources import files

from backendai_sdk._wire.request import FilePart

__all__ = ["Job", "prefix", "token"]

# The agents' own Python is in every image; the others are for servers that are no Backend.AI cluster.
_PYTHONS = "/opt/backend.ai/bin/python python3 python"
NO_PYTHON = 97


def token() -> str:
    """A name that nothing else in the session has."""
    return secrets.token_hex(6)


def prefix(mark: str) -> str:
    """What the names of all files begin with that belong to that mark, a :func:`token`."""
    return f".backendai-{mark}"


@cache
def _program() -> bytes:
    return files("backendai_sdk._wire").joinpath("in_session.py").read_bytes()


class Job:
    """One run of the program.

    Args:
        task: what it is to do, the name of a function of the program.
        mark: what its files are called; jobs that come one after the other may share it.
        arguments: what the task needs.
    """

    def __init__(self, task: str, *, mark: str | None = None, **arguments: object) -> None:
        self._token = mark or token()
        self._job = {"task": task, **arguments}

    @property
    def files(self) -> tuple[str, str]:
        """The names of what is uploaded."""
        return self._name("py"), self._name("json")

    @property
    def parts(self) -> tuple[FilePart, FilePart]:
        """What must be uploaded before the command runs; the program removes it."""
        program, job = self.files
        return FilePart(filename=program, data=_program()), FilePart(
            filename=job, data=json.dumps(self._job).encode()
        )

    @property
    def command(self) -> str:
        """The shell command that does it, with the first Python that is there."""
        run = f'exec "$p" -I {self._name("py")} {self._token}'
        return (
            f'for p in {_PYTHONS}; do if command -v "$p" >/dev/null 2>&1; then {run}; fi; done; '
            f"rm -f {' '.join(self.files)}; exit {NO_PYTHON}"
        )

    def answer(self, stdout: str) -> dict[str, object] | None:
        """The answer in what the command wrote; ``None`` if there is none."""
        found = re.search(rf"^backendai-{self._token} (.*?)\r?$", stdout, re.MULTILINE)
        try:
            answer = json.loads(found[1]) if found else None
        except (ValueError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None

    def _name(self, kind: str) -> str:
        return f"{prefix(self._token)}.{kind}"
