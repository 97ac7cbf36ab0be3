"""Tests against captured answers of real servers. Makes the helpers beside this file importable as ``recorded``."""

from __future__ import annotations

import sys
import types
from pathlib import Path

# --import-mode=importlib gives test helpers no package.
_package = types.ModuleType("recorded")
_package.__path__ = [str(Path(__file__).parent)]
sys.modules.setdefault("recorded", _package)
