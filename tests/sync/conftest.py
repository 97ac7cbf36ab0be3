"""What the tests of this folder share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# --import-mode=importlib gives test helpers no package: they are loaded by path.
_spec = importlib.util.spec_from_file_location("sync_child", Path(__file__).parent / "child.py")
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["sync_child"] = _module
_spec.loader.exec_module(_module)
