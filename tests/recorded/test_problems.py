"""Every captured error, as the SDK raises it."""

from __future__ import annotations

from collections.abc import Mapping

from recorded.capture import Capture
from recorded.reading import BY_KIND, error_from, of

from backendai_sdk import errors

# What a server's error is to a user, by HTTP status, slug and title.
ERRORS: Mapping[tuple[int, str, str], str] = {
    (400, "generic-bad-request", "Bad request."): "UnsupportedServer",
    (400, "generic-bad-request", "Invalid or Missing API Parameters."): "BadRequest",
    (400, "generic-bad-request", "Malformed request body."): "BadRequest",
    (400, "graphql-error", "GraphQL-generated error."): "GraphQLError",
    (400, "invalid-api-params", "Missing or invalid API parameters."): "BadRequest",
    (400, "invalid-auth-params", "Missing or invalid authorization parameters."): "BadRequest",
    (
        400,
        "session-already-exists",
        "The session already exists but you requested not to reuse existing one.",
    ): ("SessionExists"),
    (400, "unknown-resource-slot-type", "Unknown resource slot type."): "BadRequest",
    (400, "vfolder-already-exists", "The virtual folder already exists with the same name."): "BadRequest",
    (401, "auth-failed", "Credential/signature mismatch."): "AuthenticationError",
    (401, "auth-failed", "Unauthorized access"): "AuthenticationError",
    (403, "generic-forbidden", "Forbidden operation."): "PermissionDenied",
    (404, "entity-not-found", "Entity not found."): "SessionNotFound",
    (404, "object-not-found", "No such app service."): "AppNotFound",
    (404, "object-not-found", "No such environment image."): "ImageNotFound",
    (404, "object-not-found", "No such resource group."): "NotFound",
    (404, "object-not-found", "No such scaling group."): "NotFound",
    (404, "object-not-found", "No such session."): "SessionNotFound",
    (404, "object-not-found", "No such vfolder."): "NotFound",
    (404, "object-not-found", "No such virtual folder."): "NotFound",
    (404, "storage/file-not-found", "File not found"): "NotFound",
    (404, "url-not-found", "Unknown URL path."): "NotFound",
    (405, "method-not-allowed", "HTTP Method Not Allowed."): "APIError",
    (412, "quota-exceeded", "You have reached your resource limit."): "QuotaExceeded",
    (500, "internal-server-error", "Internal server error."): "ServerError",
    (500, "invalid-session-data", "Session data has an invalid type or format."): "ServerError",
    (500, "kernel-execution-failed", "Executing user code in the kernel has failed."): "AgentError",
    (501, "not-implemented", "This API is not implemented."): "ServerError",
}


@of("problem")
def test_problem(capture: Capture) -> None:
    assert capture.answer is not None
    body = capture.answer.json
    slug = body["type"].removeprefix("https://api.backend.ai/probs/")
    found = error_from(capture)
    expected = ERRORS[capture.answer.status, slug, body["title"]]
    if body.get("msg") == "Date/time sync error":
        expected = "ClockSkewError"
    assert type(found) is getattr(errors, expected)
    if not isinstance(found, errors.APIError):
        assert "API version" in str(found)
        return
    assert found.status == capture.answer.status
    assert (found.type, found.title, found.msg) == (slug, body["title"], body.get("msg"))
    assert found.data == body.get("data")
    assert found.error_code == body.get("error_code")
    assert found.agent_details == body.get("agent-details")
    assert found.body == body
    assert (found.method, found.path) == (capture.sent.method, capture.sent.path)
    for said in (body.get("msg") or body["title"].rstrip("."), capture.sent.path):
        assert said in str(found)
    if isinstance(found, errors.SessionExists):
        assert found.session_id == body["data"]["existingSessionId"]


def test_every_error_of_the_table_was_seen() -> None:
    seen = set()
    for capture in BY_KIND["problem"]:
        assert capture.answer is not None
        body = capture.answer.json
        seen.add((capture.answer.status, body["type"].partition("/probs/")[2], body["title"]))
    assert seen == set(ERRORS)


@of("bodiless problem")
def test_bodiless_problem(capture: Capture) -> None:
    """Answers to HEAD have no body: the status is all that they say."""
    assert capture.answer is not None
    found = error_from(capture)
    if capture.answer.content_type != "application/problem+json":
        assert isinstance(found, errors.ProtocolError)
        return
    expected = {404: errors.NotFound, 400: errors.BadRequest}
    assert type(found) is expected[capture.answer.status]
    assert found.status == capture.answer.status
