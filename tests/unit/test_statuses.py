"""What ``status=`` means: sets, single statuses, lists; and what is sent to which release."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.statuses import STATUS_SETS, parse_status, phase_of, status_argument
from backendai_sdk._wire.versions import known_statuses
from backendai_sdk.enums import Phase, SessionStatus
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.server import ServerInfo

S = SessionStatus


def server(*release):
    return ServerInfo(
        api_version="v", server_version="v", manager=".".join(map(str, release)), release=release
    )


OLD, MIDDLE, NEW = server(23, 9, 10), server(25, 19, 2), server(26, 8, 1)


def test_the_sets():
    assert STATUS_SETS["dead"] == (S.CANCELLED, S.TERMINATED)
    assert set(STATUS_SETS["all"]) == set(S)
    assert len(STATUS_SETS["all"]) == len(S)
    assert not set(STATUS_SETS["active"]) & set(STATUS_SETS["dead"])
    assert S.RESTARTING in STATUS_SETS["active"]


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        ("running", STATUS_SETS["running"]),
        # The word is a set, the status is itself.
        (S.RUNNING, (S.RUNNING,)),
        ("RUNNING", (S.RUNNING,)),
        ([S.RUNNING, S.ERROR], (S.RUNNING, S.ERROR)),
        ("pending", (S.PENDING,)),
        ("dead, pending", (S.CANCELLED, S.TERMINATED, S.PENDING)),
        (["error", "ERROR", "dead"], (S.ERROR, S.CANCELLED, S.TERMINATED)),
        ("DEAD", STATUS_SETS["dead"]),
    ],
)
def test_what_is_meant(given, statuses):
    assert parse_status(given) == statuses


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("runing", "did you mean 'RUNNING'"),
        ("terminate", "did you mean 'TERMINATED'"),
        ("§", r"is not a session status\. Allowed: active, "),
        ("", "nothing was given; use 'active'"),
        ([], "nothing was given"),
        (S("HIBERNATED"), "'HIBERNATED' is not a session status"),
    ],
)
def test_unknown_ones(given, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        parse_status(given)
    assert caught.value.argument == "status"


@given(st.lists(st.sampled_from([*STATUS_SETS, *S, *(s.lower() for s in S)]), min_size=1))
@pytest.mark.parametrize("info", [OLD, MIDDLE, NEW], ids=["23.09", "25.19", "26.8"])
def test_only_what_the_server_knows_is_sent(info, given):
    known = {s.value for s in known_statuses(info)}
    try:
        sent = status_argument(given, info).split(",")
    except InvalidArgument as exc:
        assert f"does not exist on this server ({info.manager})" in str(exc)  # noqa: PT017
        assert not {s.value for s in parse_status(given)} & known
        return
    assert set(sent) == {s.value for s in parse_status(given)} & known
    assert len(sent) == len(set(sent))


def test_active_on_each_release():
    assert status_argument("running", OLD) == "PREPARING,PULLING,RUNNING,RUNNING_DEGRADED"
    assert "CREATING" in status_argument("active", MIDDLE)
    assert "PREEMPTED" not in status_argument("active", MIDDLE)
    assert "PREEMPTED" in status_argument("active", NEW)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (S.PENDING, Phase.QUEUED),
        (S.SCHEDULED, Phase.SCHEDULED),
        (S.PULLING, Phase.PULLING),
        (S.CREATING, Phase.PREPARING),
        (S.RUNNING_DEGRADED, Phase.RUNNING),
        (S.ERROR, Phase.ENDED),
        (S("WARMING_UP"), Phase.PREPARING),
    ],
)
def test_phases(status, phase):
    assert phase_of(status) is phase
