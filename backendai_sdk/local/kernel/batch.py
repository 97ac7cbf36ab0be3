"""The three steps of a batch run and what `*` stands for in each, as the kernels of Backend.AI have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUILD_FAILED = 127
_NOTHING_TO_RUN = 127
# What is built and what is run, by the kind of interpreter: a file, and the command if it is there.
_BUILDS = {
    "python": (("Makefile", "make"), ("setup.py", "python -m pip install --user -e .")),
    "bash": (("Makefile", "make"),),
    "node": (),
}
_RUNS = {
    "python": ("main.py", "python main.py"),
    "bash": ("main.sh", "bash main.sh"),
    "node": ("main.js", "node main.js"),
}


@dataclass(frozen=True)
class Step:
    """A shell command, or why there is none (`notice`) and the exit code of that."""

    command: str | None = None
    notice: str = ""
    exit_code: int = 0


def resolve(name: str, command: str | None, work_dir: Path, kind: str = "python") -> Step:
    """The step `name` (`clean`, `build`, `exec`), given as a shell command, `*`, or nothing.

    Looks at the files of `work_dir`, so it is asked when the step starts: the step before may have made them.
    """
    if not command:
        return Step()
    if command != "*":
        return Step(command)
    if name == "build":
        return _build(work_dir, kind)
    if name == "exec":
        script, command = _RUNS[kind]
        if (work_dir / script).is_file():
            return Step(command)
        return Step(
            notice=f'{_prefix(kind)}cannot find the main script ("{script}").\n', exit_code=_NOTHING_TO_RUN
        )
    return Step()


def _build(work_dir: Path, kind: str) -> Step:
    for file, command in _BUILDS[kind]:
        if (work_dir / file).is_file():
            return Step(command)
    if kind == "python":
        return Step(notice=f'{_prefix(kind)}skipping the build phase due to missing "setup.py" file\n')
    return Step()


def _prefix(kind: str) -> str:
    return f"{kind}-kernel: {kind}-kernel: "
