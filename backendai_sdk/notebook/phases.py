"""How far a session is on its way to running: shown in the cell while it is, and folded away when it runs.

What is shown is a pure function of what has been told and when; ``Phases`` shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Unpack

import attrs

from backendai_sdk import ComputeSession, Phase, Session, SessionStatus
from backendai_sdk.notebook.shell import Area, brief

if TYPE_CHECKING:
    from backendai_sdk import CreateOptions

__all__ = ["Phases", "Step", "create", "in_html", "in_text", "starting"]


@attrs.frozen
class Step:
    """What was told of a starting session, and how many seconds after it was asked for."""

    phase: Phase
    status: SessionStatus
    message: str
    at: float


class Phases:
    """Shows a starting session: ``api.create("python", on_progress=Phases())``.

    The phases that it goes through (queued, scheduled, pulling, preparing, running) come with the seconds that each
    has taken, and fold into one line once it runs.

    Args:
        title: what to call the session.
    """

    def __init__(self, title: str = "session") -> None:
        self._title = title
        self._area = Area()
        self._steps: list[Step] = []
        self._began = time.monotonic()

    def __call__(self, phase: Phase, status: SessionStatus, message: str) -> None:
        self._steps.append(Step(phase, status, message, time.monotonic() - self._began))
        self._show("")

    def fail(self, error: BaseException) -> None:
        """Say that it will not run."""
        self._show(str(error) or "it was given up")

    def _show(self, failure: str) -> None:
        took = time.monotonic() - self._began
        html = in_html(self._title, self._steps, took, failure)
        self._area.show(html, in_text(self._title, self._steps, took, failure))


def create(
    api: Session, image: str, *, name: str | None = None, **options: Unpack[CreateOptions]
) -> ComputeSession:
    """``api.create()``, shown in the cell as it goes.

    Args:
        api: the client session.
        image, name, options: as of ``Session.create``.

    Raises:
        BackendAIError: as ``Session.create``.
    """
    with brief("the session was given up"), starting(name or image) as phases:
        return api.create(image, name=name, on_progress=phases, **options)


@contextmanager
def starting(title: str) -> Iterator[Phases]:
    """A block in which a session starts: what ends it early is shown as the reason why it will not run."""
    phases = Phases(title)
    try:
        yield phases
    except BaseException as error:
        phases.fail(error)
        raise


def in_text(title: str, steps: Sequence[Step], now: float, failure: str = "") -> str:
    """One line, for where there is no HTML."""
    current = _current(steps, failure)
    told = [
        f"{phase} …" if phase == current else f"{phase} {seconds:.1f} s"
        for phase, seconds, _ in _durations(steps, now)
    ]
    if failure:
        told.append(f"failed: {failure}")
    elif _is_over(steps):
        told.append(str(steps[-1].phase))
    return f"{title}: {', '.join(told) or 'asked for'}"


def in_html(title: str, steps: Sequence[Step], now: float, failure: str = "") -> str:
    """The phases as a list that folds into its first line; open while there is something to wait for."""
    over = _is_over(steps)
    if failure:
        headline, is_open = f"failed: {failure}", True
    elif over:
        why = f": {steps[-1].message}" if steps[-1].phase == Phase.ENDED and steps[-1].message else ""
        headline = f"{steps[-1].phase} after {now:.1f} s{why}"
        is_open = steps[-1].phase != Phase.RUNNING
    else:
        headline, is_open = f"{steps[-1].phase} …" if steps else "asked for …", True
    rows = []
    current = _current(steps, failure)
    for phase, seconds, message in _durations(steps, now):
        more = f": {escape(message)}" if message else ""
        if phase == current:
            rows.append(f'<li aria-current="step">{escape(phase)}{more}</li>')
        else:
            rows.append(f"<li>{escape(phase)} ({seconds:.1f} s){more}</li>")
    listed = f"<ol>{''.join(rows)}</ol>" if rows else ""
    opened = " open" if is_open else ""
    return (
        f'<details{opened}><summary role="status"><b>{escape(title)}</b>: {escape(headline)}</summary>'
        f"{listed}</details>"
    )


def _is_over(steps: Sequence[Step]) -> bool:
    return bool(steps) and steps[-1].phase in {Phase.RUNNING, Phase.ENDED}


def _current(steps: Sequence[Step], failure: str) -> Phase | None:
    """The phase that goes on; how long it takes is not told: nothing comes that would renew the number."""
    return None if failure or _is_over(steps) or not steps else steps[-1].phase


def _durations(steps: Sequence[Step], now: float) -> list[tuple[Phase, float, str]]:
    """The phases on the way in the order of their first time, each with all its seconds and its last message."""
    found: dict[Phase, tuple[float, str]] = {}
    ends = [step.at for step in steps[1:]] + [now]
    for step, end in zip(steps, ends, strict=False):
        if step.phase in {Phase.RUNNING, Phase.ENDED}:
            continue
        seconds, message = found.get(step.phase, (0.0, ""))
        found[step.phase] = (seconds + end - step.at, step.message or message)
    return [(phase, seconds, message) for phase, (seconds, message) in found.items()]
