"""Sessions in Jupyter notebooks and IPython: magics, live progress, output and input in the cell (extra ``notebook``).

``%load_ext backendai_sdk.notebook`` gives ``%backendai`` and ``%%backendai``.  The same as functions, for the blocking
API: ``create()`` and ``execute()``; or, given to the calls that take callbacks, ``Phases``, ``show`` and ``ask``.  All
that is done here goes through the package's public names.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec("IPython") is None:
    raise ModuleNotFoundError(
        "backendai_sdk.notebook needs IPython: pip install 'backendai-sdk[notebook]'", name="IPython"
    )

from backendai_sdk.notebook.phases import Phases, create
from backendai_sdk.notebook.streaming import ask, execute, show

if TYPE_CHECKING:
    from backendai_sdk.notebook.shell import Shell

__all__ = [
    "Phases",
    "ask",
    "create",
    "execute",
    "load_ipython_extension",
    "show",
    "unload_ipython_extension",
]


def load_ipython_extension(ipython: Shell) -> None:
    """What ``%load_ext backendai_sdk.notebook`` calls."""
    from backendai_sdk.notebook.magics import load

    load(ipython)


def unload_ipython_extension(ipython: Shell) -> None:
    """What ``%unload_ext backendai_sdk.notebook`` calls: closes what the magics have opened."""
    from backendai_sdk.notebook.magics import unload

    unload(ipython)
