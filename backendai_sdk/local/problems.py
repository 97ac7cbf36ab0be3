"""The errors the server answers with, one function per kind, as `application/problem+json`.

Assumes that a handler raises and one middleware renders: what a release adds (`error_code`, blanks in the
JSON) is decided there, so a raiser says only what went wrong.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .releases import Release

__all__ = ["Problem"]

_BASE: Final = "https://api.backend.ai/probs/"


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        msg: str | None = None,
        *,
        code: str | None = None,
        data: Any = None,
        agent: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        by_web_server: bool = False,
    ) -> None:
        super().__init__(f"{status} {slug}: {msg or title}")
        self.status = status
        self.slug = slug
        self.title = title
        self.msg = msg
        self.code = code
        self.data = data
        self.agent = agent
        self.headers = dict(headers or {})
        self.by_web_server = by_web_server

    def response(self, release: Release) -> web.Response:
        """The HTTP answer, in the way of `release`."""
        body: dict[str, Any] = {"type": _BASE + self.slug, "title": self.title}
        if release.error_codes and self.code is not None and self.agent is None:
            body["error_code"] = self.code
        if self.msg is not None:
            body["msg"] = self.msg
        if self.data is not None:
            body["data"] = self.data
        if self.agent is not None:
            body["agent-details"] = self.agent
        compact = release.compact_json and not self.by_web_server
        separators = (",", ":") if compact else None
        return web.Response(
            status=self.status,
            text=json.dumps(body, separators=separators, default=str),
            content_type="application/problem+json",
            headers=self.headers,
        )

    # --- requests -----------------------------------------------------------------------------------------

    @classmethod
    def url_not_found(cls, path: str) -> Problem:
        return cls(404, "url-not-found", "Unknown URL path.", code="api_read_not-found", data=path)

    @classmethod
    def method_not_allowed(cls, allow: str) -> Problem:
        title = "HTTP Method Not Allowed."
        return cls(405, "method-not-allowed", title, code="api_generic_bad-request", headers={"Allow": allow})

    @classmethod
    def bad_request(cls, msg: str) -> Problem:
        return cls(400, "generic-bad-request", "Bad request.", msg, code="backendai_generic_bad-request")

    @classmethod
    def invalid_params(cls, msg: str | None, data: Any = None) -> Problem:
        title = "Missing or invalid API parameters."
        return cls(400, "invalid-api-params", title, msg, code="api_generic_invalid-parameters", data=data)

    @classmethod
    def schema_failed(cls, msg: str) -> Problem:
        title = "Invalid or Missing API Parameters."
        return cls(400, "generic-bad-request", title, msg, code="api_parsing_invalid-parameters")

    @classmethod
    def malformed_body(cls, url: str, method: str) -> Problem:
        msg = f"Malformed body - URL: {url}, Method: {method}"
        return cls(400, "generic-bad-request", "Malformed request body.", msg, code="api_parsing_bad-request")

    @classmethod
    def rate_limited(cls) -> Problem:
        title = "You have reached your API query rate limit."
        return cls(429, "rate-limit-exceeded", title, code="api_access_unavailable")

    # --- who asks -----------------------------------------------------------------------------------------

    @classmethod
    def invalid_auth(cls, msg: str) -> Problem:
        title = "Missing or invalid authorization parameters."
        return cls(400, "invalid-auth-params", title, msg, code="user_auth_invalid-parameters")

    @classmethod
    def auth_failed(cls, msg: str) -> Problem:
        return cls(401, "auth-failed", "Credential/signature mismatch.", msg, code="user_auth_unauthorized")

    @classmethod
    def forbidden(cls, msg: str) -> Problem:
        return cls(403, "generic-forbidden", "Forbidden operation.", msg, code="api_generic_forbidden")

    @classmethod
    def insufficient_privilege(cls, msg: str) -> Problem:
        return cls(
            403, "insufficient-privilege", "Insufficient privilege.", msg, code="user_access_forbidden"
        )

    @classmethod
    def frozen(cls) -> Problem:
        title = "The server is frozen due to maintenance. Please try again later."
        return cls(503, "server-frozen", title, code="api_access_unavailable")

    # --- things -------------------------------------------------------------------------------------------

    @classmethod
    def not_found(
        cls, thing: str, msg: str | None = None, *, code: str = "api_read_not-found", data: Any = None
    ) -> Problem:
        return cls(404, "object-not-found", f"No such {thing}.", msg, code=code, data=data)

    @classmethod
    def no_session(cls, reference: str, release: Release) -> Problem:
        code = "session_read_not-found"
        if release.entity_not_found:
            msg = "No SessionRow matches the given key"
            return cls(404, "entity-not-found", "Entity not found.", msg, code=code)
        return cls.not_found("session", f"Session (id={reference}) does not exist.", code=code)

    @classmethod
    def too_many_sessions(cls, matches: list[dict[str, Any]]) -> Problem:
        title = "Too many sessions matched."
        data = {"matches": matches}
        return cls(404, "too-many-sessions-matched", title, code="session_read_conflict", data=data)

    @classmethod
    def session_exists(cls, session_id: str) -> Problem:
        title = "The session already exists but you requested not to reuse existing one."
        data = {"existingSessionId": session_id}
        return cls(400, "session-already-exists", title, code="session_create_already-exists", data=data)

    @classmethod
    def quota_exceeded(cls, msg: str, release: Release) -> Problem:
        title = "You have reached your resource limit."
        return cls(release.quota_status, "quota-exceeded", title, msg, code="api_generic_quota-exceeded")

    # --- the server's own -----------------------------------------------------------------------------------

    @classmethod
    def internal(cls) -> Problem:
        code = "backendai_generic_internal-error"
        return cls(500, "internal-server-error", "Internal server error.", code=code)

    @classmethod
    def invalid_session_data(cls, msg: str) -> Problem:
        title = "Session data has an invalid type or format."
        return cls(500, "invalid-session-data", title, msg, code="session_read_invalid-data-format")

    @classmethod
    def not_implemented(cls, msg: str) -> Problem:
        title = "This API is not implemented."
        return cls(501, "not-implemented", title, msg, code="api_generic_not-implemented")

    @classmethod
    def execution_timeout(cls) -> Problem:
        return cls._execution({"type": _BASE + "agent-timeout", "title": None})

    @classmethod
    def execution_failed(cls, error: BaseException | str) -> Problem:
        exception = error if isinstance(error, str) else repr(error)
        title = "Agent-side exception occurred."
        return cls._execution({"type": _BASE + "agent-failure", "title": title, "exception": exception})

    @classmethod
    def _execution(cls, agent: Mapping[str, Any]) -> Problem:
        title = "Executing user code in the kernel has failed."
        return cls(500, "kernel-execution-failed", title, agent=agent)

    @classmethod
    def graphql(cls, errors: list[Any]) -> Problem:
        title = "GraphQL-generated error."
        return cls(400, "graphql-error", title, code="api_generic_bad-request", data=errors)
