"""Every capture against the local cluster, which must answer in the same shape or have an excuse."""

from __future__ import annotations

from collections import Counter

import pytest
from recorded.capture import captures
from recorded.explained import ABSENT, EXPLAINED, NOT_ASKED
from recorded.player import play
from recorded.replay import Stage
from recorded.scenarios import LOCAL_RELEASES, SCENARIOS, Scenario

from backendai_sdk.local import LocalCluster

CAPTURES = captures()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_the_local_cluster_answers_as_the_real_one_did(scenario: Scenario) -> None:
    found = await play(scenario)
    unexplained = {
        f"{capture}: {path}": what
        for (capture, path), what in found.items()
        if not any(e.covers(capture, path) for e in EXPLAINED)
    }
    assert not unexplained
    compared = {c.number for c in scenario.captures()} - scenario.set_up
    stale = [
        f"{capture}: {e.path}"
        for e in EXPLAINED
        for capture in e.captures
        if capture in compared and not any(e.covers(*place) for place in found if place[0] == capture)
    ]
    assert not stale, f"these differences are gone: take them out of explained.py: {stale}"


@pytest.mark.parametrize("release", LOCAL_RELEASES)
async def test_what_is_absent_is_absent(release: str) -> None:
    """An endpoint that was built meanwhile must be compared."""
    left = {number for entry in ABSENT for number in entry.captures}
    async with LocalCluster(LOCAL_RELEASES[release]) as cluster, Stage(cluster) as stage:
        for capture in CAPTURES:
            if capture.release == release and capture.number in left:
                answer = await stage.play(capture)
                assert answer.status == 404, f"{capture}: compare it, and take it out of explained.py"
                if capture.sent.method != "HEAD":
                    assert answer.json["type"].endswith("/url-not-found")


def test_each_capture_is_compared_or_has_an_excuse() -> None:
    compared = [c.number for s in SCENARIOS for c in s.captures() if c.number not in s.set_up]
    left = [number for entry in (*ABSENT, *NOT_ASKED) for number in entry.captures]
    counts = Counter([*compared, *left])
    assert {number for number, count in counts.items() if count > 1} == set()
    assert set(counts) == {c.number for c in CAPTURES}
    assert len({c.number for c in CAPTURES}) == len(CAPTURES)


def test_each_excuse_names_captures_that_are_compared() -> None:
    compared = {c.number for s in SCENARIOS for c in s.captures()}
    assert {number for e in EXPLAINED for number in e.captures} <= compared
    assert all(e.reason and e.captures for e in (*EXPLAINED, *ABSENT, *NOT_ASKED))
