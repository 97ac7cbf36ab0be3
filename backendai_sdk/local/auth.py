"""The check of a request's signature, from the protocol alone.

Assumes the canonical string of API v4.20181215 and newer (the body's hash is always that of an empty body).
Shares no line with the client side: a mistake made in both would otherwise pass every test.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import attrs

from .problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Authorization", "check_date", "parse_authorization", "parse_date", "same", "signature_of"]

_SKEW: Final = timedelta(minutes=15)


@attrs.frozen
class Authorization:
    """The parts of an `Authorization` header."""

    sign_method: str
    access_key: str
    signature: str = attrs.field(repr=False)


def parse_authorization(header: str | None) -> Authorization | None:
    """Read the header; `None` when there is none.

    A parameter without `=` is the real server's uncaught `ValueError`, hence a 500.
    """
    if not header:
        return None
    scheme, blank, rest = header.partition(" ")
    if not blank:
        raise Problem.invalid_auth("Malformed authorization header")
    if scheme not in {"BackendAI", "Sorna"}:
        raise Problem.invalid_auth("Invalid authorization type name")
    params: dict[str, str] = {}
    for piece in rest.split(","):
        key, equals, value = piece.strip().partition("=")
        if not equals:
            raise Problem.internal()
        params[key.strip()] = value.strip()
    access_key, colon, signature = params.get("credential", "").partition(":")
    if not colon or "signMethod" not in params:
        raise Problem.invalid_auth("Missing or malformed authorization parameters")
    return Authorization(params["signMethod"], access_key, signature)


def parse_date(text: str) -> datetime | None:
    """A date in ISO 8601 or as HTTP writes it; a naive one is in UTC."""
    date: datetime | None = None
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def date_header(headers: Mapping[str, str]) -> str | None:
    """The text of the date, from the first header that has one."""
    for name in ("Date", "X-BackendAI-Date", "X-Sorna-Date"):
        if text := headers.get(name):
            return text
    return None


def check_date(headers: Mapping[str, str], now: datetime) -> datetime:
    """The request's date, if it is within fifteen minutes of the server's."""
    text = date_header(headers)
    date = parse_date(text) if text else None
    if date is None or not (now - _SKEW < date < now + _SKEW):
        raise Problem.invalid_auth("Date/time sync error")
    return date


def same(given: str, expected: str) -> bool:
    """Whether two signatures are equal, in time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


def signature_of(
    *,
    sign_method: str,
    secret_key: str,
    method: str,
    raw_path: str,
    host: str,
    content_type: str,
    headers: Mapping[str, str],
    date: datetime,
) -> str:
    """The signature this request ought to have."""
    mac, _, hash_name = sign_method.lower().partition("-")
    if mac != "hmac":
        raise Problem.invalid_auth("Unsupported request signing method (MAC type)")
    if hash_name not in hashlib.algorithms_guaranteed or hash_name.startswith("shake"):
        raise Problem.invalid_auth("Unsupported request signing method (hash type)")
    version_header, version = "x-backendai-version", headers.get("X-BackendAI-Version")
    if version is None:
        version_header, version = "x-sorna-version", headers.get("X-Sorna-Version")
    if version is None:
        raise Problem.invalid_auth("API version missing in request headers")
    message = "\n".join(
        (
            method,
            raw_path,
            date_header(headers) or "",
            f"host:{host}",
            f"content-type:{content_type}",
            f"{version_header}:{version}",
            hashlib.new(hash_name, b"", usedforsecurity=False).hexdigest(),
        ),
    )
    key = hmac.new(secret_key.encode(), date.strftime("%Y%m%d").encode(), hash_name).digest()
    key = hmac.new(key, host.encode(), hash_name).digest()
    return hmac.new(key, message.encode(), hash_name).hexdigest()
