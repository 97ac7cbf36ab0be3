"""The async cores as they stand in their files: modules, imports, classes and the members of a class."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from _gensync.names import Refusal, is_async_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Core", "Import", "Member", "Package", "head", "read_package"]

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Bases that only say how a class is used, which its methods say too.
_DESCRIPTIVE = {
    "ABC",
    "AbstractAsyncContextManager",
    "AsyncContextManager",
    "AsyncIterable",
    "AsyncIterator",
    "Awaitable",
    "Generic",
    "Protocol",
}


@dataclass(frozen=True)
class Import:
    """``from module import name``, or ``import module`` if *name* is empty."""

    module: str
    name: str
    bound: str

    def line(self) -> str:
        if not self.name:
            return f"import {self.module}" + ("" if self.bound == self.module else f" as {self.bound}")
        alias = "" if self.bound == self.name else f" as {self.bound}"
        return f"from {self.module} import {self.name}{alias}"


@dataclass
class Core:
    """One module of cores."""

    stem: str
    module: str
    file: str
    tree: ast.Module
    source: str
    imports: dict[str, Import] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    values: dict[str, ast.expr | None] = field(default_factory=dict)

    @property
    def public(self) -> list[ast.ClassDef]:
        """The classes that get a twin."""
        if self.stem.startswith("_"):
            return []
        return [node for name, node in self.classes.items() if is_async_name(name)]


@dataclass(frozen=True)
class Member:
    """One statement of a class body; *owner* is the module whose names it uses."""

    node: ast.stmt
    owner: Core


@dataclass
class Package:
    """All modules of cores; ``twins`` tells in which module a public async class is."""

    name: str
    sync: str
    cores: dict[str, Core]
    twins: dict[str, str]

    def members(self, cls: ast.ClassDef, core: Core) -> list[Member]:
        """The class's own members, then those of its bases in this package that it does not override."""
        found = [Member(node, core) for node in cls.body]
        known = {_member_name(node) for node in cls.body}
        for base in cls.bases:
            name = head(base)
            if name in _DESCRIPTIVE:
                continue
            where = self._class(name, core)
            if where is None:
                raise Refusal(
                    f"{core.file}: {cls.name}",
                    f"its base {ast.unparse(base)} is not a class of this package",
                    "define the methods in the class, or in a base class next to it",
                )
            parent, owner = where
            given = dict(zip(_parameters(parent), _arguments(base), strict=False))
            for member in self.members(parent, owner):
                key = _member_name(member.node)
                if key is not None and key not in known:
                    node = _Substitute(given).visit(copy.deepcopy(member.node))
                    found.append(Member(node, member.owner))
            known |= {_member_name(member.node) for member in found}
        return found

    def _class(self, name: str, core: Core) -> tuple[ast.ClassDef, Core] | None:
        if name in core.classes:
            return core.classes[name], core
        imported = core.imports.get(name)
        if imported is not None:
            for other in self.cores.values():
                if other.module == imported.module and imported.name in other.classes:
                    return other.classes[imported.name], other
        return None


class _Substitute(ast.NodeTransformer):
    """Put the arguments of a generic base into what is inherited from it."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self._given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self._given.get(node.id, node))


def head(node: ast.expr) -> str:
    """The last word of what is subscripted: ``list`` of ``builtins.list[int]``."""
    match node:
        case ast.Subscript(value=value):
            return head(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _arguments(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.Subscript(slice=ast.Tuple(elts=items)):
            return items
        case ast.Subscript(slice=item):
            return [item]
    return []


def _parameters(cls: ast.ClassDef) -> list[str]:
    return [head(item) for base in cls.bases if head(base) == "Generic" for item in _arguments(base)]


def _member_name(node: ast.stmt) -> str | None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return None


def read_package(source: Path, *, package: str, sync: str) -> Package:
    """Parse every module in the folder *source*, which is the package *package*."""
    cores = {path.stem: _read(path, package) for path in sorted(source.glob("*.py"))}
    twins = {cls.name: core.stem for core in cores.values() for cls in core.public}
    return Package(package, sync, cores, twins)


def _read(path: Path, package: str) -> Core:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, str(path))
    core = Core(path.stem, f"{package}.{path.stem}", f"{path.parent.name}/{path.name}", tree, source)
    for node in _top_level(tree.body):
        match node:
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = _absolute(package, module or "", level)
                for alias in names:
                    bound = alias.asname or alias.name
                    core.imports[bound] = Import(origin, alias.name, bound)
            case ast.Import(names=names):
                for alias in names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    core.imports[bound] = Import(alias.name, "", alias.asname or alias.name)
            case ast.ClassDef(name=name):
                core.classes[name] = node
                core.values[name] = None
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                core.values[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=bound_value):
                core.values[name] = bound_value
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                core.values[name] = None
    return core


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The module's statements, those of ``if TYPE_CHECKING:`` included."""
    for node in body:
        if isinstance(node, ast.If) and head(node.test) == "TYPE_CHECKING":
            yield from node.body
        else:
            yield node


def _absolute(package: str, module: str, level: int) -> str:
    if not level:
        return module
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
