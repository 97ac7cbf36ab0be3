"""What the tests of this folder share: a cluster with room for many sessions, in the test's own process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backendai_sdk.local import Agent, LocalCluster

# --import-mode=importlib gives test helpers no package: they are loaded by path.
for _name, _file in (
    ("chaos_calls", "calls.py"),
    ("chaos_cancelling", "cancelling.py"),
    ("chaos_troubles", "troubles.py"),
    ("chaos_upsets", "upsets.py"),
    ("chaos_both", "../core/both.py"),
):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).parent / _file)
    assert _spec is not None and _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_name] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A cluster on which fifty sessions run at once; their interpreters start only when they are used."""
    agents = [Agent("i-big", cpu=128, mem="256g", accelerators={})]
    with LocalCluster(agents=agents) as cluster:
        yield cluster
