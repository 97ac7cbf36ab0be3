"""Every example runs as it is, without warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


# The command line has tests of its own.
NAMES = sorted(file.name for file in EXAMPLES.glob("*.py") if file.name != "backendai_cli.py")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(children: Any, name: str) -> None:
    done = children.run(name)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert done.stdout, "it says nothing"


def test_the_quickstart_is_one_of_them() -> None:
    assert "quickstart.py" in NAMES


def test_the_command_line_is_short() -> None:
    lines = (EXAMPLES / "backendai_cli.py").read_text("utf-8").splitlines()
    assert len(lines) < 250
