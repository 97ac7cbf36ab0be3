"""Figures of matplotlib as in a notebook: shown by `show()`, or when the cell that made them ends.

Nothing happens until a program imports matplotlib, and nothing if it chooses a backend of its own.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Sequence

_BACKEND = "backendai_figures"


def install(display: Callable[[object], None]) -> None:
    """From now on, matplotlib draws for `display`."""
    sys.meta_path.insert(0, _Finder(display))


def show_open() -> None:
    """Shows the figures that are open, and closes them, as `show()` does."""
    backend: Any = sys.modules.get(_BACKEND)
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if backend is not None and pyplot is not None and pyplot.get_backend() == f"module://{_BACKEND}":
        backend.show()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the backend for matplotlib, and tells matplotlib of it."""

    def __init__(self, display: Callable[[object], None]) -> None:
        self._display = display

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == _BACKEND:
            return importlib.machinery.ModuleSpec(name, _Backend(self._display))
        # Not by the environment: programs that the code starts would inherit what they cannot import.
        if name != "matplotlib" or "MPLBACKEND" in os.environ:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            module.rcParams["backend"] = f"module://{_BACKEND}"

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class _Backend(importlib.abc.Loader):
    """Makes a backend of matplotlib: a module with a canvas and `show()`."""

    def __init__(self, display: Callable[[object], None]) -> None:
        self._display = display

    def exec_module(self, module: types.ModuleType) -> None:
        agg: Any = importlib.import_module("matplotlib.backends.backend_agg")

        def show(*_: object, **__: object) -> None:
            pyplot: Any = importlib.import_module("matplotlib.pyplot")
            for number in pyplot.get_fignums():
                self._display(pyplot.figure(number))
            pyplot.close("all")

        module.__dict__.update(FigureCanvas=agg.FigureCanvasAgg, show=show)
