"""Tables in which values show themselves in notebooks.

Plain HTML: a caption says what a table is, headers say whose they are, so that it can be listened to as well as
looked at.  No colours and no borders of its own: the notebook's theme, light or dark, decides.  Everything is
escaped, because names, tags and messages are texts that somebody wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

import attrs

from backendai_sdk.models.unset import UNSET

__all__ = ["rows_table", "value_table"]


def value_table(caption: str, values: Iterable[tuple[str, object]]) -> str:
    """One thing: a row for each of its fields."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{_cell(value)}</td></tr>' for name, value in values
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>"


def rows_table(caption: str, rows: Sequence[object]) -> str:
    """Many things: a row for each, and a column for each field that any of them has."""
    listed = [_fields(row) for row in rows]
    columns = list(dict.fromkeys(name for row in listed for name in row))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(row.get(name))}</td>' for name in columns)}</tr>" for row in listed
    )
    thead = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f"<table><caption>{escape(caption)}</caption>{thead}<tbody>{body}</tbody></table>"


def _fields(row: object) -> Mapping[str, object]:
    """What a row has to show: the fields of a value, or the row itself."""
    kind = type(row)
    if not attrs.has(kind):
        return {"value": row}
    shown = {a.name: getattr(row, a.name) for a in attrs.fields(kind) if a.repr}
    # `extra` and its like: shown only if there is something in them.
    return {k: v for k, v in shown.items() if v is not UNSET and not (isinstance(v, Mapping) and not v)}


def _cell(value: object) -> str:
    """A value as a person reads it; what is not there is an empty cell."""
    if value is None or value is UNSET:
        return ""
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ", timespec="seconds")
        return f'<time datetime="{escape(value.isoformat())}">{escape(text)}</time>'
    if isinstance(value, tuple | list):
        return escape(", ".join(map(str, value)))
    return escape(str(value))
