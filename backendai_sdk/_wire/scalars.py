"""Single JSON values into Python's: the readers at the leaves of a model, and what they say when a value does not fit.

Tolerant where releases differ: numbers come as text, integers as floats, times without a zone.
"""

from __future__ import annotations

import math
import re
import reprlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

__all__ = [
    "Mismatch",
    "excerpt",
    "expected",
    "kind_of",
    "read_bool",
    "read_datetime",
    "read_decimal",
    "read_float",
    "read_int",
    "read_null",
    "read_str",
    "short",
]


class Mismatch(Exception):
    """A value does not fit; the path is put together on the way up."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def read_null(value: object) -> Any:
    raise expected("null", value)


def read_str(value: object) -> str:
    if isinstance(value, str):
        return value
    # Ids and counters are numbers in some releases and text in others.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise expected("a string", value)


def read_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise expected("true or false", value)


_INTEGER = re.compile(r"-?[0-9]{1,40}")


def read_int(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    # A BigInt beyond 32 bits comes as a float (PROTOCOL §2.5).
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and abs(value.adjusted()) < 40
        and value == int(value)
    ):
        return int(value)
    # Progress counters come straight from Redis in some answers: as text (PROTOCOL §5.2).
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise expected("an integer", value)


def read_float(value: object) -> float:
    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise expected("a number", value)


def read_decimal(value: object) -> Decimal:
    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            # Through text: Decimal(0.1) would be the float's 55 digits.
            return value if isinstance(value, Decimal) else Decimal(str(value))
        except (ArithmeticError, ValueError):
            pass
    raise expected("a number", value)


def read_datetime(value: object) -> datetime:
    if isinstance(value, datetime):
        when = value
    elif isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise expected("an ISO 8601 time", value) from None
    else:
        raise expected("an ISO 8601 time", value)
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


# --- messages -------------------------------------------------------------------------------------------

_repr = reprlib.Repr()
_repr.maxlevel = 3
_repr.maxstring = _repr.maxother = _repr.maxlong = 80


def short(value: object) -> str:
    try:
        return _repr.repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints
        return f"this {kind_of(value)}"


def excerpt(value: object, length: int = 200) -> str:
    """The beginning of what a server said, for an error's text; what came may be nested as deeply as JSON allows."""
    try:
        return str(value)[:length]
    except (ValueError, RecursionError):
        return f"({kind_of(value)})"


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def kind_of(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def expected(what: str, value: object) -> Mismatch:
    if value is None:
        return Mismatch(f"expected {what}, got null")
    if isinstance(value, float) and not math.isfinite(value):
        return Mismatch(f"expected {what}, got {value}")
    return Mismatch(f"expected {what}, got {short(value)}")
