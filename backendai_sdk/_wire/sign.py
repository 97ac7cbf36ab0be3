"""The signature of a request: values in, one header's value out (PROTOCOL §1.1 to §1.3).

The caller knows what will be on the wire, and this module signs exactly that: the request target as it is
sent (percent-encoded, with its query), the ``Host`` header as it is sent (no default port), and the ``Date``
header verbatim.  The body is never part of it: every version of the API that is still served hashes the
empty body.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

from backendai_sdk.errors import InvalidArgument

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["date_header", "sign"]

# What a header's value cannot hold. A line break would also move text into another line of what is signed.
_FORBIDDEN = ("\n", "\r", "\0")
# string_to_sign has 7 lines, the last one without a line break.
_LINE_BREAKS = 6


def sign(
    *,
    method: str,
    path_qs: str,
    host: str,
    date: str,
    day: str,
    content_type: str,
    version: str,
    access_key: str,
    secret_key: str,
    hash_name: str = "sha256",
) -> str:
    """Return the value of the ``Authorization`` header (PROTOCOL §1.2).

    Args:
        method: the HTTP method; signed in upper case, as it is sent.
        path_qs: the request target as on the wire: percent-encoded, with ``?query``, with the endpoint's prefix.
        host: the ``Host`` header as on the wire.
        date: the ``Date`` header, from :func:`date_header`.
        day: that date's ``YYYYMMDD`` in its own offset, from :func:`date_header`.
        content_type: the body's media type; parameters (``; charset=…``) are left out of the signature, and
            nothing at all is signed as ``application/octet-stream``, which is how servers read an absent header.
        version: the ``X-BackendAI-Version`` header.
        access_key: the key pair's public half.
        secret_key: the key pair's secret half, any Unicode text.
        hash_name: a fixed-length hash that ``hashlib`` guarantees, ``sha256`` or ``sha512`` for example.

    Raises:
        InvalidArgument: a value has a line break or NUL in it, or cannot be encoded; the hash is unknown; or
            *day* is not eight digits. No message shows the secret key.
    """
    key, empty_hash, scheme = _day_key(access_key, secret_key, day, host, hash_name)
    if ";" in content_type:
        content_type = content_type.partition(";")[0].rstrip()
    text = (
        f"{method.upper()}\n{path_qs}\n{date}\nhost:{host}\n"
        f"content-type:{content_type.lower() or 'application/octet-stream'}\n"
        f"x-backendai-version:{version}\n{empty_hash}"
    )
    # One count over the whole text is cheaper than a look at each part, and finds the same.
    if text.count("\n") != _LINE_BREAKS or "\r" in text or "\0" in text:
        _refuse_breaks(
            method=method, path_qs=path_qs, host=host, date=date, content_type=content_type, version=version
        )
    try:
        signed = text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidArgument(f"cannot be sent in a request: {exc}", argument="path_qs") from None
    return f"{scheme}{hmac.digest(key, signed, hash_name).hex()}"


def date_header(now: datetime) -> tuple[str, str]:
    """Return the ``Date`` header (ISO 8601, PROTOCOL §1.1) and its ``YYYYMMDD``, both in *now*'s own offset.

    Raises:
        InvalidArgument: *now* has no time zone. A server would take it for UTC, whatever was meant.
    """
    if now.utcoffset() is None:
        raise InvalidArgument(f"now: {now!r} has no time zone; use datetime.now(UTC)", argument="now")
    date = now.isoformat()  # YYYY-MM-DDT...
    return date, date[:4] + date[5:7] + date[8:10]


# Keys change once a day and host, requests come by the thousand. `lru_cache` shows its counters at most: no
# repr of it has a secret in it. Bounded, because a gateway may sign for many key pairs.
@lru_cache(maxsize=256)
def _day_key(access_key: str, secret_key: str, day: str, host: str, hash_name: str) -> tuple[bytes, str, str]:
    """Derive ``(k2, hash of the empty body, beginning of the header's value)``."""
    _refuse_breaks(secret_key=secret_key, host=host, day=day, hash_name=hash_name)
    if not (len(day) == 8 and day.isascii() and day.isdigit()):
        raise InvalidArgument(f"day: {day!r} is not a date as YYYYMMDD", argument="day")
    if hash_name not in hashlib.algorithms_guaranteed or not hashlib.new(hash_name).digest_size:
        raise InvalidArgument(
            f"hash_name: {hash_name!r} cannot sign; use 'sha256' or 'sha512'", argument="hash_name"
        )
    if "\n" in access_key or not access_key.isprintable() or "," in access_key or ":" in access_key:
        raise InvalidArgument(
            f"access_key: {access_key!r} cannot be an access key: it may hold no comma, colon or control character",
            argument="access_key",
        )
    # Raised outside of `except`: a UnicodeEncodeError carries the whole text, and so would the chained error.
    secret, netloc = _encode(secret_key), _encode(host)
    for name, value in (("secret_key", secret), ("host", netloc)):
        if value is None:
            raise InvalidArgument(f"{name}: cannot be encoded in UTF-8", argument=name)
    k1 = hmac.digest(secret or b"", day.encode(), hash_name)
    k2 = hmac.digest(k1, netloc or b"", hash_name)
    empty_hash = hashlib.new(hash_name, b"").hexdigest()
    return k2, empty_hash, f"BackendAI signMethod=HMAC-{hash_name.upper()}, credential={access_key}:"


def _encode(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _refuse_breaks(**parts: str) -> None:
    for name, value in parts.items():
        if any(mark in value for mark in _FORBIDDEN):
            shown = "the value" if name == "secret_key" else repr(value)
            raise InvalidArgument(
                f"{name}: {shown} has a line break or NUL in it, which a request header cannot hold; "
                "was it read from a file without strip()?",
                argument=name,
            )
