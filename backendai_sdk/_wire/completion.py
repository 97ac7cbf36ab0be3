"""Completing code: where the cursor is, and the several forms that servers answer in (PROTOCOL §2.3).

Some releases call the list ``completions``, others ``suggestions``; some give an object with ``matches``, as
Jupyter does; some give nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import InvalidArgument, WireError
from backendai_sdk.models.completion import Completions

__all__ = ["completion_body", "read_completions"]


def completion_body(code: object, *, row: int | None, col: int | None) -> dict[str, object]:
    """The body of ``/complete``.

    Args:
        code: the whole code.
        row: the line of the cursor, from 0; the last one if not given.
        col: the cursor's place in its line, from 0; the line's end if not given.

    Raises:
        InvalidArgument: there is no such place in the code.
    """
    if not isinstance(code, str):
        raise InvalidArgument(f"code: {type(code).__name__} is not text", argument="code")
    lines = code.split("\n")
    row = _place("row", row, most=len(lines) - 1)
    line = lines[row]
    col = _place("col", col, most=len(line))
    return {"code": code, "options": {"row": row, "col": col, "line": line[:col], "post": line[col:]}}


def _place(name: str, value: int | None, *, most: int) -> int:
    if value is None:
        return most
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidArgument(f"{name}: {value!r} is not in the code, which ends at {most}", argument=name)
    return value


def read_completions(answer: object) -> Completions:
    """Read the answer, in whichever form."""
    match answer:
        case {"result": result}:
            return _read(result)
    raise WireError(f"the answer has no completions: {excerpt(answer)}")


def _read(found: object) -> Completions:
    match found:
        case None:
            return Completions()
        case {"matches": list(matches), **rest}:
            start, end = rest.get("cursor_start"), rest.get("cursor_end")
            return Completions(matches=_texts(matches), start=_offset(start), end=_offset(end))
        case {"completions": inner} | {"suggestions": inner}:
            return _read(inner)
        case list(matches):
            return Completions(matches=_texts(matches))
        case {"status": str()} | {}:
            return Completions()
    raise WireError(f"the answer has no completions: {excerpt(found)}")


def _texts(matches: list[object]) -> tuple[str, ...]:
    found: list[str] = []
    for match in matches:
        # Runtimes of other languages give objects.
        text = match
        if isinstance(match, Mapping):
            text = next((match[key] for key in ("text", "value", "label", "name") if key in match), None)
        if isinstance(text, str):
            found.append(text)
    return tuple(found)


def _offset(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
