"""What annotations become, which imports they need, and how a core's result is wrapped as they say."""

from __future__ import annotations

import ast
import builtins
import copy
from typing import TYPE_CHECKING

from _gensync.cores import head
from _gensync.names import RENAMES, Refusal, is_async_name, sync_name

if TYPE_CHECKING:
    from _gensync.cores import Core, Package

__all__ = ["CALLBACKS", "Names", "callback_members", "mentions", "union_members"]

# Type aliases of callbacks; anything with `Callable` in it is one too.
CALLBACKS = ("ProgressCallback", "OutputCallback", "InputCallback", "TransferCallback", "TaskCallback")

_SEQUENCES = {"list", "List", "Sequence", "Collection", "Iterable"}
_MAPPINGS = {"dict", "Dict", "Mapping"}
_LOOP_TYPES = {"Awaitable", "Coroutine", "AwaitableContext", "Task", "Future"}


def union_members(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return union_members(node.left) + union_members(node.right)
    return [node]


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def mentions(node: ast.AST | None, names: set[str]) -> bool:
    """Whether one of *names* occurs, also inside a quoted annotation."""
    match node:
        case None:
            return False
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in names:
            return True
        case ast.Subscript() if head(node) == "Literal":
            return False
        case ast.Constant(value=str(text)):
            return mentions(ast.parse(text, mode="eval").body, names)
    return any(mentions(part, names) for part in ast.iter_child_nodes(node))


def callback_members(node: ast.expr | None) -> list[ast.expr]:
    """The members of the union *node* that are callbacks."""
    wanted = {"Callable", *CALLBACKS}
    return [] if node is None else [item for item in union_members(node) if head(item) in wanted]


class Names:
    """The names that one generated module uses, and where they come from."""

    def __init__(self, package: Package, core: Core) -> None:
        self._package = package
        self._core = core
        self.runtime: set[str] = set()
        self.typing: set[str] = set()

    # --- names ------------------------------------------------------------------------------------------

    def use(self, name: str, owner: Core, where: str, *, runtime: bool = False) -> None:
        """Import *name*, as *owner* knows it, into the generated module."""
        if name == "Self":
            self.typing.add("from typing import Self")
            return
        lines = self.runtime if runtime else self.typing
        imported = owner.imports.get(name)
        if imported is not None:
            lines.add(imported.line())
        elif name in owner.values:
            lines.add(f"from {owner.module} import {name}")
        elif not hasattr(builtins, name):
            raise Refusal(where, f"nothing in {owner.file} defines {name!r}", "import it at the module's top")

    def core_class(self, name: str) -> str:
        """The core's class, at run time."""
        self.runtime.add(f"from {self._core.module} import {name}")
        return name

    def twin(self, name: str) -> str:
        """An expression for the twin of *name* at run time, safe in import cycles."""
        stem = self._package.twins[name]
        if stem == self._core.stem:
            return sync_name(name)
        self.runtime.add(f"from {self._package.sync} import {stem} as _{stem}")
        return f"_{stem}.{sync_name(name)}"

    def twins_in(self, node: ast.expr) -> list[str]:
        """The names of cores that *node* mentions, in order."""
        return [name for name in self._package.twins if mentions(node, {name})]

    # --- annotations ------------------------------------------------------------------------------------

    def annotation(self, node: ast.expr, owner: Core, where: str) -> str:
        """The translated text; what it needs is imported for type checkers."""
        return ast.unparse(_Translate(self, self._package, owner, where).visit(copy.deepcopy(node)))

    def default(self, node: ast.expr, owner: Core, where: str) -> str:
        """A default value, word by word; what it needs is imported at run time."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                if part.id in self._package.twins:
                    raise Refusal(where, f"a default value names {part.id}", "use None as the default")
                self.use(part.id, owner, where, runtime=True)
        return ast.get_source_segment(owner.source, node) or ast.unparse(node)

    # --- results ----------------------------------------------------------------------------------------

    def wrap(self, node: ast.expr, expr: str, where: str, *, cls: str) -> list[str]:
        """Statements that return *expr*, wrapped as its annotation *node* says; *cls* is what Self is."""
        if is_none(node):
            return [expr]
        if not mentions(node, {*self._package.twins, "Self", *_LOOP_TYPES}):
            return [f"return {expr}"]
        if len(union_members(node)) > 1 or head(node) in {"tuple", "Tuple"}:
            return [f"_core = {expr}", f"return {self._wrapped(node, '_core', where, cls)}"]
        return [f"return {self._wrapped(node, expr, where, cls)}"]

    def wrapper(self, node: ast.expr, where: str) -> str | None:
        """The function that wraps one item of a stream, if it needs one."""
        if not mentions(node, {*self._package.twins, *_LOOP_TYPES}):
            return None
        if head(node) not in self._package.twins:
            raise Refusal(where, f"the items {ast.unparse(node)!r} cannot be wrapped", "give AsyncX itself")
        return f"{self.twin(head(node))}._wrap"

    def _wrapped(self, node: ast.expr, expr: str, where: str, cls: str) -> str:
        if not mentions(node, {*self._package.twins, "Self", *_LOOP_TYPES}):
            return expr
        match node:
            case ast.Constant(value=str(text)):
                return self._wrapped(ast.parse(text, mode="eval").body, expr, where, cls)
            case ast.Name(id="Self"):
                return f"{cls}._wrap({expr})"
            case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)) if name in self._package.twins:
                return f"{self.twin(name)}._wrap({expr})"
            case ast.BinOp():
                some = [item for item in union_members(node) if not is_none(item)]
                if len(some) == 1:
                    return f"None if {expr} is None else {self._wrapped(some[0], expr, where, cls)}"
            case ast.Subscript(slice=ast.Tuple(elts=[item, ast.Constant(value=end)])) if (
                head(node) in {"tuple", "Tuple"} and end is ...
            ):
                return f"tuple({self._wrapped(item, 'o', where, cls)} for o in {expr})"
            case ast.Subscript(slice=ast.Tuple(elts=items)) if head(node) in {"tuple", "Tuple"}:
                parts = [self._wrapped(x, f"{expr}[{i}]", where, cls) for i, x in enumerate(items)]
                return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
            case ast.Subscript(slice=ast.Tuple(elts=[_, item])) if head(node) in _MAPPINGS:
                return f"{{k: {self._wrapped(item, 'o', where, cls)} for k, o in {expr}.items()}}"
            case ast.Subscript(slice=item) if head(node) in _SEQUENCES:
                return f"[{self._wrapped(item, 'o', where, cls)} for o in {expr}]"
        raise Refusal(
            where,
            f"the return type {ast.unparse(node)!r} cannot be wrapped",
            "return AsyncX, AsyncX | None, or a list, tuple, Sequence or dict of it",
        )


class _Translate(ast.NodeTransformer):
    """One annotation, from the async to the blocking side."""

    def __init__(self, names: Names, package: Package, owner: Core, where: str) -> None:
        self._names = names
        self._package = package
        self._owner = owner
        self._where = where

    def visit_Name(self, node: ast.Name) -> ast.expr:
        name = node.id
        if name in self._package.twins:
            stem = self._package.twins[name]
            if stem != self._names._core.stem:
                self._names.typing.add(f"from {self._package.sync}.{stem} import {sync_name(name)}")
        elif name in RENAMES:
            imported = self._owner.imports.get(name)
            origin = imported.module if imported else "collections.abc"
            self._names.typing.add(f"from {origin} import {sync_name(name)}")
        elif is_async_name(name) or name in {"Coroutine", "AwaitableContext"}:
            raise Refusal(
                self._where,
                f"{name} has no blocking twin",
                "use a public AsyncX class, or mark the method @async_only",
            )
        else:
            self._no_hidden_twin(name)
            self._names.use(name, self._owner, self._where)
        node.id = sync_name(name)
        return node

    def _no_hidden_twin(self, name: str) -> None:
        value = self._owner.values.get(name)
        if value is not None and mentions(value, set(self._package.twins)):
            raise Refusal(self._where, f"the alias {name} hides an async class", "write its definition out")

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if is_async_name(node.attr):
            raise Refusal(self._where, f"{ast.unparse(node)} is not translated", "import the name itself")
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            return self.visit(ast.parse(node.value, mode="eval").body)  # type: ignore[no-any-return]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = head(node)
        if name == "Literal":
            self.visit(node.value)
            return node
        if name == "Awaitable":  # of a callback: here it is a plain function
            return self.visit(node.slice)  # type: ignore[no-any-return]
        if name == "AsyncGenerator" and isinstance(node.slice, ast.Tuple):
            node.slice = node.slice.elts[0]
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[0])  # type: ignore[no-any-return]
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        distinct: dict[str, ast.expr] = {}
        for item in union_members(node):
            new = self.visit(item)
            distinct.setdefault(ast.unparse(new), new)
        whole, *rest = distinct.values()
        for item in rest:
            whole = ast.BinOp(whole, ast.BitOr(), item)
        return whole
