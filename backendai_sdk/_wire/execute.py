"""A run of code as a state machine without I/O (PROTOCOL §4.1, §4.2): what answers come to, and what is due next.

The answers are the same over both transports; how they are asked for is in ``run_requests`` (REST) and in
``run_frames`` (WebSocket).  The machine is strict about their order: an answer that the protocol does not allow
at that point is a ``WireError``, because whatever was taken for the run's end after it might not be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backendai_sdk._wire.batch import BatchSteps, ResumedSteps
from backendai_sdk._wire.console import read_console
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import StreamInterrupted, WireError
from backendai_sdk.models.run import Finished, InputRequest, RunItem, StepFinished

__all__ = ["Next", "RunMachine"]

_STEPS = ("clean", "build")


class Next(Enum):
    """What a run needs next."""

    POLL = "poll"
    INPUT = "input"
    NOTHING = "nothing"


class RunMachine:
    """One run of code, from its first answer to ``finished``.

    Give each answer to :meth:`receive`, and ask for more or send input as :attr:`next` says, until it is
    ``NOTHING``.

    Attributes:
        next: what is due.
        status: the server's last word.
        exit_code: once the run is over.
        steps: exit codes by step of a batch run.
        owed: nothing of the run's own is under way, as far as can be told: the server should answer more than
            an empty ``continued``.  Only ever true of batch runs, whose end some servers never tell.
    """

    def __init__(self, *, batch: BatchSteps | None = None) -> None:
        self.next = Next.POLL
        self.status = ""
        self.exit_code: int | None = None
        self.steps: dict[str, int | None] = {}
        self._batch = batch
        self._told = 0  # how many of _STEPS the server has told the end of

    @property
    def owed(self) -> bool:
        return self._batch is not None and self.next is Next.POLL and not self._batch.busy(self._told)

    @property
    def begun(self) -> bool:
        """Whether the run may be interrupted: the end of one that has not begun could be lost."""
        return self._batch is None or self._batch.begun

    def receive(self, result: Mapping[str, object]) -> list[RunItem]:
        """Take in one answer; the items that it carries, in order.

        Raises:
            WireError: the answer is none that may come here.
            StreamInterrupted: the server does not know the run any more.
        """
        said = result.get("status")
        status = said[:200] if isinstance(said, str) else excerpt(said)
        if self.next is Next.NOTHING:
            raise WireError(f"the server answered {status!r} after the end of the execution")
        if status == "finished":
            self._refuse_lost(result)
        items = read_console(result.get("console"))
        exit_code = result.get("exitCode")
        code = exit_code if isinstance(exit_code, int) else None
        match status:
            case "continued":
                self.next = Next.POLL
            case "waiting-input":
                options = result.get("options")
                items.append(InputRequest(bool(isinstance(options, Mapping) and options.get("is_password"))))
                self.next = Next.INPUT
            case "clean-finished" | "build-finished":
                items.append(self._step(status.removesuffix("-finished"), code))
                self.next = Next.POLL
            case "finished" | "exec-timeout":
                self.exit_code = code
                items.append(Finished(code))
                self.next = Next.NOTHING
            case _:
                raise WireError(f"the server answered an execution with the unknown status {status[:100]!r}")
        self.status = status
        if self._batch is not None:
            items = self._batch.read(items)
            self.steps |= {item.step: item.exit_code for item in items if isinstance(item, StepFinished)}
            # A run that somebody else has begun may turn out to have no steps.
            if self.next is Next.NOTHING and (self.steps or not isinstance(self._batch, ResumedSteps)):
                self.steps["exec"] = self.exit_code
        return items

    def _step(self, step: str, code: int | None) -> StepFinished:
        if self._batch is None:
            raise WireError(f"the server told of the end of the step {step!r} in a run that has no steps")
        number = _STEPS.index(step)
        if number < self._told:
            raise WireError(f"the server told of the end of the step {step!r} out of its order")
        self._told = number + 1
        return StepFinished(step, code)

    @staticmethod
    def _refuse_lost(result: Mapping[str, object]) -> None:
        # What managers make up when an agent knows nothing of the run; real ends have null options (PROTOCOL §4.1).
        match result:
            case {"status": "finished", "exitCode": 130, "options": {**options}, "console": [] | None} if (
                not options
            ):
                raise StreamInterrupted(
                    "the server does not know the run any more (the session was restarted, or its end was read by "
                    "somebody else): what it still wrote is lost"
                )
