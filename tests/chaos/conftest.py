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

# What blocking calls other than the core ones meet without `--whole-table`.
OFTEN = {"nothing", "reset", "half-open", "lost reply"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole-table",
        action="store_true",
        help="blocking calls under every trouble, not only where they may differ from the async ones",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The option is unknown when this file is met only during collection: then nobody has given it.
    if config.getoption("whole_table", default=False):
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (left_out if _is_left_out(item) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _is_left_out(item: pytest.Item) -> bool:
    """Whether the async twin of a test is enough: both go through the same core."""
    if not isinstance(item, pytest.Function) or item.originalname != "test_it_ends_well_blocking":
        return False
    call, trouble = item.callspec.params["call"], item.callspec.params["trouble"]
    return call.few or trouble.rare or not (call.core or trouble.name in OFTEN)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A cluster on which fifty sessions run at once; their interpreters start only when they are used."""
    agents = [Agent("i-big", cpu=128, mem="256g", accelerators={})]
    with LocalCluster(agents=agents) as cluster:
        yield cluster
