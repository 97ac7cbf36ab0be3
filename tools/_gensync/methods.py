"""One method, property or attribute of a core, as the text of its blocking twin."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from _gensync.annotations import callback_members, is_none, mentions
from _gensync.cores import Function, head
from _gensync.names import DUNDERS, Refusal, sync_doc, sync_name

if TYPE_CHECKING:
    from _gensync.annotations import Names
    from _gensync.cores import Core, Package

__all__ = ["Method", "is_public", "method_lines", "property_lines"]

PAD = "    "

# Plain special methods that make sense on the twin; it gets them by delegation.
_DELEGATED = {
    "__len__",
    "__contains__",
    "__getitem__",
    "__bool__",
    "__str__",
    "__int__",
    "__float__",
    "__call__",
}
# Those that it does without, or that its base has.
_DROPPED = {
    *("__await__", "__repr__", "__eq__", "__ne__", "__hash__", "__del__", "__enter__", "__exit__"),
    *("__iter__", "__next__", "__init_subclass__", "__class_getitem__", "__reduce__", "__reduce_ex__"),
    *("__getstate__", "__setstate__", "__copy__", "__deepcopy__"),
}
_COPIED_DECORATORS = {
    "property",
    "classmethod",
    "staticmethod",
    "overload",
    "override",
    "final",
    "deprecated",
}


@dataclass(frozen=True)
class Method:
    """A method of a core, with everything that its translation depends on."""

    node: Function
    owner: Core
    cls: str
    names: Names
    package: Package
    has_next: bool
    overloaded: bool

    @property
    def where(self) -> str:
        return f"{self.owner.file}: {self.cls}.{self.node.name}()"

    @property
    def decorators(self) -> list[str]:
        return [head(node.func if isinstance(node, ast.Call) else node) for node in self.node.decorator_list]

    @property
    def is_async(self) -> bool:
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def returns(self) -> ast.expr:
        if self.node.returns is None:
            raise Refusal(self.where, "it does not say what it returns", "annotate the return type")
        node = self.node.returns
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return ast.parse(node.value, mode="eval").body
        return node


def is_public(node: Function, where: str) -> bool:
    """Whether the twin has this method; special ones that nobody thought of are refused."""
    name = node.name
    if name.startswith("_repr_") and name.endswith("_"):  # what notebooks call
        return True
    if not name.startswith("__"):
        return not name.startswith("_")
    if name in _DELEGATED or name in DUNDERS or name == "__init__":
        return True
    if name in _DROPPED or not name.endswith("__"):
        return False
    raise Refusal(
        where, f"no rule says what {name} becomes", "rename it, or add it to tools/_gensync/methods.py"
    )


def method_lines(m: Method) -> list[str]:
    """The whole method, decorators and docstring included; nothing for ``@async_only``."""
    if "async_only" in m.decorators:
        return []
    lines = _decorator_lines(m)
    if m.is_async and {"property", "cached_property"} & set(m.decorators):
        raise Refusal(m.where, "an async property has no twin", "make it a method")
    name = DUNDERS.get(m.node.name) or sync_name(m.node.name)
    lines.append(f"{PAD}def {name}({_signature(m)}) -> {_return_text(m)}:")
    if "overload" in m.decorators:
        return [*lines, f"{PAD * 2}...", ""]
    lines += sync_doc(ast.get_docstring(m.node, clean=False), PAD * 2)
    return [*lines, *(PAD * 2 + line for line in _body(m)), ""]


def property_lines(names: Names, owner: Core, where: str, attr: str, annotation: ast.expr) -> list[str]:
    """A public attribute of the core, as a read-only property."""
    wrapped = names.wrap(annotation, f"self._async.{attr}", where, cls="self")
    text = names.annotation(annotation, owner, where)
    lines = [f"{PAD}@property", f"{PAD}def {attr}(self) -> {text}:"]
    return [*lines, *(PAD * 2 + line for line in wrapped), ""]


def _decorator_lines(m: Method) -> list[str]:
    lines = []
    for node, name in zip(m.node.decorator_list, m.decorators, strict=True):
        if name == "setter":
            lines.append(f"{PAD}@{ast.unparse(node)}")
        elif name == "cached_property":
            lines.append(f"{PAD}@property")
        elif name in _COPIED_DECORATORS:
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    m.names.use(part.id, m.owner, m.where, runtime=True)
            lines.append(f"{PAD}@{ast.unparse(node)}")
        else:
            raise Refusal(
                m.where,
                f"the decorator @{ast.unparse(node)} is not translated",
                "write the method without it",
            )
    return lines


# --- signatures -----------------------------------------------------------------------------------------


def _signature(m: Method) -> str:
    a = m.node.args
    plain = [*a.posonlyargs, *a.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(a.defaults)), *a.defaults]
    parts = []
    for i, (arg, value) in enumerate(zip(plain, defaults, strict=True)):
        parts.append(_parameter(m, arg, value))
        if i + 1 == len(a.posonlyargs):
            parts.append("/")
    if a.vararg:
        parts.append("*" + _parameter(m, a.vararg, None))
    elif a.kwonlyargs:
        parts.append("*")
    parts += [_parameter(m, arg, value) for arg, value in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    if a.kwarg:
        parts.append("**" + _parameter(m, a.kwarg, None))
    return ", ".join(parts)


def _parameter(m: Method, arg: ast.arg, value: ast.expr | None) -> str:
    text = arg.arg
    if arg.annotation is not None:
        text += f": {m.names.annotation(arg.annotation, m.owner, m.where)}"
    if value is not None:
        text += f" = {m.names.default(value, m.owner, m.where)}"
    return text


def _arguments(m: Method) -> str:
    """The parameters, handed on to the core."""
    a = m.node.args
    plain = [*a.posonlyargs, *a.args][0 if "staticmethod" in m.decorators else 1 :]
    parts = [_argument(m, arg) for arg in plain]
    if a.vararg:
        parts.append("*" + _argument(m, a.vararg, many=True))
    parts += [f"{arg.arg}={_argument(m, arg)}" for arg in a.kwonlyargs]
    if a.kwarg:
        parts.append("**" + _argument(m, a.kwarg, many=True))
    return ", ".join(parts)


def _argument(m: Method, arg: ast.arg, *, many: bool = False) -> str:
    node = arg.annotation
    if node is None:
        return arg.arg
    twins = m.names.twins_in(node)
    if mentions(node, {"Callable"}) or callback_members(node):
        if many or not callback_members(node):
            raise Refusal(m.where, f"the callback inside {arg.arg!r} is not reached", "take it by itself")
        if not twins and not mentions(node, {"Awaitable"}):
            return f"PORTAL.on_caller({arg.arg})"
        wrap = "".join(f"{m.names.twin(name)}, " for name in twins)
        return f"PORTAL.on_caller({arg.arg}, wrap=({wrap}))"
    streams = {"AsyncIterable", "AsyncIterator"}
    if mentions(node, streams) and not mentions(node, {"Iterable", "Iterator", "Sequence"}):
        raise Refusal(m.where, f"{arg.arg!r} takes only an async iterable", "take an Iterable too")
    return f"unwrap({arg.arg})" if twins else arg.arg


# --- results and bodies ---------------------------------------------------------------------------------


def _is_stream(m: Method) -> bool:
    return head(m.returns) in {"AsyncIterator", "AsyncGenerator"}


def _inner(node: ast.expr) -> ast.expr:
    """``T`` of ``AsyncIterator[T]``, ``AsyncGenerator[T, None]`` or ``AwaitableContext[T]``."""
    match node:
        case ast.Subscript(slice=ast.Tuple(elts=[item, *_])):
            return item
        case ast.Subscript(slice=item):
            return item
    return ast.Name("object")


def _return_text(m: Method) -> str:
    node = m.returns
    if m.node.name == "__aiter__" and m.has_next:
        node = ast.Name("Self")
    elif head(node) == "AwaitableContext":
        node = _inner(node)
    elif head(node) in {"Awaitable", "Coroutine"}:
        raise Refusal(m.where, "a plain method returns an awaitable", "make it `async def`, or @async_only")
    return m.names.annotation(node, m.owner, m.where)


def _body(m: Method) -> list[str]:
    name, node = m.node.name, m.returns
    on_class = "classmethod" in m.decorators or "staticmethod" in m.decorators
    own = "cls" if "classmethod" in m.decorators else "self"
    target = m.names.core_class(m.cls) if on_class else "self._async"
    if m.overloaded:
        return _overloaded_body(m, target, own)
    if "property" in m.decorators or "cached_property" in m.decorators:
        return m.names.wrap(node, f"self._async.{name}", m.where, cls=own)
    if "setter" in m.decorators:
        value = m.node.args.args[1]
        return [f"self._async.{name} = {_argument(m, value)}"]
    if name == "__aiter__" and m.has_next:
        return ["return self"]
    if name == "__anext__":
        return m.names.wrap(node, "PORTAL.step(self._async.__anext__())", m.where, cls=own)
    expr = f"{target}.{name}({_arguments(m)})"
    if name == "__aenter__" and head(node) in {"Self", m.cls}:
        return [f"PORTAL.call({expr})", "PORTAL.entered(self._async)", "return self"]
    if _is_stream(m):
        if m.is_async and not _is_generator(m.node):
            expr = f"PORTAL.call({expr})"
        wrapper = m.names.wrapper(_inner(node), m.where)
        return [f"return PORTAL.iterate({expr}{', ' + wrapper if wrapper else ''})"]
    if name == "__aiter__":
        raise Refusal(m.where, "it is neither an async generator nor a class with __anext__", "make it one")
    if head(node) == "AwaitableContext":
        node, expr = _inner(node), f"PORTAL.call({expr}.wait())"
    elif m.is_async:
        expr = f"PORTAL.leave(self._async, {expr})" if name == "__aexit__" else f"PORTAL.call({expr})"
    return [expr] if is_none(node) else m.names.wrap(node, expr, m.where, cls=own)


def _overloaded_body(m: Method, target: str, own: str) -> list[str]:
    """Overloads are for callers: what is handed on here fits none of them, but their union."""
    m.names.typing.add("from typing import Any")
    lines = _body(replace(m, overloaded=False))
    lines = [line.replace(f"{target}.{m.node.name}(", f"_any.{m.node.name}(", 1) for line in lines]
    if lines[-1].startswith("return ") and f"{own}._wrap(" not in lines[-1]:
        lines[-1:] = [f"_result: {_return_text(m)} = {lines[-1].removeprefix('return ')}", "return _result"]
    return [f"_any: Any = {target}", *lines]


def _is_generator(node: ast.AST) -> bool:
    """Whether there is a ``yield`` in it, nested functions apart."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Yield):
            return True
        if not isinstance(part, Function | ast.Lambda) and _is_generator(part):
            return True
    return False


def init_lines(m: Method, *, closes: bool) -> list[str]:
    """The constructor: it makes the core."""
    lines = [f"{PAD}def __init__({_signature(m)}) -> None:"]
    lines += sync_doc(ast.get_docstring(m.node, clean=False), PAD * 2)
    lines.append(f"{PAD * 2}self._async = {m.names.core_class(m.cls)}({_arguments(m)})")
    if closes:
        lines.append(f"{PAD * 2}PORTAL.at_exit(self._async)")
    return [*lines, ""]
