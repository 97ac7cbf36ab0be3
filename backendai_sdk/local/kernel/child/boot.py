"""The file a driver is started with, as `boot.py NAME ARGUMENT...`: calls `main` of that sibling.

Siblings are loaded under a private name, out of the user's way.

By path and not with `-m`: the folder of the SDK must not be importable in a session that did not install it.
"""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
if Path(sys.path[0]).resolve() == _HERE:
    del sys.path[0]
_SPEC = importlib.util.spec_from_file_location(
    "_backendai_child", _HERE / "__init__.py", submodule_search_locations=[str(_HERE)]
)
if _SPEC is None or _SPEC.loader is None:
    raise SystemExit(127)
sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
importlib.import_module(f"_backendai_child.{sys.argv[1]}").main(*sys.argv[2:])
