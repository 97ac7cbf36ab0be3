"""Resource slots: counts and sizes in, `Decimal` inside, plain strings out.

Assumes the server's own rules: `mem` is bytes and takes size strings (`1g`, `512m`; a bare integer means
bytes), every other slot is a count that may be fractional. Amounts are added and compared exactly.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Slots",
    "add",
    "as_text",
    "fits",
    "humanize",
    "number",
    "parse_amount",
    "parse_size",
    "python_repr",
]

Slots: TypeAlias = dict[str, Decimal]

_SIZE: Final = re.compile(
    r"^\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*(?:([kmgtpezy])(?:i?b(?:ytes?)?)?|i?bytes?)?\s*$", re.IGNORECASE
)
_UNITS: Final = "kmgtpezy"


def parse_size(value: object) -> Decimal:
    """Bytes in a size such as `"1.5g"`, `"512m"` or `268435456`; `ValueError` when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"not a size: {value!r}")  # noqa: TRY004 - callers catch one kind
    if not isinstance(value, str):
        return Decimal(str(value))
    if value.strip().lower() in {"inf", "infinite", "infinity"}:
        return Decimal("Infinity")
    matched = _SIZE.match(value)
    if matched is None:
        raise ValueError(f"not a size: {value!r}")
    amount = Decimal(matched[1].replace("_", ""))
    if matched[2] is None:
        if amount != amount.to_integral_value():
            raise ValueError(f"not a whole number of bytes: {value!r}")
        return amount
    return (amount * Decimal(1024) ** (_UNITS.index(matched[2].lower()) + 1)).to_integral_value()


def parse_amount(slot: str, value: object) -> Decimal:
    """One requested amount of one slot."""
    if slot == "mem":
        return parse_size(value)
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if isinstance(value, bool) or not amount.is_finite():
        raise ValueError(f"not a number: {value!r}")
    return amount


def number(value: Decimal) -> str:
    """A decimal in plain digits: no exponent, no trailing zeros."""
    if not value.is_finite():
        return str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_text(slots: Mapping[str, Decimal]) -> dict[str, str]:
    """Slots as the wire carries them."""
    return {name: number(value) for name, value in slots.items()}


def python_repr(slots: Mapping[str, Decimal], padding: str = "") -> str:
    """Slots as `str()` of a server-side dict, which is what GET /session/… answers."""
    items = ", ".join(f"{name!r}: Decimal('{number(value)}{padding}')" for name, value in slots.items())
    return "{" + items + "}"


def humanize(slots: Mapping[str, Decimal]) -> str:
    """Slots as error messages write them: `cpu=1 mem=320m`."""
    return " ".join(
        f"{name}={_human_size(value) if name == 'mem' else number(value)}" for name, value in slots.items()
    )


def _human_size(value: Decimal) -> str:
    unit, scaled = "", value
    for suffix in _UNITS:
        if scaled < 1024:
            break
        scaled, unit = scaled / 1024, suffix
    return number(scaled) + unit


def add(amounts: Iterable[Mapping[str, Decimal]]) -> Slots:
    """The sum, slot by slot."""
    total: Slots = {}
    for slots in amounts:
        for name, value in slots.items():
            total[name] = total.get(name, Decimal()) + value
    return total


def fits(wanted: Mapping[str, Decimal], free: Mapping[str, Decimal]) -> bool:
    """Whether every wanted amount is there."""
    return all(value <= free.get(name, Decimal()) for name, value in wanted.items())
