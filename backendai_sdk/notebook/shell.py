"""IPython, as far as it is used: its shell's shape, what it displays, and errors that are shown in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol
from uuid import uuid4

from backendai_sdk import BackendAIError

__all__ = ["Area", "Shell", "brief", "display"]


class Completer(Protocol):
    """The part of the shell that completes."""

    custom_matchers: list[Callable[[Any], Any]]


class Shell(Protocol):
    """IPython's shell."""

    user_ns: MutableMapping[str, object]
    Completer: Completer

    def register_magic_function(
        self, func: Callable[..., object], magic_kind: str, magic_name: str
    ) -> None: ...


def display(value: object) -> None:
    """Show a value in the cell that runs."""
    _display().display(value)


class Area:
    """A part of the cell's output that can be shown anew, in its place."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._is_shown = False

    def show(self, html: str, text: str) -> None:
        """Show *html*, or *text* where there is no HTML."""
        bundle = {"text/html": html, "text/plain": text}
        how = _display().update_display if self._is_shown else _display().display
        how(bundle, raw=True, display_id=self._id)
        self._is_shown = True


@contextmanager
def brief(interrupted: str) -> Iterator[None]:
    """Errors that come out of the block are shown as their sentence: the frames in between are not the user's.

    Args:
        interrupted: what to say of a Ctrl-C.
    """
    try:
        yield
    except (BackendAIError, KeyboardInterrupt) as error:
        said = interrupted if isinstance(error, KeyboardInterrupt) else str(error)
        name = type(error).__name__
        # What IPython asks an exception for: it is shown by that instead of by its frames.
        error._render_traceback_ = lambda: [f"{name}: {said}"]  # type: ignore[union-attr]
        raise


def _display() -> Any:
    return import_module("IPython.display")
