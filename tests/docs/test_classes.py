"""The page of classes lists both faces of everything that has two, as the docstrings have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import backendai_sdk

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/classes.md"


def test_the_page_is_what_the_tool_writes() -> None:
    command = [sys.executable, str(ROOT / "tools/class_page.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_class_with_two_faces_is_there_and_says_what_it_is() -> None:
    text = PAGE.read_text("utf-8")
    twins = [name for name in backendai_sdk.__all__ if f"Async{name}" in backendai_sdk.__all__]
    assert len(twins) >= 8
    for name in twins:
        assert f"## `Async{name}` and `{name}`\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.split("|")[4].strip() == ""], "each has a sentence"
