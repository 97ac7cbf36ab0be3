"""The package's public names: three lists that agree, and an import that costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import backendai_sdk

SOURCE = Path(backendai_sdk.__file__)


def names_for_type_checkers() -> dict[str, str]:
    """Each name that is imported under TYPE_CHECKING, with its module."""
    tree = ast.parse(SOURCE.read_text("utf-8"))
    (block,) = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.asname or alias.name: node.module.removeprefix("backendai_sdk.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_three_lists_agree():
    assert names_for_type_checkers() == backendai_sdk._HOMES
    assert set(backendai_sdk.__all__) == {*backendai_sdk._HOMES, "__version__"}
    assert len(backendai_sdk.__all__) == len(set(backendai_sdk.__all__))
    assert dir(backendai_sdk) == sorted(backendai_sdk.__all__)


@pytest.mark.parametrize("name", backendai_sdk.__all__)
def test_every_name_is_there_and_from_its_home(name):
    value = getattr(backendai_sdk, name)
    if name != "__version__":
        home = importlib.import_module(f"backendai_sdk.{backendai_sdk._HOMES[name]}")
        assert value is getattr(home, name)
        assert name in home.__all__


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="'backendai_sdk' has no attribute 'Sesion'"):
        backendai_sdk.Sesion
    with pytest.raises(ImportError, match="Sesion"):
        exec("from backendai_sdk import Sesion")


HEAVY = ("aiohttp", "attrs", "attr", "yarl", "multidict", "asyncio", "graphql", "ssl")


def modules_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ""},
    )
    return set(out.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    loaded = modules_after(f"sys.path.insert(0, {str(SOURCE.parents[1])!r})\nimport backendai_sdk")
    assert "backendai_sdk" in loaded
    assert not loaded & set(HEAVY)
    assert {m for m in loaded if m.startswith("backendai_sdk.")} == {"backendai_sdk._version"}


def test_errors_and_enums_stay_light_and_settings_know_no_aiohttp():
    path = f"sys.path.insert(0, {str(SOURCE.parents[1])!r})\n"
    light = modules_after(path + "from backendai_sdk import SessionStatus, APIError")
    assert not light & set(HEAVY)
    settings = modules_after(path + "from backendai_sdk import Config, RetryPolicy, SessionInfo")
    assert not settings & {"aiohttp", "yarl", "graphql"}


def test_a_star_import_gives_exactly_the_public_names():
    space: dict[str, object] = {}
    exec("from backendai_sdk import *", space)
    space.pop("__builtins__")
    assert set(space) == set(backendai_sdk.__all__)
