"""``tools/again.py``: what fails once is tried again, what fails twice has failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[2] / "tools/again.py"
ONCE = """
import pathlib

def test_of_moods():
    mark = pathlib.Path("seen")
    seen = mark.exists()
    mark.touch()
    assert seen
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def first(tmp_path: Path):
    """Writes tests, and runs them once, as a gate does."""

    def first(text: str) -> Path:
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        (tmp_path / "test_it.py").write_text(text)
        assert run(tmp_path, "-m", "pytest", "-q").returncode == 1
        return tmp_path

    return first


def test_what_passes_then_is_named(first):
    done = run(first(f"{ONCE}\ndef test_good(): pass\n"), str(AGAIN))
    assert done.returncode == 0, done.stdout
    assert (
        "=== FLAKY, to be mended: passed only when tried again, alone: test_it.py::test_of_moods"
        in done.stdout
    )
    assert "1 passed" in done.stdout, "the good one is not run again"


def test_what_fails_twice_has_failed(first):
    done = run(first(f"{ONCE}\ndef test_bad(): assert False\n"), str(AGAIN))
    assert done.returncode == 1
    assert "FLAKY" not in done.stdout


def test_many_are_no_accident(first):
    done = run(first("".join(f"def test_{n}(): assert False\n" for n in range(4))), str(AGAIN))
    assert (done.returncode, done.stdout) == (1, "")
    assert "4 tests failed, which is no accident" in done.stderr


def test_what_failed_was_no_test(tmp_path):
    done = run(tmp_path, str(AGAIN))
    assert done.returncode == 1
    assert "something else did" in done.stderr
