"""The filter and order languages of list queries.

Assumes the server's real grammar, odd as it is: `&` and `|` have no precedence and group to the right, and `!`
negates everything to its right. Comparisons with null are neither true nor false, as in SQL.
"""

from __future__ import annotations

import json
import operator
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Getter", "Member", "MinilangError", "compile_filter", "sort_rows"]

Row = TypeVar("Row")
Getter: TypeAlias = "Callable[[Any], Any]"
Test: TypeAlias = "Callable[[Any], bool | None]"

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*")|(?P<number>[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)"""
    r"""|(?P<op>==|!=|>=|<=|>|<|\b(?:contains|isnot|is|ilike|like|in)\b)|(?P<word>[A-Za-z_]\w*)|(?P<mark>[!&|()\[\],]))""",
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_ATOMS: Final[Mapping[str, object]] = {"null": None, "true": True, "false": False}


class Member(str):
    """A name of an enumeration, which filters may write in lower case."""

    __slots__ = ()


class MinilangError(ValueError):
    """A filter or an order that the server would not take."""


def compile_filter(text: str, fields: Mapping[str, Getter]) -> Callable[[Any], bool]:
    """The filter as a test of one row; null counts as no."""
    test = _Parser(text, fields).parse()
    return lambda row: test(row) is True


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Getter]) -> None:
        self._fields = fields
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> Test:
        test = self._expression()
        if self._at < len(self._tokens):
            raise self._unexpected()
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _unexpected(self) -> MinilangError:
        kind, text = self._peek()
        what = "end of input" if kind == "end" else f"token {text!r}"
        return MinilangError(f"Query filter parsing error: Unexpected {what} in {self._text!r}")

    def _take(self, mark: str) -> None:
        if self._peek() != ("mark", mark):
            raise self._unexpected()
        self._at += 1

    def _expression(self) -> Test:
        if self._peek() == ("mark", "!"):
            self._at += 1
            inner = self._expression()  # everything to the right of it
            return lambda row: None if (value := inner(row)) is None else not value
        if self._peek() == ("mark", "("):
            self._at += 1
            left = self._expression()
            self._take(")")
        else:
            left = self._comparison()
        kind, mark = self._peek()
        if kind != "mark" or mark not in {"&", "|"}:
            return left
        self._at += 1
        right = self._expression()
        return _both(left, right) if mark == "&" else _either(left, right)

    def _comparison(self) -> Test:
        kind, name = self._peek()
        if kind != "word":
            raise self._unexpected()
        self._at += 1
        kind, op = self._peek()
        if kind != "op":
            raise self._unexpected()
        self._at += 1
        value = self._value()
        getter = self._fields.get(name)
        if getter is None:
            error = ("Unknown/unsupported field name", name)
            raise MinilangError(
                f'Query filter parsing error: Error trying to process rule "binary_expr":\n\n{error!r}',
            )
        return lambda row: _compare(getter(row), op, value)

    def _value(self) -> Any:
        kind, text = self._peek()
        if kind == "string":
            self._at += 1
            return json.loads(text, strict=False) if "\\" in text else text[1:-1]
        if kind == "number":
            self._at += 1
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if kind == "word" and text in _ATOMS:
            self._at += 1
            return _ATOMS[text]
        if (kind, text) == ("mark", "["):
            self._at += 1
            items: list[Any] = []
            while self._peek() != ("mark", "]"):
                if items:
                    self._take(",")
                items.append(self._value())
            self._at += 1
            return items
        raise self._unexpected()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        matched = _TOKEN.match(text, at)
        if matched is None or matched.lastgroup is None:
            raise MinilangError(f"Query filter parsing error: No terminal matches {text[at:].strip()[:1]!r}")
        yield matched.lastgroup, matched[matched.lastgroup]
        at = matched.end()


def _both(left: Test, right: Test) -> Test:
    def test(row: Any) -> bool | None:
        values = (left(row), right(row))
        if False in values:
            return False
        return None if None in values else True

    return test


def _either(left: Test, right: Test) -> Test:
    def test(row: Any) -> bool | None:
        values = (left(row), right(row))
        if True in values:
            return True
        return None if None in values else False

    return test


def _compare(have: Any, op: str, want: Any) -> bool | None:
    if isinstance(have, (list, tuple, set)):  # list columns match by any element
        results = [_compare(item, op, want) for item in have]
        return True if True in results else (False if results else None)
    if want is None and op in {"==", "is"}:
        return have is None
    if want is None and op in {"!=", "isnot"}:
        return have is not None
    if op in {"is", "isnot"}:
        return (have == want) is (op == "is")
    if have is None or want is None:
        return None
    if op in {"like", "ilike"}:
        return _like(str(have), str(want), ignore_case=op == "ilike")
    if op == "contains":
        return str(want) in str(have)
    if op == "in":
        return any(_same(have, item) for item in want) if isinstance(want, list) else _same(have, want)
    if op in {"==", "!="}:
        return _same(have, want) is (op == "==")
    try:
        return bool(_COMPARE[op](have, _as_kind_of(have, want)))
    except TypeError as error:
        raise MinilangError(f"Query filter parsing error: {error}") from None


def _same(have: Any, want: Any) -> bool:
    return bool(have == _as_kind_of(have, want))


def _as_kind_of(have: Any, want: Any) -> Any:
    """`want` read as the kind of value that the column holds."""
    if isinstance(have, datetime) and isinstance(want, str):
        try:
            moment = datetime.fromisoformat(want)
        except ValueError as error:
            raise MinilangError(f"Query filter parsing error: {error}") from None
        return moment.replace(tzinfo=have.tzinfo) if moment.tzinfo is None else moment
    if isinstance(have, Member):
        return str(want).upper().replace("-", "_")
    if isinstance(have, str) and not isinstance(want, str):
        return str(want)
    return want


def _like(text: str, pattern: str, *, ignore_case: bool) -> bool:
    parts = []
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        if piece == "%":
            parts.append(".*")
        elif piece == "_":
            parts.append(".")
        else:
            parts.append(re.escape(piece[-1]))
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.fullmatch("".join(parts), text, flags) is not None


def sort_rows(rows: Iterable[Row], text: str, fields: Mapping[str, Getter]) -> list[Row]:
    """`rows` in the order that `text` asks for; nulls count as the greatest."""
    ordered = list(rows)
    keys: list[tuple[Getter, bool]] = []
    for piece in text.split(","):
        matched = re.fullmatch(r"\s*([+-]?)\s*([A-Za-z_]\w*)\s*", piece)
        if matched is None:
            raise MinilangError(f"Query order parsing error: {text!r}")
        getter = fields.get(matched[2])
        if getter is None:
            error = ("Unknown/unsupported field name", matched[2])
            raise MinilangError(
                f'Query order parsing error: Error trying to process rule "col":\n\n{error!r}'
            )
        keys.append((getter, matched[1] == "-"))
    for getter, descending in reversed(keys):
        ordered.sort(key=lambda row, get=getter: _order_key(get(row)), reverse=descending)  # type: ignore[misc]
    return ordered


def _order_key(value: Any) -> tuple[bool, Any]:
    if isinstance(value, (list, tuple, set)):
        value = ",".join(sorted(map(str, value)))
    return (value is None, "" if value is None else value)
