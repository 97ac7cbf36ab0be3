"""Which API version is agreed on, and what a release is known to have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.versions import (
    API_VERSIONS,
    batch_steps_lose_output,
    known_statuses,
    negotiate,
    require,
)
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import BackendAIError, ConfigError, NotSupported, UnsupportedServer, WireError
from backendai_sdk.models.server import ServerInfo

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def server(release):
    return ServerInfo(api_version="v9.20250722", server_version="v9.20250722", manager="x", release=release)


@pytest.mark.parametrize(
    ("offered", "manager", "agreed", "release"),
    [
        ("v7.20230615", "23.09.10", "v7.20230615", (23, 9, 10)),
        ("v8.20240315", "24.03.11", "v8.20240315", (24, 3, 11)),
        ("v8.20240915", "25.3.3", "v8.20240915", (25, 3, 3)),
        ("v9.20250722", "26.8.1rc2", "v9.20250722", (26, 8, 1)),
        ("v9.20250722", "25.19", "v9.20250722", (25, 19, 0)),
        # Newer than this SDK, in the day or in the number: the newest that it speaks.
        ("v9.20991231", "27.1.0", "v9.20250722", (27, 1, 0)),
        ("v10.20300101", "30.1.0", "v9.20250722", (30, 1, 0)),
        # In between two that it speaks.
        ("v8.20240801", "24.06.1", "v8.20240315", (24, 6, 1)),
        # A manager that does not tell its release is taken for the version's first.
        ("v8.20240915", "", "v8.20240915", (24, 9, 0)),
        ("v7.20230615", "next", "v7.20230615", (23, 9, 0)),
    ],
)
def test_the_newest_that_both_speak(offered, manager, agreed, release):
    info = negotiate({"version": offered, "manager": manager}, endpoint="http://h")
    assert (info.api_version, info.server_version, info.release) == (agreed, offered, release)
    assert (info.manager, info.endpoint) == (manager, "http://h")


@pytest.mark.parametrize("offered", ["v6.20230315", "v4.20181215", "v0.00000000"])
def test_too_old(offered):
    with pytest.raises(
        UnsupportedServer, match=r"\(release 22\.9\) speaks API v\d.*needs v7.*23\.09.*upgrade"
    ):
        negotiate({"version": offered, "manager": "22.9"})


def test_a_version_that_the_user_insists_on():
    assert negotiate({"version": "v9.20250722"}, wanted="v7.20230615").api_version == "v7.20230615"
    with pytest.raises(UnsupportedServer, match="leave api_version out"):
        negotiate({"version": "v7.20230615"}, wanted="v9.20250722")
    with pytest.raises(ConfigError, match=r"api_version: 'v4\.20181215' is none that this SDK speaks"):
        negotiate({"version": "v7.20230615"}, wanted="v4.20181215")


@pytest.mark.parametrize("answer", [None, [], "v7.20230615", {}, {"version": 7}, {"manager": "23.09"}])
def test_not_a_manager(answer):
    with pytest.raises(WireError, match=r"http://h answers JSON, but not.*Check `endpoint`"):
        negotiate(answer, endpoint="http://h")


@pytest.mark.parametrize("version", ["", "7", "v7", "v7.2023", "V7.20230615", "v" + "9" * 5000 + ".20250722"])
def test_a_version_that_cannot_be_read(version):
    with pytest.raises(WireError, match="cannot read the server's API version"):
        negotiate({"version": version})


def test_a_release_of_thousands_of_digits_is_no_release():
    assert negotiate({"version": "v7.20230615", "manager": "9" * 5000}).release == (23, 9, 0)


@given(JSON | st.fixed_dictionaries({"version": st.text() | JSON, "manager": JSON}))
def test_any_json_gives_a_server_or_a_typed_error(answer):
    try:
        info = negotiate(answer)
    except BackendAIError:
        return
    assert info.api_version in API_VERSIONS


@given(st.integers(0, 99), st.integers(0, 99_999_999))
def test_never_newer_than_the_server(major, day):
    offered = f"v{major}.{day:08}"
    try:
        agreed = negotiate({"version": offered}).api_version
    except UnsupportedServer:
        assert (major, f"{day:08}") < (7, "20230615")
        return
    assert (int(agreed[1:].split(".")[0]), agreed[-8:]) <= (major, offered[-8:])


@pytest.mark.parametrize(
    ("feature", "old", "new"),
    [("priority", (24, 3, 11), (24, 9, 0)), ("batch_timeout", (24, 9, 14), (25, 3, 0))],
)
def test_what_a_release_has(feature, old, new):
    require(feature, server(new))
    with pytest.raises(NotSupported, match=rf"{feature} needs a server of release .*leave it out"):
        require(feature, server(old))


@pytest.mark.parametrize(
    ("release", "loses"),
    [
        ((23, 9, 10), False),
        ((24, 3, 11), False),
        ((24, 9, 13), False),
        ((24, 9, 14), True),
        ((25, 3, 3), False),
        ((25, 10, 1), False),
        ((25, 11, 4), True),
        ((26, 8, 1), True),
    ],
)
def test_releases_that_lose_the_output_of_batch_steps(release, loses):
    assert batch_steps_lose_output(server(release)) is loses


def test_statuses_by_release():
    old, middle, new = (known_statuses(server(r)) for r in ((23, 9, 0), (25, 3, 0), (26, 8, 0)))
    assert old < middle < new
    assert middle - old == {SessionStatus.PREPARED, SessionStatus.CREATING}
    assert new - middle == {
        SessionStatus.DEPRIORITIZING,
        SessionStatus.RESERVED,
        SessionStatus.PREEMPTED,
        SessionStatus.RESCHEDULING,
    }
    assert not new & {SessionStatus.RESIZING, SessionStatus.SUSPENDED}
