"""One module of cores, as the text of its blocking twin."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from _gensync.annotations import Names
from _gensync.cores import Function, Member, head
from _gensync.methods import PAD, Method, init_lines, is_public, method_lines, property_lines
from _gensync.names import Refusal, sync_doc, sync_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _gensync.cores import Core, Package

__all__ = ["convert"]


def convert(core: Core, package: Package, *, portal: str) -> str:
    """The generated module, not yet formatted."""
    names = Names(package, core)
    body: list[str] = []
    for cls in core.public:
        body += _class_lines(cls, core, package, names)
    text = "\n".join(body)
    wanted = [name for name in ("PORTAL", "SyncProxy", "unwrap") if f"{name}" in text]
    names.runtime.add(f"from {portal} import {', '.join(wanted)}")
    if "ClassVar[" in text:
        names.runtime.add("from typing import ClassVar")
    typing = names.typing - names.runtime
    head_lines = [
        f'"""The blocking twins of ``{core.file}``, which is where to read and to change them."""',
        "from __future__ import annotations",
        *(["from typing import TYPE_CHECKING"] if typing else []),
        *sorted(names.runtime),
        *(["if TYPE_CHECKING:", *(PAD + line for line in sorted(typing))] if typing else []),
        "",
        f"__all__ = {sorted(sync_name(cls.name) for cls in core.public)!r}",
    ]
    return "\n".join([*head_lines, "", text, ""])


def _class_lines(cls: ast.ClassDef, core: Core, package: Package, names: Names) -> list[str]:
    where = f"{core.file}: {cls.name}"
    members = package.members(cls, core)
    functions = [item for item in members if isinstance(item.node, Function)]
    known = {item.node.name for item in functions if isinstance(item.node, Function)}
    overloaded = {
        item.node.name
        for item in functions
        if isinstance(item.node, Function) and any(head(d) == "overload" for d in item.node.decorator_list)
    }
    lines = [*_decorators(cls, core, names, where), _class_head(cls, core, names, where)]
    lines += [*sync_doc(ast.get_docstring(cls, clean=False), PAD), ""]
    handle = False
    for item in members:
        if isinstance(item.node, ast.ClassDef) and not item.node.name.startswith("_"):
            raise Refusal(f"{where}.{item.node.name}", "a class inside a class", "move it to the module")
        if _is_class_variable(item.node):
            assert isinstance(item.node, ast.AnnAssign | ast.Assign)
            target = item.node.target if isinstance(item.node, ast.AnnAssign) else item.node.targets[0]
            name = head(target)
            handle = handle or name == "_handle"
            if name.startswith("_"):
                continue
            if isinstance(item.node, ast.Assign):
                raise Refusal(f"{where}.{name}", "its type is not known", "annotate it with ClassVar[...]")
            text = names.annotation(item.node.annotation, item.owner, where)
            lines += [f"{PAD}{name}: {text} = {names.core_class(cls.name)}.{name}", ""]

    def method(item: Member) -> Method:
        assert isinstance(item.node, Function)
        return Method(
            node=item.node,
            owner=item.owner,
            cls=cls.name,
            names=names,
            package=package,
            has_next="__anext__" in known,
            overloaded=item.node.name in overloaded,
        )

    inits = [item for item in functions if method(item).node.name == "__init__"]
    if not handle:
        node = ast.parse("def __init__(self) -> None: ...").body[0]
        lines += init_lines(method(inits[0] if inits else Member(node, core)), closes="close" in known)
    for attr, annotation, owner in _attributes(members, inits, package, where):
        if attr not in known:
            lines += property_lines(names, owner, f"{where}.{attr}", attr, annotation)
    for item in functions:
        m = method(item)
        if m.node.name != "__init__" and is_public(m.node, m.where):
            lines += method_lines(m)
    return [*lines, ""]


def _class_head(cls: ast.ClassDef, core: Core, names: Names, where: str) -> str:
    generic = [base for base in cls.bases if head(base) == "Generic"]
    for base in cls.bases:
        for part in ast.walk(base):
            variable = core.values.get(part.id) if isinstance(part, ast.Name) else None
            if not generic and isinstance(variable, ast.Call) and head(variable.func) == "TypeVar":
                raise Refusal(where, f"it is generic through {ast.unparse(base)}", "add Generic[...]")
    if not generic:
        return f"class {sync_name(cls.name)}(SyncProxy[{names.core_class(cls.name)}]):"
    for part in ast.walk(generic[0]):
        if isinstance(part, ast.Name):
            names.use(part.id, core, where, runtime=True)
    text = ast.unparse(generic[0])
    core_type = names.core_class(cls.name) + text[text.index("[") :]
    return f"class {sync_name(cls.name)}(SyncProxy[{core_type}], {text}):"


def _decorators(cls: ast.ClassDef, core: Core, names: Names, where: str) -> list[str]:
    for node in cls.decorator_list:
        if head(node) != "final":
            raise Refusal(where, f"the decorator @{ast.unparse(node)} is not translated", "do without it")
        names.use(head(node), core, where, runtime=True)
    return [f"@{ast.unparse(node)}" for node in cls.decorator_list]


def _is_class_variable(node: ast.stmt) -> bool:
    match node:
        case ast.AnnAssign(annotation=annotation):
            return head(annotation) == "ClassVar"
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name != "__slots__"
    return False


def _attributes(
    members: list[Member], inits: list[Member], package: Package, where: str
) -> Iterator[tuple[str, ast.expr, Core]]:
    """Public attributes: declared in the class, or set in its constructor; each once."""
    found: set[str] = set()
    for item in members:
        match item.node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if (
                not name.startswith("_") and head(annotation) != "ClassVar"
            ):
                found.add(name)
                yield name, annotation, item.owner
    for item in inits[:1]:
        assert isinstance(item.node, Function)
        args = item.node.args
        types = {a.arg: a.annotation for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
        for name, given in _assignments(item.node):
            known: ast.expr | None = given if isinstance(given, ast.expr) else None
            match given:
                case ast.Assign(value=ast.Name(id=source)):
                    known = types.get(source)
                case ast.Assign(value=ast.Call(func=ast.Name(id=source))) if source in package.twins:
                    known = ast.Name(source)
            if name in found or name.startswith("_"):
                continue
            if known is None:
                raise Refusal(
                    f"{where}.{name}", "its type is not known", f"write `self.{name}: T = ...` in __init__"
                )
            found.add(name)
            yield name, known, item.owner


def _assignments(node: Function) -> Iterator[tuple[str, ast.expr | ast.Assign]]:
    """``self.x: T = ...`` gives x and T; ``self.x = ...`` gives x and the statement."""
    for part in ast.walk(node):
        match part:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), annotation=ann):
                yield name, ann
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)]):
                yield name, part
