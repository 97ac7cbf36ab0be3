"""What a blocking call finds where it is made: whether it stops an event loop, and which line of the user's that is.

A blocking call inside a coroutine works, but nothing else on that loop runs meanwhile.  That is told once for
each place, as Python tells warnings.  IPython's kernels run every cell on a loop, where it is no mistake.
Assumed: calls come from the package's own files, so the first frame outside of them is the user's.  Standard
library only.
"""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from pathlib import Path

__all__ = ["warn_on_a_loop"]

_PACKAGE = str(Path(__file__).parent) + os.sep
# A warning may be an error, and the way out is never barred; nor is a collected stream anybody's call.
_WAYS_OUT = {"__exit__", "close", "destroy", "_close_stream"}


def warn_on_a_loop() -> None:
    """Warn whoever makes a blocking call on a thread whose event loop is running.

    Raises:
        RuntimeWarning: if warnings are errors.
    """
    if asyncio._get_running_loop() is None or _in_ipython():
        return
    frame, name = sys._getframe(1), ""
    while frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_code.co_name in _WAYS_OUT:
            return
        name = frame.f_code.co_qualname
        if frame.f_back is None:
            return
        frame = frame.f_back
    warnings.warn_explicit(
        f"{name}() blocks the event loop that is running here: nothing else runs on it until the call is over; "
        "coroutines should await the async API (AsyncSession, AsyncComputeSession)",
        RuntimeWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _in_ipython() -> bool:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None
