"""Exceptions as IPython writes them: that is what the kernels of Backend.AI send, colours and all.

Frames of the runner itself are left out. Source is shown without syntax colours.
"""

from __future__ import annotations

import linecache
import os
import traceback
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WIDTH = 75
RED, GREEN, BOLD_GREEN, CYAN, BLUE, RESET = (
    f"\x1b[{code}m" for code in ("0;31", "0;32", "1;32", "0;36", "0;34", "0")
)
_HERE = str(Path(__file__).resolve().parent) + os.sep
_CONTEXT = 2
_NUMBERS = 7
_SAME = 3


def render(error: BaseException, cells: Mapping[str, int]) -> str:
    """The text for an exception. `cells` gives the execution number of each cell by its file name."""
    if isinstance(error, SyntaxError) and error.filename in cells and not _frames(error):
        return _syntax_error(error, cells)
    parts = [f"{RED}{'-' * WIDTH}{RESET}"]
    for link, reason in _chain(error):
        name = _name(link)
        parts.append(f"{RED}{name}{RESET}{'Traceback (most recent call last)':>{max(WIDTH - len(name), 34)}}")
        parts += _stack(_frames(link), cells)
        parts.append(_last_line(link))
        if reason:
            parts.append(f"\n{reason}\n")
    return "\n".join(parts)


def exit_notice(error: SystemExit) -> str:
    """What is said instead of a traceback when code wants to exit: the interpreter stays."""
    status = f"{RED}:{RESET} {_text(error)}" if error.args else ""
    return (
        f"An exception has occurred, use %tb to see the full traceback.\n\n{RED}SystemExit{RESET}{status}\n"
    )


def exit_code(error: BaseException) -> int:
    """What releases that tell of exceptions by the exit code answer: a number that was given to `sys.exit()`, or 1."""
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def _name(error: BaseException) -> str:
    return type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the user's code
        return "<exception str() failed>"


def _last_line(error: BaseException) -> str:
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, SyntaxError) and error.filename:
        return "".join(traceback.format_exception_only(error)).rstrip("\n")
    return f"{RED}{_name(error)}{RESET}: {_text(error)}{notes}"


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The exceptions that led to this one, the first first, each with how the next one came of it."""
    links: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    reason = ""
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        links.append((link, reason))
        if link.__cause__ is not None:
            reason = "The above exception was the direct cause of the following exception:"
            link = link.__cause__
        elif link.__context__ is not None and not link.__suppress_context__:
            reason = "During handling of the above exception, another exception occurred:"
            link = link.__context__
        else:
            link = None
    return reversed(links)


_Frame = tuple[str, int, str, tuple[str, ...]]


def _frames(error: BaseException) -> list[_Frame]:
    frames: list[_Frame] = []
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if not code.co_filename.startswith(_HERE):
            frames.append((code.co_filename, number, code.co_name, code.co_varnames[: code.co_argcount]))
    return frames


def _stack(frames: list[_Frame], cells: Mapping[str, int]) -> Iterator[str]:
    for _, group in groupby(frames):
        same = list(group)
        for frame in same[:_SAME]:
            yield _frame(frame, cells)
        if len(same) > _SAME:
            _file, number, name, _arguments = same[0]
            yield f"    [... skipping similar frames: {name} at line {number} ({len(same) - _SAME} times)]\n"
    if not frames:
        yield ""


def _frame(frame: _Frame, cells: Mapping[str, int]) -> str:
    file, number, name, arguments = frame
    if file in cells:
        place = f"Cell {GREEN}In [{cells[file]}], line {number}{RESET}"
    else:
        home = os.path.expanduser("~") + os.sep  # noqa: PTH111 - a text, not a path
        place = f"File {GREEN}{file.replace(home, '~' + os.sep, 1)}:{number}{RESET}"
    if name != "<module>":
        place += f", in {CYAN}{name}{BLUE}({', '.join(arguments)}){RESET}"
    return "\n".join([place, *_source(file, number)]) + "\n"


def _source(file: str, number: int) -> Iterator[str]:
    lines = linecache.getlines(file)
    for index in range(max(1, number - _CONTEXT), min(len(lines), number + _CONTEXT) + 1):
        text = lines[index - 1].rstrip("\n")
        if index == number:
            arrow = "-" * (_NUMBERS - len(str(index)) - 2) + "> "
            yield f"{GREEN}{arrow}{index}{RESET} {text}"
        elif text.strip():
            yield f"{BOLD_GREEN}{index:>{_NUMBERS}}{RESET} {text}"


def _syntax_error(error: SyntaxError, cells: Mapping[str, int]) -> str:
    lines = [f"{CYAN}  Cell {GREEN}In [{cells[error.filename or '']}], line {error.lineno}{CYAN}{RESET}"]
    if error.text:
        text = error.text.rstrip("\n")
        lines.append(f"{RED}    {text.lstrip()}{RESET}")
        if error.offset:
            lines.append("    " + " " * max(error.offset - 1 - (len(text) - len(text.lstrip())), 0) + "^")
    lines.append(f"{RED}{_name(error)}{RESET}{RED}:{RESET} {error.msg}\n")
    return "\n".join(lines)
