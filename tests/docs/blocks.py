"""Runs the Python of a Markdown page as its reader would: from top to bottom, in one namespace.

The convention for pages:

* Every ```` ```python ```` block runs, and may ``await`` at its top level.  A page defines and closes everything
  that it uses; what cannot run is not marked as ``python``.
* ``AsyncSession()`` and ``Session()`` work without arguments: the ``BACKEND_*`` variables name a local cluster that
  was started for the page.  A page for readers without a cluster begins with ``AsyncSession.local()`` instead.
* The current folder is empty and of the page's own.
* A ```` ```text ```` block that follows a line ``<!-- output -->`` is what the nearest ``python`` block above prints
  to standard output; ``...`` in it stands for any text.
* Warnings are errors, and a page leaves no session behind in the cluster that it was given.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
from pathlib import Path
from typing import Any

import attrs

from backendai_sdk import AsyncSession

_FENCE = re.compile(
    r"^(?P<mark><!-- output -->\n+)?"
    r"(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_ELLIPSIS = doctest.ELLIPSIS


@attrs.frozen
class Block:
    """A block of Python, and what it is to print, if the page says so."""

    path: Path
    line: int
    code: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def read(path: Path) -> list[Block]:
    """The Python blocks of a page, in order."""
    text = path.read_text("utf-8")
    blocks: list[Block] = []
    for match in _FENCE.finditer(text):
        indent = match["indent"]
        content = re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("text")) + 1
        if match["language"] == "python":
            blocks.append(Block(path, line, content))
        elif match["mark"]:
            assert match["language"] == "text", f"{path}:{line}: expected output goes into a ```text block"
            assert blocks, f"{path}:{line}: there is no python block before this output"
            assert blocks[-1].output is None, f"{path}:{line}: a block has one output"
            blocks[-1] = attrs.evolve(blocks[-1], output=content)
    return blocks


def run(blocks: list[Block]) -> None:
    """Run the blocks of one page; the first that fails or prints something else ends it."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        try:
            for block in blocks:
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    _run_one(block, namespace, runner)
                if block.output is not None:
                    _compare(block, printed.getvalue())
        except BaseException:
            # What the rest of the page would have closed must not bury the error under warnings.
            for value in namespace.values():
                if isinstance(value, AsyncSession):
                    runner.run(value.close())
            raise


def _run_one(block: Block, namespace: dict[str, Any], runner: asyncio.Runner) -> None:
    # Line numbers of the page, so that a traceback points into it.
    tree = ast.increment_lineno(ast.parse(block.code), block.line - 1)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(tree, str(block.path), "exec", flags=flags, dont_inherit=True)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)  # outside the loop, as in a script: asyncio.run() works
        return

    async def step() -> None:
        await eval(code, namespace)

    runner.run(step())


def _compare(block: Block, printed: str) -> None:
    checker = doctest.OutputChecker()
    if not checker.check_output(block.output or "", printed, _ELLIPSIS):
        example = doctest.Example(block.code, block.output or "")
        raise AssertionError(
            f"{block}:\n{checker.output_difference(example, printed, _ELLIPSIS | doctest.REPORT_NDIFF)}"
        )


def pages(root: Path) -> list[Path]:
    """The pages whose Python is run."""
    return [root / "README.md", *sorted(root.glob("docs/**/*.md"))]
