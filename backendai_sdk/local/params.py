"""Reading a request's parameters, as strictly or as loosely as the release does.

Assumes that a parameter set is described once as `Field`s; whether unknown keys are errors, whether body or
query counts, and what an error looks like follow from the release.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from .problems import Problem
from .server import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp import web

    from .releases import Release

__all__ = [
    "REQUIRED",
    "Field",
    "Invalid",
    "anything",
    "boolean",
    "check",
    "integer",
    "list_of",
    "mapping",
    "member",
    "nullable",
    "read",
    "read_json",
    "string",
]

REQUIRED: Final = object()
_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "off"})


class Invalid(ValueError):
    """A value that a field does not take; the text is what the server says about it."""


@attrs.frozen
class Field:
    """One parameter: the names it may come under (the first is the canonical one), its check, its default."""

    names: tuple[str, ...]
    convert: Callable[[Any], Any]
    default: Any = REQUIRED


def anything(value: Any) -> Any:
    return value


def string(*, blank: bool = False, pattern: str | None = None) -> Callable[[Any], str]:
    compiled = re.compile(pattern, re.ASCII) if pattern else None

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise Invalid("value is not a string")
        if compiled is not None and not compiled.search(value):
            raise Invalid(f"does not match pattern {pattern}")
        if not value and not blank:
            raise Invalid("blank value is not allowed")
        return value

    return convert


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Invalid("value can't be converted to Bool")


def integer(*, least: int | None = None, most: int | None = None) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise Invalid("value can't be converted to int") from None
        if least is not None and number < least:
            raise Invalid(f"value is less than {least}")
        if most is not None and number > most:
            raise Invalid(f"value is greater than {most}")
        return number

    return convert


def member(kind: str, choices: Iterable[str], *, any_case: bool = False) -> Callable[[Any], str]:
    known = tuple(choices)

    def convert(value: Any) -> str:
        text = str(value)
        if any_case:
            text = text.lower().replace("_", "-")
        if text not in known:
            raise Invalid(f"value is not a valid member of {kind}")
        return text

    return convert


def nullable(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def list_of(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def convert_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Invalid("value is not a list")
        return [convert(item) for item in value]

    return convert_all


def mapping(convert: Callable[[Any], Any] = anything) -> Callable[[Any], dict[str, Any]]:
    def convert_all(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Invalid("value is not a dict")
        return {str(key): convert(item) for key, item in value.items()}

    return convert_all


def check(
    fields: Iterable[Field], given: Mapping[str, Any], *, strict: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values under their canonical names, and what is wrong with the rest."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    known: set[str] = set()
    for field in fields:
        known.update(field.names)
        name = next((n for n in field.names if n in given), None)
        if name is None:
            if field.default is REQUIRED:
                errors[field.names[0]] = "is required"
            else:
                values[field.names[0]] = field.default
            continue
        try:
            values[field.names[0]] = field.convert(given[name])
        except Invalid as error:
            errors[name] = str(error)
    if strict:
        errors |= {key: f"{key} is not allowed key" for key in given if key not in known}
    return values, errors


def refuse(errors: Mapping[str, str], release: Release) -> Problem:
    """The problem for parameters that did not pass."""
    if release.typed_sources:
        lines = "\n".join(
            f"{name}\n  {'Field required' if e == 'is required' else e}" for name, e in errors.items()
        )
        plural = "s" if len(errors) > 1 else ""
        return Problem.schema_failed(
            f"Schema validation failed. ({len(errors)} validation error{plural}\n{lines})"
        )
    return Problem.invalid_params("Input validation error", dict(errors))


async def read_json(request: web.Request) -> Any:
    """The body as JSON, or the release's complaint."""
    try:
        return json.loads(await request.text())
    except (ValueError, UnicodeDecodeError):
        if state_of(request).release.typed_sources:
            raise Problem.malformed_body(str(request.url), request.method) from None
        raise Problem.invalid_params("Malformed body") from None


async def read(
    request: web.Request,
    fields: Iterable[Field],
    *,
    source: Literal["body", "query"] = "query",
) -> dict[str, Any]:
    """The parameters of `request`.

    Older releases read the body if there is one and the query otherwise; newer ones read only `source`.
    """
    release = state_of(request).release
    from_body = source == "body" if release.typed_sources else request.body_exists
    given: Any
    if from_body:
        text = await request.text()
        given = await read_json(request) if text or release.typed_sources else dict(request.query)
    else:
        given = dict(request.query)
    if not isinstance(given, dict):
        raise refuse({"__root__": "value is not a dict"}, release)
    values, errors = check(fields, given, strict=release.strict_keys)
    if errors:
        raise refuse(errors, release)
    return values
