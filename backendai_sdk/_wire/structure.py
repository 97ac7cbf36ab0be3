"""Read JSON values into attrs models: the models' own annotations are the schema.

One reading plan is compiled per class, on first use.  Strict about what a model needs, tolerant about the
rest: unknown keys go to ``extra`` (in models that have it) or are dropped, unknown enum words are kept,
numbers may come as text and back.  Annotations are resolved at run time, so a model's module must import
their names for real, not under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import attrs

from backendai_sdk._wire.scalars import (
    Mismatch,
    expected,
    kind_of,
    read_bool,
    read_datetime,
    read_decimal,
    read_float,
    read_int,
    read_null,
    read_str,
    short,
)
from backendai_sdk.errors import BackendAIError, WireError
from backendai_sdk.models.markers import Decoded, Key

__all__ = ["structure"]

T = TypeVar("T")


def structure(cls: type[T], data: object, *, where: str = "") -> T:
    """Build *cls*, an attrs class, from a JSON object.

    Args:
        cls: the model; nested models, enums, tuples, mappings, ``datetime``, ``Decimal`` and classes with a
            ``from_wire(value)`` class method are followed through its annotations.
        data: what came, as decoded by ``json``.
        where: what to call *data* in errors; the class's name if not given.

    Raises:
        WireError: *data* does not have the shape; the message names the path, as in
            ``SessionInfo.kernels[2].role: …``.
        TypeError: the model itself has an annotation that cannot be read.
    """
    try:
        return _build(_PLANS.get(cls) or _plan(cls), data)  # type: ignore[no-any-return]
    except Mismatch as exc:
        path, message = exc.path, exc.message
    except RecursionError:
        path, message = "", "it is nested too deeply"
    # Raised out here: the inner errors are about our own frames, not about the server's answer.
    raise WireError(f"{where or cls.__name__}{path}: {message}")


# --- plans ----------------------------------------------------------------------------------------------

Reader = Callable[[Any], Any]


class _Shape(NamedTuple):
    """How a value of one annotation is read."""

    read: Reader | None  # for a value that is not None; None: take it as it is
    optional: bool  # whether None is a value
    exact: type | None = None  # values of exactly this type need no reading


@attrs.frozen
class _Row:
    """How one field is read."""

    names: tuple[str, ...]
    argument: str
    path: str
    read: Reader | None
    exact: type | None
    optional: bool
    required: bool
    shown: bool


@attrs.frozen
class _Plan:
    make: Callable[..., Any]
    rows: Mapping[str, _Row]  # by the one name on the wire
    several: tuple[_Row, ...]  # those that have several names
    required: tuple[_Row, ...]
    has_extra: bool

    @classmethod
    def of(cls, make: Callable[..., Any], rows: Sequence[_Row], *, has_extra: bool) -> _Plan:
        single = {row.names[0]: row for row in rows if len(row.names) == 1}
        several = tuple(row for row in rows if len(row.names) > 1)
        return cls(make, single, several, tuple(row for row in rows if row.required), has_extra)


_PLANS: dict[type, _Plan] = {}
_ABSENT: Any = object()


# What an enum, a `from_wire` or an attrs validator may say about a value that it does not like.
_REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, BackendAIError)


def _plan(cls: type) -> _Plan:
    if not attrs.has(cls):
        raise TypeError(f"{cls!r} is not an attrs class")
    try:
        attrs.resolve_types(cls, include_extras=True)
    except NameError as exc:
        raise TypeError(
            f"{cls.__qualname__}: {exc}; its module must import that at run time, not under TYPE_CHECKING"
        ) from exc
    rows: list[_Row] = []
    has_extra = False
    for field in attrs.fields(cls):
        if field.name == "extra":
            has_extra = True
        elif field.init:
            names = _wire_names(field.type) or (field.name,)
            try:
                shape = _shape(field.type)
            except TypeError as exc:
                raise TypeError(f"{cls.__qualname__}.{field.name}: {exc}") from exc
            rows.append(
                _Row(
                    names=names,
                    argument=field.alias or field.name,
                    path="." + field.name,
                    read=shape.read,
                    exact=shape.exact,
                    optional=shape.optional,
                    required=field.default is attrs.NOTHING,
                    # A field that is kept out of reprs (a secret) is kept out of errors too.
                    shown=field.repr is not False,
                )
            )
    plan = _PLANS[cls] = _Plan.of(cls, rows, has_extra=has_extra)
    return plan


def _wire_names(annotation: Any) -> tuple[str, ...]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        for mark in args[1:]:
            if isinstance(mark, Key):
                return mark.names
        return _wire_names(args[0])
    if origin in {Union, types.UnionType}:
        return next((names for arg in args if (names := _wire_names(arg))), ())
    return ()


def _build(plan: _Plan, data: object) -> Any:
    if type(data) is not dict and not isinstance(data, Mapping):  # the first is cheap, and what json gives
        raise expected("an object", data)
    values: dict[str, Any] = {}
    extra: dict[str, object] = {}
    rows = plan.rows
    # By what was sent, not by what might have been: of a listing's three dozen fields, few are asked for.
    for key, value in data.items():
        if (row := rows.get(key)) is None:
            extra[key] = value
        elif type(value) is row.exact or (value is None and row.optional):
            values[row.argument] = value
        else:
            _take(row, value, values)
    for row in plan.several:
        told = [extra.pop(name) for name in row.names if name in extra]
        if told:
            _take(row, next((value for value in told if value is not None), None), values)
    for row in plan.required:
        if row.argument not in values:
            raise Mismatch(f"the answer has no {row.names[0]!r}", row.path)
    if extra and plan.has_extra:
        values["extra"] = extra
    try:
        return plan.make(**values)
    except _REFUSALS as exc:
        raise Mismatch(str(exc)) from None


def _take(row: _Row, value: object, values: dict[str, Any]) -> None:
    """Read the value of one field into *values*; a null that the field cannot be is as if it had not been sent."""
    if value is not None and row.read is not None and type(value) is not row.exact:
        try:
            value = row.read(value)
        except Mismatch as exc:
            exc.path = row.path + exc.path
            if not row.shown:
                exc.message = f"cannot read this {kind_of(value)}"
            raise
        except _REFUSALS as exc:
            reason = (
                f"cannot read {short(value)}: {exc}" if row.shown else f"cannot read this {kind_of(value)}"
            )
            raise Mismatch(reason, row.path) from None
    if value is not None or row.optional:
        values[row.argument] = value
    elif row.required:
        raise Mismatch("null, which it cannot be", row.path)


# --- readers --------------------------------------------------------------------------------------------


def _shape(annotation: Any) -> _Shape:
    """Compile one annotation."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        shape = _shape(args[0])
        if any(isinstance(mark, Decoded) for mark in args[1:]):
            return _Shape(_decoded(shape), shape.optional)
        return shape
    if origin in {Union, types.UnionType}:
        return _union(args)
    if annotation in {Any, object}:
        return _Shape(None, optional=True)
    if annotation in {None, type(None)}:
        return _Shape(read_null, optional=True)
    if origin is Literal:
        return _Shape(None, None in args)
    if origin is tuple or annotation is tuple:
        return _Shape(_tuple(args or (Any, ...)), optional=False)
    if origin is Sequence or annotation is Sequence:
        return _Shape(_many(tuple, _item(args[0] if args else Any)), optional=False)
    if origin is list or annotation is list:
        return _Shape(_many(list, _item(args[0] if args else Any)), optional=False)
    if origin in {dict, Mapping} or annotation in {dict, Mapping}:
        return _Shape(_mapping(_item(args[1] if args else Any)), optional=False)
    if isinstance(annotation, type):
        if callable(from_wire := getattr(annotation, "from_wire", None)):
            return _Shape(from_wire, optional=False)
        if annotation in _SCALARS:
            return _SCALARS[annotation]
        if attrs.has(annotation):
            return _Shape(_nested(annotation), optional=False)
        if issubclass(annotation, Enum):
            return _Shape(_word(annotation), optional=False)
    raise TypeError(f"{annotation!r} cannot be read from JSON; give it a class method `from_wire(value)`")


