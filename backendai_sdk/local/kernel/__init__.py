"""The part of the embedded cluster that runs code: one interpreter process per session, answered like an agent does.

A `Kernel` takes the calls a manager would send to the agent of a session (execute, interrupt, complete, logs,
restart) and gives back what a real agent gives back. It assumes a POSIX system and a running asyncio event loop,
in any thread, and nothing of the rest of the package.
"""

from __future__ import annotations

from .errors import RunBusy, RunParameterError
from .kernel import Kernel
from .runtime import Runtime, find_runtime

__all__ = ["Kernel", "RunBusy", "RunParameterError", "Runtime", "find_runtime"]
