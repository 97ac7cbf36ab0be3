"""Where the user's code makes a call: for warnings and log records, which point there and not at the SDK's inside.

A call of the async API is made where the chain of awaits leaves the package.  A blocking call works on the portal's
thread while its own waits; so the portal tells there, in a context variable, which thread that is, and looking for
the place is left to whoever needs it.  A blocking call inside a coroutine works, but nothing else on that loop runs
meanwhile: that is told once for each place, as Python tells warnings.  IPython's kernels run every cell on a loop,
where it is no mistake.  Assumed: calls come from the package's own files, so the first frame outside of them is the
user's.  Standard library only.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import warnings
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["CALLER", "Caller", "place", "warn_on_a_loop"]

_PACKAGE = str(Path(__file__).parent) + os.sep
# A warning may be an error, and the way out is never barred; nor is a collected stream anybody's call.
_WAYS_OUT = {"__exit__", "close", "destroy", "_close_stream"}
# What may stand between the user's line and ours: an ExitStack, a logger, `asyncio.wait_for`.
_BETWEEN = {"contextlib", "logging"}
# Where a thread or a task begins: nobody's call is further out.
_BEGINNINGS = {"asyncio", "concurrent", "threading"}


class Caller:
    """A thread that makes blocking calls: the frames in which it waits, the outermost first."""

    __slots__ = ("frames", "ident")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.frames: list[FrameType] = []


CALLER: ContextVar[Caller | None] = ContextVar("backendai_sdk_caller", default=None)


def place() -> tuple[FrameType, int] | None:
    """The user's frame that the code here works for, and the thread in which that is; nothing if there is none.

    What goes on after its call is over is put down to the call in which the same thread waits then, if it does.
    """
    frame = _users(sys._getframe(1)) or _users(_of_the_task())
    if frame is not None:
        return frame, threading.get_ident()
    caller = CALLER.get()
    waiting = None if caller is None else caller.frames[-1:]  # in one step: that thread may go on meanwhile
    if caller is None or not waiting:
        return None
    frame = _users(waiting[0])
    return None if frame is None else (frame, caller.ident)


def _of_the_task() -> FrameType | None:
    """The frame in which the running task began.

    An error that is thrown into an awaitable which is no coroutine passes by the frames that await it.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else getattr(task.get_coro(), "cr_frame", None)


def _users(frame: FrameType | None) -> FrameType | None:
    """The first frame outside of the package, from *frame* outwards."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            module = str(frame.f_globals.get("__name__")).partition(".")[0]
            awaits = frame.f_code.co_flags & inspect.CO_COROUTINE
            if module in _BEGINNINGS and not awaits:
                return None
            if module not in _BETWEEN | _BEGINNINGS:
                return frame
        frame = frame.f_back
    return None


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
    frame = _users(frame) or frame
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
