"""Modules by the paths of their files: --import-mode=importlib gives test helpers and tools no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

__all__ = ["load"]


def load(name: str, file: Path) -> Any:
    """Load a file anew as the module *name*, under which others may import it then."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