def _union(members: Sequence[Any]) -> _Shape:
    shapes = [_shape(member) for member in members if member is not type(None)]
    optional = len(shapes) < len(members) or any(shape.optional for shape in shapes)
    if len(shapes) == 1:
        return _Shape(shapes[0].read, optional, shapes[0].exact)
    as_is = frozenset(shape.exact for shape in shapes if shape.exact is not None)
    readers = [shape.read for shape in shapes]
    if None in readers:
        return _Shape(None, optional)

    def read(value: Any) -> Any:
        if type(value) in as_is:
            return value
        for reader in readers:
            try:
                return reader(value) if reader is not None else value
            except (Mismatch, *_REFUSALS):
                continue
        raise Mismatch(f"cannot read {short(value)}")

    return _Shape(read, optional)


def _item(annotation: Any) -> Reader | None:
    """The reader of a member of a tuple or mapping, null included."""
    read, optional, exact = _shape(annotation)
    if read is None:
        return None

    def read_item(value: Any) -> Any:
        if value is not None and type(value) is not exact:
            value = read(value)
        if value is None and not optional:
            raise Mismatch("null, which it cannot be")
        return value

    return read_item


def _at(index: object, read: Reader, value: Any) -> Any:
    try:
        return read(value)
    except Mismatch as exc:
        exc.path = f"[{index!r}]{exc.path}"
        raise
    except _REFUSALS as exc:
        raise Mismatch(f"cannot read {short(value)}: {exc}", f"[{index!r}]") from None


