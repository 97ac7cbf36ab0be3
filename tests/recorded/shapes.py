"""Where two answers differ in shape: keys, types, the form of texts, and the words that programs go by.

Values that are of one server or one moment (ids, times, sizes) may differ; that one is a number and the other null,
that one is a UUID and the other is not, or that one says "terminated" where the other says "cancelled", may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Difference = tuple[str, str]
"""Where, and what: `("stats.mem", "object ≠ absent")`; the real server's is on the left."""

# Keys whose values are words that programs go by, or texts that must be the same on both sides.
_WORDS = """
status status_info statusInfo result type title msg error_code message reason created exitCode role cluster_role
clusterRole clusterIdx cluster_idx cluster_mode remaining_time_type authorized enabled authenticated global_role
domain_role group_role kind protocol exception is_password idx local_rank
occupiedSlots occupyingSlots requestedSlots resourceOpts environ
"""
WORDS = frozenset(_WORDS.split())

_FORMS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("UUID", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
    ("container id", re.compile(r"[0-9a-f]{64}")),
    ("hexadecimal digits", re.compile(r"[0-9a-f]{32}")),
    ("time with T", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")),
    ("time with a blank", re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00:00")),
    ("digits", re.compile(r"\d+")),
)


def differences(real: Any, local: Any, path: str = "") -> Iterator[Difference]:
    """Every place where `local` has another shape than `real`."""
    if isinstance(real, dict) and isinstance(local, dict):
        yield from _objects(real, local, path)
    elif isinstance(real, list) and isinstance(local, list):
        yield from _arrays(real, local, path)
    elif isinstance(real, str) and isinstance(local, str):
        yield from _texts(real, local, path)
    elif kind(real) != kind(local):
        yield path, f"{kind(real)} ≠ {kind(local)}"
    elif _is_word(path) and real != local:
        yield path, f"{real!r} ≠ {local!r}"


def kind(value: Any) -> str:
    """What JSON calls it, with whole numbers apart from others."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "whole number"
        case float():
            return "number"
        case str():
            return form(value)
        case list():
            return "array"
    return "object"


def form(text: str) -> str:
    """What a text looks like."""
    if text in {"", "None"}:
        return f"{text!r}"
    if text[0] in "[{" and _decoded(text) is not None:
        return "JSON in a text"
    return next((name for name, pattern in _FORMS if pattern.fullmatch(text)), "text")


def _is_word(path: str) -> bool:
    return path.rpartition(".")[2].rstrip("[]#0123456789") in WORDS


def _objects(real: dict[str, Any], local: dict[str, Any], path: str) -> Iterator[Difference]:
    for key in [*real, *(key for key in local if key not in real)]:
        here = f"{path}.{key}" if path else key
        if key not in local:
            yield here, f"{kind(real[key])} ≠ absent"
        elif key not in real:
            yield here, f"absent ≠ {kind(local[key])}"
        else:
            yield from differences(real[key], local[key], here)


def _arrays(real: list[Any], local: list[Any], path: str) -> Iterator[Difference]:
    if path.endswith("console"):
        yield from _consoles(real, local, path)
    elif (key := _key(real + local)) is not None:
        yield from _objects({i[key]: i for i in real}, {i[key]: i for i in local}, path)
    elif all(isinstance(item, dict) and {"id", "status"} <= set(item) for item in real + local):
        yield from _sessions(real, local, path)
    elif len(real) != len(local):
        yield path, f"{len(real)} items ≠ {len(local)} items"
    else:
        for i, (one, other) in enumerate(zip(real, local, strict=True)):
            yield from differences(one, other, f"{path}[{i}]")


def _key(items: list[Any]) -> str | None:
    """What tells many of a kind apart, where they have it: which ones there are is told one by one then."""
    if not all(isinstance(item, dict) for item in items) or not items:
        return None
    if all("filename" in item for item in items):
        return "filename"
    return "name" if all("name" in item and "id" not in item for item in items) else None


def _sessions(real: list[Any], local: list[Any], path: str) -> Iterator[Difference]:
    """Sessions and containers of a listing: which ones it has is of the moment, so like is held against like."""
    used: set[int] = set()
    for item in real:
        same = [i for i, other in enumerate(local) if _alike(item, other)]
        fresh = [i for i in same if i not in used] or same
        if not fresh:
            yield f"{path}[{item['status']}]", "one ≠ none"
            continue
        used.add(fresh[0])
        yield from differences(item, local[fresh[0]], f"{path}[{item['status']}]")


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("status", "role"))


def _consoles(real: list[Any], local: list[Any], path: str) -> Iterator[Difference]:
    """What code has written: the same on stdout; of a traceback, the last line."""
    if [record[0] for record in real] != [record[0] for record in local]:
        yield path, f"{real!r} ≠ {local!r}"
        return
    for i, ((name, one), (_, other)) in enumerate(zip(real, local, strict=True)):
        if name == "stderr":
            one, other = one.splitlines()[-1], other.splitlines()[-1]
        if one != other:
            yield f"{path}[{i}]", f"{one!r} ≠ {other!r}"


def _texts(real: str, local: str, path: str) -> Iterator[Difference]:
    if (one := _decoded(real)) is not None and (other := _decoded(local)) is not None:
        yield from differences(one, other, f"{path}→")
    elif _is_word(path):
        if real != local:
            yield path, f"{real!r} ≠ {local!r}"
    elif form(real) != form(local):
        yield path, f"{form(real)} ≠ {form(local)}"


def _decoded(text: str) -> Any:
    """The object or array that a text is, as JSON."""
    if text[:1] not in {"[", "{"}:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
