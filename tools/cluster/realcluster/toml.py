"""Writes TOML: the standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeAlias

Value: TypeAlias = "str | bool | int | float | list[str] | list[int] | Mapping[str, Value]"
Table: TypeAlias = Mapping[str, Value]


def dumps(table: Table) -> str:
    """The TOML text of nested tables of strings, numbers, booleans and flat lists."""
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: Table, path: tuple[str, ...]) -> list[str]:
    # JSON's strings, numbers, booleans and flat lists are TOML's.
    lines = [
        f"{_key(key)} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, Mapping)
    ]
    if path:
        lines.insert(0, f"[{'.'.join(map(_key, path))}]")
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
