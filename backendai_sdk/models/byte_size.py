"""Sizes in bytes, as people write them: ``8g``, ``512MiB``, ``1.5 GiB`` (PROTOCOL §8.2)."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Self

from backendai_sdk.errors import InvalidArgument

__all__ = ["LONGEST", "ByteSize", "finite", "is_reasonable", "parse_size"]

_SUFFIXES = "kmgtpezy"
_SIZE = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*"
    r"(?:(?P<suffix>[kmgtpezy])(?:ibytes?|ib|bytes?|b)?|(?P<bytes>\s(?:bytes?|b)|bytes?))?",
    re.IGNORECASE,
)
# Beyond this it is a mistake, and only costs time.
LONGEST = 64
_SIZE_HELP = (
    "write a whole number of bytes, or a number with k, m, g, t, p, e, z or y, for example '8g' or '512MiB'"
)


class ByteSize(int):
    """A number of bytes that shows itself as people write it: ``str(ByteSize(8 * 2**30)) == "8g"``.

    Everything else is an ``int``'s: comparing, adding, ``json``, ``f"{size:d}"`` for the plain digits.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """The shortest exact form with a suffix, or ``"100 bytes"``; :meth:`parse` reads all of them."""
        size = abs(int(self))
        forms = [
            _decimal_text(size, 10 * (i + 1)) + suffix for i, suffix in enumerate(_SUFFIXES) if size >> 10 * i
        ]
        sign = "-" if self < 0 else ""
        # Of two as short as each other, the one without a fraction: "512m", not "0.5g".
        best = min(forms, key=lambda form: (len(form), "." in form), default="")
        if best and len(best) <= len(f"{size:d}"):
            return sign + best
        # Never the bare digits: as part of resources in a text, they would be read as MiB.
        return "0" if size == 0 else f"{sign}{size:d} byte{'s' * (size != 1)}"

    def __repr__(self) -> str:
        return f"ByteSize({str(self)!r})"

    @classmethod
    def parse(cls, value: str | float, *, argument: str = "size") -> Self:
        """Read ``"8GiB"``, ``"1.5g"``, ``"512 m"``, ``"1_000"`` or a number of bytes (PROTOCOL §8.2).

        Suffixes are powers of 1024, in either case, and may end in ``b``, ``ib`` or ``bytes``.

        Args:
            value: the text or number; a number, also as text, is in bytes.
            argument: what errors call it.

        Raises:
            InvalidArgument: it is negative, not finite, not a whole number of bytes, or not a size at all.
        """
        return cls(parse_size(value, argument))


def _decimal_text(size: int, bits: int) -> str:
    """Write *size* / 2**bits as an exact decimal: halving always ends in a 5."""
    whole, rest = size >> bits, size & ((1 << bits) - 1)
    digits = str(rest * 5**bits).zfill(bits).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(value: object, argument: str, *, bare: str = "") -> int:
    """Read a size; *bare* is the suffix of a number in a text that has none."""
    if isinstance(value, str):
        text = number_text(value, argument, "size", _SIZE_HELP)
        found = _SIZE.fullmatch(text) if len(text) <= LONGEST and text.isascii() else None
        if found is None:
            raise InvalidArgument(f"{argument}: {value!r} is not a size; {_SIZE_HELP}", argument=argument)
        suffix = (found["suffix"] or ("" if found["bytes"] else bare)).lower()
        # Fractions are exact, where a Decimal would round what has more than 28 digits.
        exact = Fraction(found["number"]) * 1024 ** (_SUFFIXES.index(suffix) + 1 if suffix else 0)
        if exact.denominator != 1:
            raise InvalidArgument(
                f"{argument}: {value!r} is {float(exact):.15g} bytes, which is not a whole number; "
                f"the nearest is {round(exact)}",
                argument=argument,
            )
        return int(exact)
    number = finite(value, argument, "a size", _SIZE_HELP)
    if number != number.to_integral_value():
        raise InvalidArgument(
            f"{argument}: {value!r} is not a whole number of bytes; {_SIZE_HELP}", argument=argument
        )
    return int(number)


def number_text(value: str, argument: str, what: str, advice: str) -> str:
    """The text of a number from 0 on, without what people put in and around it to read it better."""
    text = value.strip().replace("_", "")
    if not text:
        raise InvalidArgument(f"{argument}: there is no {what} in {value!r}; {advice}", argument=argument)
    if text.startswith("-"):
        raise InvalidArgument(f"{argument}: {value!r} is negative; {advice}", argument=argument)
    return text


def finite(value: object, argument: str, what: str, advice: str) -> Decimal:
    """Read a number of Python's into an exact one from 0 on."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise InvalidArgument(f"{argument}: {value!r} is not {what}; {advice}", argument=argument)
    # Through text: 0.1 as a float is not 0.1, but its author meant it.
    number = Decimal(int(value)) if isinstance(value, int) else Decimal(str(value))
    if not number.is_finite():
        raise InvalidArgument(f"{argument}: {value!r} is not finite; {advice}", argument=argument)
    if number < 0:
        raise InvalidArgument(f"{argument}: {value!r} is negative; {advice}", argument=argument)
    if not is_reasonable(number):
        raise InvalidArgument(f"{argument}: the number is out of all bounds; {advice}", argument=argument)
    return abs(number)  # no negative zero


def is_reasonable(number: Decimal) -> bool:
    """Whether its plain digits fit on a line: ``1E+999999999`` is a short text, but a gigabyte of zeros."""
    exponent = number.as_tuple().exponent
    return number.adjusted() < LONGEST and isinstance(exponent, int) and exponent > -LONGEST
