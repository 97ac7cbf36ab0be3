"""Text with ANSI colours as HTML: tracebacks come with them, and pages that mix text and pictures need HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

__all__ = ["ansi_to_html", "without_ansi"]

_ESCAPE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")
# Legible on white and on black.
_COLOURS = (
    ("#3f3f3f", "#c0392b", "#218a3c", "#b07d00", "#2d6fd2", "#a23fb5", "#10889b", "#8f8f8f"),
    ("#6b6b6b", "#e2574c", "#2fa84f", "#c99a15", "#5590e8", "#c065d2", "#26a3b7", "#b0b0b0"),
)
_STYLES = {1: "font-weight:bold", 2: "opacity:.7", 3: "font-style:italic", 4: "text-decoration:underline"}
_OFF = {22: (1, 2), 23: (3,), 24: (4,)}


def without_ansi(text: str) -> str:
    """The text alone."""
    return _ESCAPE.sub("", text)


def ansi_to_html(text: str) -> str:
    """Escaped text with a ``<span>`` for every colour; other control sequences are dropped."""
    parts: list[str] = []
    style: dict[object, str] = {}
    end = 0
    for found in _ESCAPE.finditer(text):
        parts.append(_span(text[end : found.start()], style))
        end = found.end()
        if found[2] == "m":
            _apply([int(code) if code else 0 for code in found[1].split(";")], style)
    parts.append(_span(text[end:], style))
    return "".join(parts)


def _span(text: str, style: dict[object, str]) -> str:
    shown = escape(text)
    return f'<span style="{";".join(style.values())}">{shown}</span>' if shown and style else shown


def _apply(codes: list[int], style: dict[object, str]) -> None:
    """Change *style* as one sequence says."""
    rest = iter(codes)
    for code in rest:
        ten, unit = divmod(code, 10)
        if code == 0:
            style.clear()
        elif code in _STYLES:
            style[code] = _STYLES[code]
        elif code in _OFF:
            for off in _OFF[code]:
                style.pop(off, None)
        elif code in {38, 48}:
            if (colour := _extended(next(rest, 0), rest)) is not None:
                style["color" if code == 38 else "background"] = _property(code == 38, colour)
        elif code in {39, 49}:
            style.pop("color" if code == 39 else "background", None)
        elif ten in {3, 9, 4, 10} and unit < 8:
            front = ten in {3, 9}
            style["color" if front else "background"] = _property(front, _COLOURS[ten >= 9][unit])


def _property(front: bool, colour: str) -> str:
    return f"{'color' if front else 'background-color'}:{colour}"


def _extended(kind: int, rest: Iterator[int]) -> str | None:
    """The colour of ``38;5;n`` or ``38;2;r;g;b``."""
    if kind == 2:
        return "#" + "".join(f"{min(next(rest, 0), 255):02x}" for _ in range(3))
    number = next(rest, 0)
    if kind != 5 or number > 255:
        return None
    if number < 16:
        return _COLOURS[number // 8][number % 8]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    return "#" + "".join(f"{levels[n]:02x}" for n in (number // 36, number // 6 % 6, number % 6))
