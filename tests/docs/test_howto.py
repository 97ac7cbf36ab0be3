"""The Python in README.md and in every page under docs/ runs as written, and prints what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docs_blocks import pages, read, run

from backendai_sdk.local import LocalCluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A cluster of the page's own, named by the environment; afterwards nothing lives there."""
    monkeypatch.chdir(tmp_path)
    with LocalCluster() as cluster:
        monkeypatch.setenv("BACKEND_ENDPOINT", cluster.endpoint)
        monkeypatch.setenv("BACKEND_ACCESS_KEY", cluster.access_key)
        monkeypatch.setenv("BACKEND_SECRET_KEY", cluster.secret_key)
        yield cluster
        left = [s.name for s in cluster.live_sessions() if s.status != "TERMINATING"]
        assert not left, f"the page leaves sessions behind: {left}"


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page: Path, cluster: LocalCluster) -> None:
    run(read(page))


def test_the_command_line_page_has_every_command() -> None:
    text = (ROOT / "docs/how-to/from-the-command-line.md").read_text("utf-8")
    commands = [
        "backend.ai ps",
        "backend.ai ps --running",
        "backend.ai ps --dead",
        "backend.ai ps --name-only",
        "backend.ai ps --detail",
        "backend.ai ps --format",
        "backend.ai ps --all",
        "backend.ai ps --access-key",
        "backend.ai run --rm -c 'print(\"hello world\")' python:3.6-ubuntu18.04",
        "backend.ai run --rm --exec 'python myscript.py arg1 arg2' python:3.6-ubuntu18.04 ./myscript.py",
        "--enqueue-only",
        "--max-wait",
        "backend.ai events",
        "-r cpu=4 -r mem=8g -r cuda.shares=2",
        "backend.ai rm",
    ]
    assert [c for c in commands if c not in text] == []


def test_the_command_line_page_lists_every_field() -> None:
    from backendai_sdk._wire.fields import FIELDS

    text = (ROOT / "docs/how-to/from-the-command-line.md").read_text("utf-8")
    assert [name for name in FIELDS if f"`{name}`" not in text] == []


# --- the helper itself ----------------------------------------------------------------------------------


def write(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text.replace("'''", "```"), "utf-8")
    return page


def test_blocks_share_names_and_outputs_are_compared(tmp_path: Path) -> None:
    page = write(
        tmp_path,
        """# Page
'''python
import asyncio
x = await asyncio.sleep(0, 41)
'''
'''sh
no python
'''
'''python
print(x + 1, object())
'''
Text between.

<!-- output -->
'''text
42 <object object at ...>
'''
* in a list:
  '''python
  asyncio.run(asyncio.sleep(0))
  '''
'''text
not an output
'''
""",
    )
    first, second, third = read(page)
    assert (first.line, first.output) == (3, None)
    assert second.output == "42 <object object at ...>\n"
    assert third.code == "asyncio.run(asyncio.sleep(0))\n"
    run([first, second, third])


def test_another_output_and_an_error_are_found(tmp_path: Path) -> None:
    page = write(tmp_path, "'''python\nprint(1)\n'''\n\n<!-- output -->\n'''text\n2\n'''\n")
    with pytest.raises(AssertionError, match=r"page.md:2:(?s:.*)Differences"):
        run(read(page))
    page = write(tmp_path, "\n\n'''python\n\n1 / 0\n'''\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run(read(page))
    assert caught.traceback[-1].lineno == 4  # counted from 0
