"""The captures by kind, and the SDK in front of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

import backendai_sdk
from backendai_sdk import AsyncSession, errors
from backendai_sdk._wire.problems import error_of, json_of
from backendai_sdk._wire.request import Response

from .capture import Capture, captures
from .kinds import KINDS, kinds_of
from .playback import Part, Playback, json_answer

CAPTURES = captures()
BY_KIND = {kind.name: [c for c in CAPTURES if kind in kinds_of(c)] for kind in KINDS}
VERSION = {c.release: c for c in BY_KIND["server"]}
NO_RETRY = {"retry": backendai_sdk.RetryPolicy(max_attempts=1)}


def of(kind: str) -> Any:
    return pytest.mark.parametrize("capture", BY_KIND[kind], ids=str)


def response_of(capture: Capture) -> Response:
    answer = capture.answer
    assert answer is not None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status=answer.status, headers=headers, body=answer.body)


def json_from(capture: Capture) -> Any:
    """The answer's JSON, as the SDK decodes it."""
    return json_of(response_of(capture), method=capture.sent.method, path=capture.sent.path)


def error_from(capture: Capture) -> errors.BackendAIError:
    return error_of(response_of(capture), method=capture.sent.method, path=capture.sent.path)


@asynccontextmanager
async def api_on(
    capture: Capture, pattern: str, row: Mapping[str, Any] | None = None
) -> AsyncIterator[AsyncSession]:
    """The SDK in front of a server that answers as captured, and finds one session in every listing."""
    listed = {"compute_session_list": {"items": [row] if row else [], "total_count": 1 if row else 0}}
    parts = [
        Part("GET", "/", VERSION[capture.release].raw_answer),
        Part("POST", "/admin/gql", json_answer({"data": listed})),
        Part(capture.sent.method, pattern, capture.raw_answer),
    ]
    async with Playback(parts) as server:
        keys = {"access_key": "AK", "secret_key": "SK"}
        async with AsyncSession(endpoint=server.endpoint, **keys, **NO_RETRY) as api:
            yield api


ID = "9b36bf0f-3290-4565-b19d-afc6b30a8f84"


def row(status: str = "RUNNING") -> dict[str, Any]:
    return {"id": ID, "name": "played", "status": status, "status_info": None, "type": "INTERACTIVE"}