def _many(make: Callable[[list[Any]], Any], item: Reader | None) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise expected("an array", value)
        if item is None:
            return make(list(value))
        return make([_at(i, item, member) for i, member in enumerate(value)])

    return read


def _tuple(members: Sequence[Any]) -> Reader:
    if len(members) == 2 and members[1] is ...:
        return _many(tuple, _item(members[0]))
    items = [_item(member) for member in members]

    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(items):
            raise expected(f"an array of {len(items)}", value)
        return tuple(
            member if item is None else _at(i, item, member)
            for i, (item, member) in enumerate(zip(items, value, strict=True))
        )

    return read


def _mapping(item: Reader | None) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise expected("an object", value)
        if item is None:
            return dict(value)
        return {key: _at(key, item, member) for key, member in value.items()}

    return read


def _nested(cls: type) -> Reader:
    # The plan is looked up when it is needed, so that a model may contain itself.
    return lambda value: _build(_PLANS.get(cls) or _plan(cls), value)


def _decoded(shape: _Shape) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value) if value else None
            except ValueError as exc:
                raise Mismatch(f"cannot read {short(value)} as JSON: {exc}") from None
            except RecursionError:
                raise Mismatch("its JSON is nested too deeply") from None
        if value is None or shape.read is None or type(value) is shape.exact:
            return value
        return shape.read(value)

    return read


def _word(cls: type[Enum]) -> Reader:
    # Grows by other spellings of members, as releases write them, and by nothing else: servers may make words up.
    known: dict[object, Enum] = dict(cls._value2member_map_)
    members = frozenset(cls.__members__.values())

    def read(value: Any) -> Any:
        try:
            return known[value]
        except (KeyError, TypeError):
            word = cls(value)
        if word in members:
            known[value] = word
        return word

    return read


_SCALARS: dict[type, _Shape] = {
    str: _Shape(read_str, optional=False, exact=str),
    int: _Shape(read_int, optional=False, exact=int),
    float: _Shape(read_float, optional=False, exact=float),
    bool: _Shape(read_bool, optional=False, exact=bool),
    Decimal: _Shape(read_decimal, optional=False, exact=Decimal),
    datetime: _Shape(read_datetime, optional=False),
}
