"""What a run of code writes, item by item, and the result when it is over (PROTOCOL §4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias, cast

import attrs

from backendai_sdk.errors import ExecutionFailed
from backendai_sdk.models._display import (
    Bundle,
    bundle_of_item,
    bundle_of_result,
    chosen,
    renderables,
)

__all__ = [
    "ExecutionResult",
    "Finished",
    "Html",
    "InputRequest",
    "Log",
    "Media",
    "RemoteError",
    "RunItem",
    "RunTransport",
    "Stderr",
    "Stdout",
    "StepFinished",
]


class _Shown:
    """An output that shows itself in a notebook."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        return chosen(bundle_of_item(cast("RunItem", self)), include, exclude)


@attrs.frozen
class Stdout(_Shown):
    """Text that the code wrote to its standard output."""

    text: str


@attrs.frozen
class Stderr(_Shown):
    """Text that the code wrote to its standard error; tracebacks come here, with ANSI colours."""

    text: str


@attrs.frozen
class Media(_Shown):
    """A picture or another rich value: its MIME type and its bytes."""

    mime: str
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen
class Html(_Shown):
    """A piece of HTML that the code displayed."""

    text: str


@attrs.frozen
class Log(_Shown):
    """A record that the runtime logged, or console output of a kind that this SDK does not know."""

    text: str


@attrs.frozen
class InputRequest:
    """The code waits for a line of input; answer with ``send_input()``. The prompt came as ``Stdout``."""

    is_password: bool = False


@attrs.frozen
class StepFinished:
    """A step of a batch run is over: ``"clean"`` or ``"build"``."""

    step: str
    exit_code: int | None


@attrs.frozen
class Finished:
    """The run is over. In query mode servers answer 0 even after an exception: see ``error``."""

    exit_code: int | None


RunTransport: TypeAlias = Literal["rest", "websocket"]
"""How the answers of a run come: polled for over REST, or by themselves over a WebSocket."""

RunItem: TypeAlias = Stdout | Stderr | Media | Html | Log | InputRequest | StepFinished | Finished


@attrs.frozen
class RemoteError:
    """The exception that ended the code, as read off its traceback.

    Attributes:
        name: the exception's class, for example ``"ZeroDivisionError"``.
        message: its text.
        traceback: the whole traceback, with ANSI colours.
    """

    name: str
    message: str
    traceback: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ExecutionResult:
    """A run of code that is over; one that is not is never returned.

    As the last value of a notebook cell it shows text, colours and pictures; ``rich.print`` shows it in a terminal.

    Attributes:
        status: the server's word: ``"finished"``.
        exit_code: of the last step of a batch run; in query mode servers say 0 even after an exception.
        error: the exception that ended the code, or ``None``.
        outputs: everything that was written, in order.
        steps: exit codes by step of a batch run.
        run_id, session_id: which run.
    """

    status: str
    exit_code: int | None
    outputs: tuple[RunItem, ...] = ()
    error: RemoteError | None = None
    run_id: str = ""
    session_id: str = ""
    steps: Mapping[str, int | None] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Always true: a run that was cut short raises instead of returning."""
        return True

    @property
    def ok(self) -> bool:
        """Exit code 0 and no uncaught exception."""
        return self.exit_code == 0 and self.error is None

    @property
    def stdout(self) -> str:
        """All text written to standard output."""
        return "".join(item.text for item in self.outputs if isinstance(item, Stdout))

    @property
    def stderr(self) -> str:
        """All text written to standard error, tracebacks included."""
        return "".join(item.text for item in self.outputs if isinstance(item, Stderr))

    def check(self) -> ExecutionResult:
        """Return the result itself, or raise ``ExecutionFailed`` if the code failed."""
        if self.ok:
            return self
        what = (
            f"{self.error.name}: {self.error.message}" if self.error else f"it exited with {self.exit_code}"
        )
        raise ExecutionFailed(f"the code failed: {what}", result=self, session_id=self.session_id)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        return chosen(bundle_of_result(self), include, exclude)

    def __rich_console__(self, console: object, options: object) -> Iterator[object]:
        return renderables(self)
