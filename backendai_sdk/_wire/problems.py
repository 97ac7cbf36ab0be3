"""Error answers become typed errors (PROTOCOL §6).

The problem's ``type`` decides before the HTTP status does, because servers use one status for several
things (404 for "too many matches") and releases moved some (quota: 412, then 400).  Everything that the
server said is kept on the error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from backendai_sdk import errors
from backendai_sdk._wire.request import Response
from backendai_sdk._wire.scalars import excerpt

__all__ = ["error_of", "json_of"]

_TYPES: dict[str, type[errors.APIError]] = {
    "auth-failed": errors.AuthenticationError,
    "password-expired": errors.AuthenticationError,
    "generic-forbidden": errors.PermissionDenied,
    "insufficient-privilege": errors.PermissionDenied,
    "too-many-sessions-matched": errors.AmbiguousSession,
    "session-already-exists": errors.SessionExists,
    "quota-exceeded": errors.QuotaExceeded,
    "rate-limit-exceeded": errors.RateLimited,
    "graphql-error": errors.GraphQLError,
    "server-frozen": errors.ServiceUnavailable,
    "service-unavailable": errors.ServiceUnavailable,
    "instance-not-available": errors.ServiceUnavailable,
    "bad-gateway": errors.ServiceUnavailable,
    "kernel-creation-failed": errors.AgentError,
    "kernel-destruction-failed": errors.AgentError,
    "kernel-restart-failed": errors.AgentError,
    "kernel-execution-failed": errors.AgentError,
}

_STATUSES: dict[int, type[errors.APIError]] = {
    400: errors.BadRequest,
    401: errors.AuthenticationError,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.SessionExists,
    412: errors.QuotaExceeded,
    429: errors.RateLimited,
    502: errors.ServiceUnavailable,
    503: errors.ServiceUnavailable,
    504: errors.ServiceUnavailable,
}

_ADVICE: dict[type[errors.APIError], str] = {
    errors.AuthenticationError: "check access_key and secret_key, and that the key may do this",
    errors.ClockSkewError: "set this machine's clock (or the server's): signing allows 15 minutes of difference",
    errors.AmbiguousSession: "use the session's id",
    errors.RateLimited: "slow down: servers count the requests of each key over 15 minutes",
    errors.SessionNotFound: "list() shows the sessions that this key can see; ended ones are not found",
    errors.AppNotFound: "apps() lists those of the session",
    errors.ImageNotFound: "check the name or alias against the images that your domain allows",
    errors.SessionExists: "choose another name, or use ensure() to get the session that has it",
}

_SHOWN = 300
# Of what a server says in words.
_KEPT = 1 << 20


def json_of(response: Response, *, method: str, path: str) -> object:
    """Decode a successful answer's JSON; an empty body (204) is ``None``.

    Raises:
        ProtocolError: the answer is not JSON: HTML of something in between, or cut.
    """
    if not response.body:
        return None
    try:
        return _decoded(response.body)
    except (ValueError, RecursionError):
        raise _not_json(response, method=method, path=path) from None


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body.decode())
    except ValueError:
        # A byte order mark, or another encoding: to look for those takes as long as decoding a short answer.
        return json.loads(body)


def error_of(response: Response, *, method: str, path: str) -> errors.BackendAIError:
    """The error that an answer of status 3xx, 4xx or 5xx stands for."""
    if 300 <= response.status < 400:
        target = response.headers.get("location", "somewhere else")
        return errors.ProtocolError(
            f"{method} {path}: the server redirects to {target}; redirects are not followed with credentials. "
            "Set `endpoint` to the address that it names",
            status=response.status,
            method=method,
            path=path,
        )
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, Mapping):
        return _problem(response.status, body, method=method, path=path)
    if not response.body and _media_type(response) == "application/problem+json":
        # The answer to HEAD has no body: the status is all that it says.
        return _api_error(response.status, {}, method=method, path=path)
    if response.status >= 500:
        # A proxy's own page: the status is all that can be trusted.
        return _api_error(response.status, {"title": _excerpt(response.body)}, method=method, path=path)
    return _not_json(response, method=method, path=path)


def _problem(
    status: int, body: Mapping[str, object], *, method: str, path: str
) -> errors.APIError | errors.UnsupportedServer:
    if excerpt(body.get("msg", "")).startswith("Unsupported API version"):
        return errors.UnsupportedServer(
            f"{method} {path}: the server does not accept the API version that this SDK sends. "
            "Leave api_version out, or upgrade backendai_sdk if the server is newer"
        )
    return _api_error(status, body, method=method, path=path)


def _api_error(status: int, body: Mapping[str, object], *, method: str, path: str) -> errors.APIError:
    slug = excerpt(body.get("type") or "").rpartition("/probs/")[2]
    title = excerpt(body.get("title") or "", _KEPT)
    msg = None if body.get("msg") is None else excerpt(body["msg"], _KEPT)
    kind = _kind(status, slug, title, msg or "", body)
    said = ": ".join(text for text in (title.rstrip("."), msg) if text) or "no explanation"
    if details := body.get("agent-details"):
        said += f" (agent: {excerpt(details, _SHOWN)})"
    elif body.get("data") is not None:
        said += f" ({excerpt(body['data'], _SHOWN)})"
    advice = f"; {_ADVICE[kind]}" if kind in _ADVICE else ""
    return kind(
        f"{method} {path}: {status} {said}{advice}",
        status=status,
        type=slug,
        title=title,
        msg=msg,
        data=body.get("data", body.get("details")),
        error_code=None if body.get("error_code") is None else excerpt(body["error_code"]),
        agent_details=body.get("agent-details"),
        method=method,
        path=path,
        body=dict(body),
    )


def _kind(status: int, slug: str, title: str, msg: str, body: Mapping[str, object]) -> type[errors.APIError]:
    if slug == "invalid-auth-params" and "date" in msg.lower():
        return errors.ClockSkewError
    if slug in {"object-not-found", "entity-not-found"}:
        return _missing(title, msg, excerpt(body.get("error_code") or ""))
    if slug in _TYPES:
        return _TYPES[slug]
    if "agent-details" in body:
        return errors.AgentError
    if status in _STATUSES:
        return _STATUSES[status]
    return errors.ServerError if status >= 500 else errors.APIError


def _missing(title: str, msg: str, code: str) -> type[errors.APIError]:
    text = f"{title} {msg}".lower()
    if "app service" in text or code.startswith("app-service_"):
        return errors.AppNotFound
    if "image" in text:
        return errors.ImageNotFound
    if "such session" in text or "sessionrow" in text or code.startswith("session_"):
        return errors.SessionNotFound
    return errors.NotFound


def _not_json(response: Response, *, method: str, path: str) -> errors.ProtocolError:
    text = _excerpt(response.body)
    html = _media_type(response) == "text/html" or text.lstrip().lower().startswith(("<!doctype", "<html"))
    what = (
        "HTML, which a Backend.AI manager never does: is something else listening at `endpoint`, "
        "or a proxy or sign-in page in between?"
        if html
        else "what is not JSON, or was cut on the way"
    )
    return errors.ProtocolError(
        f"{method} {path}: status {response.status}, and {response.endpoint or 'the server'} answered {what}",
        status=response.status,
        body=text,
        method=method,
        path=path,
    )


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0]


def _excerpt(body: bytes) -> str:
    return body[:_SHOWN].decode("utf-8", "replace")
