"""What a fault is: a value that says what goes wrong, and checks of the numbers in it.

Assumes three families, by where they act: on the connection (`NetworkFault`), on the answer to a request
(`AnswerFault`), on an event before it reaches the streams (`EventFault`). Faults are values: one may be set
several times, and holds no state of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AnswerFault", "EventFault", "Fault", "NetworkFault", "at_least", "one_of", "whole"]


class Fault:
    """Something that may go wrong. `cluster.faults.add()` sets it."""


class NetworkFault(Fault):
    """Acts on the bytes of a connection."""


class AnswerFault(Fault):
    """Acts on what the server answers."""


class EventFault(Fault):
    """Acts on events before anybody hears of them."""


def at_least(low: float, *, above: bool = False) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A check of a number: finite, and not below `low` (or above it)."""

    def check(owner: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{type(owner).__name__}({attribute.name}={value!r})"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name}: a number is expected")
        if not math.isfinite(value) or value < low or (above and value == low):
            raise ValueError(f"{name}: {'more than' if above else 'at least'} {low:g} is expected")

    return check


def whole(low: int) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A check of a whole number that is not below `low`."""

    def check(owner: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{type(owner).__name__}({attribute.name}={value!r})"
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: a whole number is expected")
        if value < low:
            raise ValueError(f"{name}: at least {low} is expected")

    return check


def one_of(*allowed: Any) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A check that a value is one of `allowed`."""

    def check(owner: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in allowed:
            names = ", ".join(map(repr, allowed))
            raise ValueError(
                f"{type(owner).__name__}({attribute.name}={value!r}): one of {names} is expected"
            )

    return check
