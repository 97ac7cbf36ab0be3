"""Write ``docs/reference/classes.md``: every public class with its two faces, from the cores and their docstrings.

``--check`` says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

import backendai_sdk

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/classes.md"
HEAD = """# Classes

<!-- Written by tools/class_page.py; do not edit. -->

Each class that talks to a server has two faces with the same methods, arguments and results: `AsyncX` for code that awaits, `X` for code that
does not, also in notebooks and from many threads. The columns say how a method is used there; the full documentation, with arguments and errors,
is in the docstrings (`help(backendai_sdk.AsyncSession.create)`).
"""
# What a method gives, and how that is used: awaiting, and blocking.
USES = {
    "AsyncPager": ("`await`, `async for`", "`for`"),
    "AwaitableContext": ("`await`, `async with`", "call, `with`"),
    "AsyncIterator": ("`async for`", "`for`"),
    "AsyncEventStream": ("`async with`, `async for`", "`with`, `for`"),
    "AsyncRun": ("`async with`, `async for`", "`with`, `for`"),
    "AsyncPortForward": ("`async with`", "`with`"),
    "AsyncPty": ("`async with`", "`with`"),
    "AsyncBackgroundTask": ("call", "call"),
}


def twins() -> list[tuple[type, type]]:
    """The public classes with two faces."""
    names = [name for name in backendai_sdk.__all__ if f"Async{name}" in backendai_sdk.__all__]
    names.sort(key=lambda name: name not in {"Session", "ComputeSession"})  # what one begins with
    return [(getattr(backendai_sdk, f"Async{name}"), getattr(backendai_sdk, name)) for name in names]


def summary(value: object) -> str:
    """The first sentence of a docstring, on one line."""
    text = inspect.getdoc(value) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return (sentence + stop.strip()).replace("``", "`").replace("|", "\\|")


def uses(member: object) -> tuple[str, str]:
    """How a method is used, awaiting and blocking."""
    if isinstance(member, property):
        return "value", "value"
    function = getattr(member, "__func__", member)
    if inspect.iscoroutinefunction(function):
        return "`await`", "call"
    given = str(inspect.signature(function).return_annotation).partition("[")[0]  # type: ignore[arg-type]
    return USES.get(given, ("call", "call"))


def protocol(cls: type) -> tuple[str, str]:
    """How the objects themselves are used, awaiting and blocking."""
    ways = {
        "__await__": ("`await`", ""),
        "__aenter__": ("`async with`", "`with`"),
        "__aiter__": ("`async for`", "`for`"),
    }
    found = [both for name, both in ways.items() if hasattr(cls, name)]
    awaiting, blocking = (
        (", ".join(filter(None, column)) for column in zip(*found, strict=True)) if found else ("", "")
    )
    return awaiting, blocking


def members(cls: type) -> list[tuple[str, object]]:
    """What is public of a class, in the order in which it is written."""
    return [
        (name, value) for name, value in vars(cls).items() if not name.startswith("_") and is_shown(value)
    ]


def is_shown(value: object) -> bool:
    return isinstance(value, property | classmethod) or inspect.isfunction(value)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for core, twin in twins():
        parts.append(f"\n## `{core.__name__}` and `{twin.__name__}`\n\n{summary(core)}\n\n")
        parts.append(f"| name | `{core.__name__}` | `{twin.__name__}` | |\n|---|---|---|---|\n")
        if any(itself := protocol(core)):
            parts.append(f"| | {itself[0]} | {itself[1]} | the object itself |\n")
        for name, member in members(core):
            awaiting, blocking = uses(member)
            parts.append(f"| `{name}` | {awaiting} | {blocking} | {summary(member)} |\n")
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    options = parser.parse_args()
    text = page()
    if options.check:
        if PAGE.exists() and PAGE.read_text("utf-8") == text:
            return 0
        print("docs/reference/classes.md is stale: run tools/class_page.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
