"""Captured answers about servers and sessions, as the SDK reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from recorded.capture import Capture
from recorded.playback import Part, Playback
from recorded.reading import ID, NO_RETRY, VERSION, api_on, json_from, of, row

from backendai_sdk import AsyncSession, errors
from backendai_sdk._wire.fields import FIELDS
from backendai_sdk._wire.gql import data_of, read_page
from backendai_sdk._wire.structure import structure
from backendai_sdk._wire.versions import negotiate
from backendai_sdk.models.session import SessionInfo


@of("server")
def test_server(capture: Capture) -> None:
    found = negotiate(json_from(capture))
    assert {
        "23.9.10": ("v7.20230615", "23.09.10", (23, 9, 10)),
        "26.9.6": ("v9.20250722", "26.9.6", (26, 9, 6)),
    }[capture.release] == (found.api_version, found.manager, found.release)
    assert found.server_version == found.api_version


@of("sign-in")
async def test_sign_in(capture: Capture) -> None:
    assert capture.answer is not None
    parts = [
        Part("POST", "/server/login", capture.raw_answer),
        Part("GET", "/func/", VERSION[capture.release].raw_answer),
    ]
    async with Playback(parts) as server:
        settings = {"endpoint": server.endpoint, "endpoint_type": "session", "username": "u", "password": "p"}
        async with AsyncSession(**settings, **NO_RETRY) as api:
            if capture.answer.status == 200:
                assert (await api._client.server()).manager == "26.9.6"
            else:
                with pytest.raises(errors.AuthenticationError, match="User credential mismatch"):
                    await api._client.server()


@of("ping")
async def test_ping(capture: Capture) -> None:
    async with api_on(capture, "/auth") as api:
        assert (await api.ping()).manager == "23.09.10"


def check_row(row: SessionInfo, given: Mapping[str, Any]) -> None:
    """Hold each field of a row against what the server sent."""
    shown = dict(row.items())
    assert set(shown) | set(row.extra) == set(given)
    assert set(row.extra) == set(given) - set(FIELDS)
    for name, value in shown.items():
        check_field(name, value, given[name])
    assert row.session_id == given.get("id", row.session_id)


def check_field(name: str, value: Any, given: Any) -> None:
    if given is None:
        assert value is None
    elif isinstance(value, datetime):
        assert value == datetime.fromisoformat(given)
        assert value.utcoffset() is not None
    elif name in {"resource_opts", "idle_checks"}:
        assert value == json.loads(given)
    elif name == "service_ports":
        assert [dict(port) for port in value] == json.loads(given)
    elif name == "occupying_slots":
        assert {slot: Decimal(amount) for slot, amount in value.items()} == {
            slot: Decimal(amount) for slot, amount in json.loads(given).items()
        }
    elif name == "dependencies":
        assert [ref.id for ref in value] == [ref["id"] for ref in given]
    elif isinstance(given, list):
        assert list(value) == given
    else:
        assert value == (given.lower() if name == "type" else given)
        assert getattr(value, "is_known", True), f"{value!r} is not known to the SDK"


@of("sessions")
def test_sessions(capture: Capture) -> None:
    answer = json_from(capture)
    given = answer["data"]
    if "compute_session_list" in given:
        page = read_page(answer)
        assert page.total_count == given["compute_session_list"]["total_count"]
        rows, raw = page.items, given["compute_session_list"]["items"]
    else:
        # The SDK looks a session up by listing: the row is the same.
        row = structure(SessionInfo, data_of(answer)["compute_session"])
        rows, raw = (row,), [given["compute_session"]]
    assert len(rows) == len(raw)
    for row, one in zip(rows, raw, strict=True):
        check_row(row, one)


@of("refused query")
def test_refused_query(capture: Capture) -> None:
    answer = json_from(capture)
    message = answer["errors"][0]["message"]
    with pytest.raises(
        (errors.GraphQLError, errors.PermissionDenied), match=re.escape(message.rstrip("."))
    ) as caught:
        data_of(answer)
    assert isinstance(caught.value, errors.PermissionDenied) == message.startswith("Forbidden operation")
    assert caught.value.data == answer["errors"]
    assert caught.value.msg == message


@of("created")
async def test_created(capture: Capture) -> None:
    assert capture.answer is not None
    given = capture.answer.json
    async with api_on(capture, "/session") as api:
        session = await api.create(name="played", image="python", enqueue_only=True)
        assert session.id == given["sessionId"]
        assert session.name == given["sessionName"]
        # Of a wait that ran out servers say TIMEOUT, which is no status: it waits in the queue.
        assert session.status.value == given["status"]


@of("destroyed")
async def test_destroyed(capture: Capture) -> None:
    assert capture.answer is not None
    given = capture.answer.json
    stats = given[0] if isinstance(given, list) else given["stats"]
    async with api_on(capture, f"/session/{ID}", row()) as api:
        (outcome,) = await api.destroy(ID)
        assert outcome.ok
        assert outcome.status == stats["status"]
        assert dict(outcome.stats) == {k: v for k, v in stats.items() if k != "status"}
        assert outcome.session_id == ID


@of("logs")
async def test_logs(capture: Capture) -> None:
    assert capture.answer is not None
    async with api_on(capture, f"/session/{ID}/logs", row()) as api:
        session = await api.get(ID)
        assert await session.logs() == capture.answer.json["result"]["logs"] != ""


@of("done")
async def test_done(capture: Capture, tmp_path: Path) -> None:
    """204, with no content type and no body."""
    call = capture.sent.path.rpartition("/")[2]
    (tmp_path / "main.py").write_text("1")
    async with api_on(capture, rf"/session/{ID}(/\w+)?", row()) as api:
        session = await api.get(ID)
        if call == "rename":
            await session.rename("renamed")
            assert session.name == "renamed"
        elif call == "interrupt":
            await session.interrupt()
        elif call == "upload":
            await session.upload(tmp_path / "main.py")
        else:
            assert capture.sent.method == "PATCH"
            await session.restart()
