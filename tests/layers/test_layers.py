"""Who may import whom. The table is the one of docs/explanation/architecture.md; the imports are read as text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import backendai_sdk

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "backendai_sdk"
ARCHITECTURE = ROOT / "docs/explanation/architecture.md"

# layer -> (layers of ours that it may import, third-party packages that it may import)
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "_version": (set(), set()),
    "errors": (set(), set()),
    "enums": (set(), set()),
    "models": ({"errors", "enums"}, {"attrs"}),
    "retry": ({"errors"}, {"attrs"}),
    "limiter": ({"errors"}, set()),
    "polling": (set(), {"attrs"}),
    "_deadline": ({"errors"}, set()),
    "config": ({"errors", "retry"}, {"attrs"}),
    "_wire": ({"errors", "enums", "models", "_log"}, {"attrs"}),
    "_journal": ({"errors"}, {"attrs"}),
    "_disk": ({"errors", "models", "_wire"}, {"attrs"}),
    "_transport": (
        {"errors", "models", "_wire", "config", "retry", "limiter", "_deadline", "_log", "_version"},
        {"aiohttp", "attrs", "yarl"},
    ),
    "_async": (
        {
            "errors",
            "enums",
            "models",
            "_wire",
            "config",
            "retry",
            "_deadline",
            "_disk",
            "_journal",
            "_log",
            "_transport",
            "polling",
        },
        {"attrs"},
    ),
    "_caller": (set(), set()),
    "_log": ({"_caller"}, set()),
    "_closing": ({"_log"}, set()),
    "_doorbell": (set(), set()),
    "_inbox": ({"_caller"}, set()),
    "_ticket": ({"_caller", "_inbox"}, set()),
    "_workers": (set(), set()),
    "_portal": ({"errors", "_caller", "_closing", "_doorbell", "_inbox", "_ticket", "_workers"}, set()),
    "_sync": ({"errors", "enums", "models", "config", "retry", "_async", "_portal"}, set()),
    # On public names only, as any other program.
    "notebook": (set(backendai_sdk.__all__), {"IPython", "attrs"}),
    "local": (set(), {"aiohttp", "attrs", "graphql", "multidict", "yarl"}),
}

# The embedded cluster is started on demand: these modules name it, inside functions or for type checkers only.
MAY_NAME_LOCAL = {"_async/_client.py", "_async/_local.py"}
# So is what shows a starting session in a notebook's cell.
MAY_NAME_NOTEBOOK = {"_async/_cell.py"}

STDLIB = set(__import__("sys").stdlib_module_names)
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[str, bool]]:
    """Every imported module, and whether it is imported when the module itself is."""
    tree = ast.parse(file.read_text("utf-8"))
    package = ".".join(file.relative_to(ROOT).parent.parts)
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, *, at_top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    found.extend((alias.name, at_top) for alias in names)
                case ast.ImportFrom(module=module, level=level, names=names):
                    base = package.rsplit(".", level - 1)[0] if level else ""
                    name = ".".join(filter(None, [base, module]))
                    found.extend(
                        (f"{name}.{a.name}" if name == "backendai_sdk" else name, at_top) for a in names
                    )
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    visit(child, at_top=False)
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    visit(child, at_top=False)
                case _:
                    visit(child, at_top=at_top)

    visit(tree, at_top=True)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(file: Path) -> None:
    layer = layer_of(file)
    ours, foreign = LAYERS[layer]
    for name, at_top in imports(file):
        top, _, rest = name.partition(".")
        if top == "backendai_sdk":
            target = rest.partition(".")[0]
            if target == "local" and layer != "local":
                assert str(file.relative_to(PACKAGE)) in MAY_NAME_LOCAL, f"{file} names the local cluster"
                assert not at_top, f"{file} imports the local cluster whenever it is imported"
            elif target == "notebook" and str(file.relative_to(PACKAGE)) in MAY_NAME_NOTEBOOK:
                assert not at_top, f"{file} imports the notebook extension whenever it is imported"
            else:
                assert target == layer or target in ours, f"{layer} may not import {name}"
        elif top not in STDLIB and top != "__future__":
            assert top in foreign, f"{layer} may not import {name}"


def test_every_layer_exists_and_the_architecture_page_names_it() -> None:
    assert {layer_of(f) for f in FILES} == set(LAYERS)
    page = ARCHITECTURE.read_text("utf-8")
    table = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert set(table) == set(LAYERS)


def test_pure_modules_know_no_loop() -> None:
    for file in FILES:
        if layer_of(file) in {
            "errors",
            "enums",
            "models",
            "_wire",
            "retry",
            "limiter",
            "polling",
            "_deadline",
            "config",
        }:
            assert not {"asyncio", "socket", "threading"} & {n.partition(".")[0] for n, _ in imports(file)}, (
                file
            )


def test_whatever_the_client_says_points_at_the_users_code() -> None:
    """Log records and warnings are made in one way each, which finds the user's line."""
    for file in FILES:
        text = file.read_text("utf-8")
        if layer_of(file) not in {"_log", "local"}:
            assert "logging.getLogger" not in text, f"{file}: use _log.logger()"
        if layer_of(file) not in {"_caller", "local"}:
            assert "warnings.warn" not in text, f"{file}: warn in _caller.py"
