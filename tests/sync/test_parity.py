"""The real blocking classes against their cores, by what a caller sees: names, parameters, defaults, documentation."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import backendai_sdk
from backendai_sdk import _async, _sync
from backendai_sdk._portal import SyncProxy

# How Python calls the blocking form; what has none needs none.
RENAMED = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


def _classes(package: Any) -> dict[str, type]:
    found = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.rpartition(".")[2].startswith("_"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if inspect.isclass(value) and value.__module__ == module.name and not name.startswith("_"):
                    found[name] = value
    return found


CORES = {name: cls for name, cls in _classes(_async).items() if name.startswith("Async")}
TWINS = _classes(_sync)
EVERY = pytest.mark.parametrize("name", CORES)


def _seen(cls: type) -> set[str]:
    """Public methods and properties, and the special ones that the two faces call differently."""
    special = {*RENAMED, *RENAMED.values()}
    return {RENAMED.get(name, name) for name in vars(cls) if not name.startswith("_") or name in special}


def test_every_core_has_a_twin_and_no_twin_is_alone() -> None:
    assert {name.removeprefix("Async") for name in CORES} == set(TWINS)
    public = set(backendai_sdk.__all__)
    assert {name for name in CORES if name in public} == {f"Async{name}" for name in TWINS if name in public}


@EVERY
def test_the_same_names(name: str) -> None:
    core, twin = CORES[name], TWINS[name.removeprefix("Async")]
    assert issubclass(twin, SyncProxy)
    more = set(
        getattr(core, "__annotations__", {})
    )  # attributes that the documentation names are properties there
    own = {"run_id", "via", "last_error"} | more
    assert _seen(twin) - own == _seen(core) - own


@EVERY
def test_the_same_parameters(name: str) -> None:
    core, twin = CORES[name], TWINS[name.removeprefix("Async")]
    compared = 0
    for method, function in vars(core).items():
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__
        if not inspect.isfunction(function) or (
            method.startswith("_") and method not in RENAMED and method != "__init__"
        ):
            continue
        if method == "__init__" and "__init__" not in vars(twin):
            continue  # handles are returned, not built
        other = inspect.getattr_static(twin, RENAMED.get(method, method))
        other = getattr(other, "__func__", other)
        ours, theirs = (inspect.signature(f).parameters.values() for f in (function, other))
        assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]
        assert bool(function.__doc__) == bool(other.__doc__), method
        assert not inspect.iscoroutinefunction(other)
        compared += 1
    assert compared
