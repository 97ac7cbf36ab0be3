"""One request and one answer, as values.

A :class:`Request` says what is wanted; signing, dates, endpoints and time limits are the transport's.
``path`` is percent-encoded already (see :func:`path`), because the signature covers it byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Literal, Protocol
from urllib.parse import quote, urlencode

import attrs

__all__ = ["FilePart", "Part", "Request", "Response", "path", "query_string"]

Scalar = str | int | float | bool


@lru_cache(
    maxsize=512
)  # quoting takes longer than anything else about a request, and sessions are asked again
def path(template: str, *parts: str) -> str:
    """``path("/session/{}/logs", "a b")`` gives ``"/session/a%20b/logs"``: every part is one segment."""
    return template.format(*(quote(part, safe="") for part in parts))


def query_string(params: Mapping[str, Scalar | Sequence[str] | None]) -> str:
    """Encode *params*, leaving out ``None``; a sequence repeats its key; booleans are ``true``/``false``."""
    pairs: list[tuple[str, str]] = []
    for key, value in params.items():
        if value is None:
            continue
        values = [value] if isinstance(value, str | int | float) else value
        pairs += [(key, str(v).lower() if isinstance(v, bool) else str(v)) for v in values]
    return urlencode(pairs, quote_via=quote, safe="*")


class Part(Protocol):
    """One file of a multipart upload. The name is sent as it is: servers do not decode it (PROTOCOL §2.3).

    Attributes:
        filename: where it goes, relative to the work folder.
        size: how many bytes ``blocks()`` gives: the content from its beginning, once for each attempt.
    """

    @property
    def filename(self) -> str: ...

    @property
    def size(self) -> int: ...

    def blocks(self) -> Iterator[bytes | memoryview]: ...


@attrs.frozen(kw_only=True)
class FilePart:
    """A part whose content is in memory."""

    filename: str
    data: bytes | memoryview = attrs.field(repr=False)

    @property
    def size(self) -> int:
        """The length of the content."""
        return len(self.data)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The content as one block."""
        yield self.data


@attrs.frozen(kw_only=True, slots=False)  # a cached property needs a place
class Request:
    """What is asked of the server.

    Attributes:
        idempotent: it may be sent again although an earlier copy may have been acted on.
        signed: false for the few paths that need no authentication.
        timeout: seconds for one attempt, over the client's ``timeouts.request``.
        limited_by: the option that sets the time limit, for the error that says that it ran out.
        site: the web server's own paths (``/server/...``), which are not forwarded to the manager.
        upgrade: ask for a WebSocket.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
    path: str
    params: Mapping[str, Scalar | Sequence[str] | None] = attrs.field(factory=dict)
    json: object = attrs.field(default=None, repr=False)
    files: tuple[Part, ...] = ()
    idempotent: bool = False
    signed: bool = True
    site: bool = False
    upgrade: bool = False
    timeout: float | None = None
    limited_by: str = "timeouts.request"
    accept: str = "application/json"

    @cached_property
    def encoded(self) -> bytes | None:
        """The JSON body as it is sent, or ``None``; made once, however often the request is sent."""
        return None if self.json is None else json.dumps(self.json).encode()

    @property
    def content_type(self) -> str:
        """The MIME type that is sent, or that the server assumes when none is (PROTOCOL §1.2)."""
        if self.files:
            return "multipart/form-data"
        return "application/octet-stream" if self.json is None else "application/json"


@attrs.frozen(kw_only=True, slots=False)  # slots of a frozen class take twice as long to set
class Response:
    """A server's complete answer. Headers are looked up by their lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    endpoint: str = ""
