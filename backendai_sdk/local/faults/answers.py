"""Faults of the server, or of a gateway in front of it: the wrong answer, or none.

Assumes that the connection itself is sound. Where `acted` is true, the server does what was asked before the answer
goes wrong, so that a client that asks again asks twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs
from aiohttp import web

from backendai_sdk.local.limiter import Budget
from backendai_sdk.local.problems import Problem

from .fault import AnswerFault, at_least, one_of, whole

if TYPE_CHECKING:
    from backendai_sdk.local.server import ServerState

__all__ = ["ErrorStatus", "HtmlPage", "LostReply", "Replacement", "TooManyRequests", "TruncatedJson"]

_PAGE: Final = """<html>
<head><title>{status} {reason}</title></head>
<body>
<center><h1>{status} {reason}</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""
_REASONS: Final = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


class Replacement(AnswerFault):
    """An answer in the place of the server's own."""

    acted: bool

    def answer(self, state: ServerState) -> web.Response:
        """What is sent instead."""
        raise NotImplementedError


@attrs.frozen
class TooManyRequests(Replacement):
    """429, as the server itself answers when a key has used up its requests; nothing has been done.

    A real server sends no rate-limit headers with it. `headers=True` adds them (nothing remains), and
    `retry_after` a `Retry-After`, as gateways do.
    """

    headers: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool), kw_only=True)
    retry_after: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole(0)), kw_only=True
    )
    acted = False

    def answer(self, state: ServerState) -> web.Response:
        response = Problem.rate_limited().response(state.release)
        if self.headers:
            limit = state.limiter.limit
            response.headers.update(Budget(limit, limit + 1, 1).headers(with_reset=True))
        if self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


@attrs.frozen
class ErrorStatus(Replacement):
    """500, 502, 503 or 504 with the server's own kind of body (`application/problem+json`)."""

    status: int = attrs.field(default=500, validator=one_of(500, 502, 503, 504))
    acted: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool), kw_only=True)

    def answer(self, state: ServerState) -> web.Response:
        if self.status == 500:
            return Problem.internal().response(state.release)
        slug = {502: "bad-gateway", 503: "service-unavailable", 504: "gateway-timeout"}[self.status]
        # "Serivce" is how the real server spells it.
        title = "Serivce unavailable." if self.status == 503 else f"{_REASONS[self.status]}."
        return Problem(self.status, slug, title, code="backendai_generic_unavailable").response(state.release)


@attrs.frozen
class HtmlPage(Replacement):
    """An error page in HTML, as a gateway in front of the server sends it. Any status: even 200."""

    status: int = attrs.field(default=502, validator=whole(200))
    text: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(str)), kw_only=True
    )
    acted: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.status > 599:
            raise ValueError(f"HtmlPage(status={self.status!r}): 200 to 599 is expected")

    def answer(self, state: ServerState) -> web.Response:  # noqa: ARG002 - a gateway does not know the server
        text = self.text
        if text is None:
            text = _PAGE.format(status=self.status, reason=_REASONS.get(self.status, "Error"))
        return web.Response(status=self.status, text=text, content_type="text/html")


@attrs.frozen
class TruncatedJson(AnswerFault):
    """The server acts; of its JSON only the first part comes, in an otherwise perfect answer.

    `keep` is the part that comes, from 0 (nothing) to below 1; the last byte is always missing. Answers that are not
    JSON are not concerned, and do not count.
    """

    keep: float = attrs.field(default=0.5, validator=at_least(0))

    def __attrs_post_init__(self) -> None:
        if self.keep >= 1:
            raise ValueError(f"TruncatedJson(keep={self.keep!r}): less than 1 is expected")

    def truncate(self, body: bytes) -> bytes:
        return body[: int(len(body) * self.keep)]


@attrs.frozen
class LostReply(AnswerFault):
    """The server acts, and the client never hears of it.

    `then` says what the client sees: `"silence"` (the default), `"reset"` or `"close"`, which come when the server
    has acted.
    """

    then: Literal["silence", "reset", "close"] = attrs.field(
        default="silence", validator=one_of("silence", "reset", "close"), kw_only=True
    )
