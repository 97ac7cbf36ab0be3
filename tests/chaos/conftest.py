"""What the tests of this folder share: a cluster with room for many sessions, in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from by_path import load

from backendai_sdk.local import Agent, LocalCluster

for _name, _file in (
    ("chaos_calls", "calls.py"),
    ("chaos_cancelling", "cancelling.py"),
    ("chaos_troubles", "troubles.py"),
    ("chaos_upsets", "upsets.py"),
    ("chaos_both", "../core/both.py"),
):
    load(_name, Path(__file__).parent / _file)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A cluster on which fifty sessions run at once; their interpreters start only when they are used."""
    agents = [Agent("i-big", cpu=128, mem="256g", accelerators={})]
    with LocalCluster(agents=agents) as cluster:
        yield cluster
