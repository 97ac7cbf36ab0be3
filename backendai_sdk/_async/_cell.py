"""A starting session shows itself in the notebook cell that makes it, unless somebody else watches it start.

Only where a kernel runs the code: there IPython is loaded already, so nothing is imported anywhere else.  What is
shown is the notebook extension's affair; that it cannot be shown is nobody's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backendai_sdk._log import logger

if TYPE_CHECKING:
    from backendai_sdk._async._creation import Creation
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.enums import Phase, SessionStatus
    from backendai_sdk.notebook import Phases

__all__ = ["as_shown"]

log = logger("create")

# The first ones of a cell: all of a batch would bury it.
_MOST = 10
# The cell that shows, by its number, and how many it has shown.
_shown = (0, 0)


def as_shown(creation: Creation) -> Callable[[], Coroutine[Any, Any, AsyncComputeSession]]:
    """``creation.run``, which shows itself if this is a notebook and nobody else is told of its progress."""
    if creation.on_progress is not None or creation.enqueue_only or (shell := _shell()) is None:
        return creation.run
    cell = getattr(shell, "execution_count", 0)

    async def run() -> AsyncComputeSession:
        await creation.client.open()
        if not creation.client.config.show_progress or not _has_room(cell):
            return await creation.run()
        creation.on_progress = display = _Display(creation.title)
        try:
            return await creation.run()
        except BaseException as error:
            display.fail(error)
            raise

    return run


def _shell() -> object | None:
    """The shell of the kernel in which this runs, if it does: terminals have none."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell: object = get_ipython() if callable(get_ipython) else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _has_room(cell: int) -> bool:
    global _shown  # noqa: PLW0603 - of the notebook, as its cells are
    number, count = _shown
    count = count + 1 if number == cell else 1
    _shown = (cell, count)
    return count <= _MOST


class _Display:
    """The phases in the cell; whatever goes wrong with showing them, the session starts all the same."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._phases: Phases | None = None
        self._has_shown = False
        with self._unless_broken():
            from backendai_sdk.notebook import Phases

            self._phases = Phases(title)

    def __call__(self, phase: Phase, status: SessionStatus, message: str) -> None:
        if self._phases is not None:
            with self._unless_broken():
                self._phases(phase, status, message)
                self._has_shown = True

    def fail(self, error: BaseException) -> None:
        """Say that it will not run; if nothing has been shown yet, the error says enough."""
        if self._phases is not None and self._has_shown:
            with self._unless_broken():
                self._phases.fail(error)

    @contextmanager
    def _unless_broken(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self._phases = None
            log.debug("the start of %s cannot be shown: %r", self._title, error)
