"""The steps of a batch run, as every release can run them (PROTOCOL §4.1, SEEN "batch loses what ends too fast").

Steps travel as one command that tells of each beginning and end by marks in its output, which are taken out here.
That has two reasons.  Agents of some releases drop what a step writes, its end included, until the next call is
attached; a run whose step ends fast then never ends, and blocks the session.  And agents interrupt one process only,
the shell, which puts that off until its child ends: here a shell stands outside, and hands interrupts on to all.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterable, Mapping

from backendai_sdk.errors import NotSupported
from backendai_sdk.models.run import Finished, InputRequest, RunItem, Stdout, StepFinished

__all__ = ["BatchSteps", "OneCommand", "ResumedSteps", "startup", "steps_for"]

# Longer than it takes until the next call is attached.
_HEAD_START = "sleep 1"
_MARK = "\x1e"
# Only with job control is what runs a process group of its own, and only bash has that without a terminal.
_OUTSIDE = """\
job= hit=
set -m
trap 'hit=1; [ -z "$job" ] || kill -INT -- -$job 2>/dev/null' INT
trap '[ -z "$job" ] || kill -KILL -- -$job 2>/dev/null; exit 143' HUP IO TERM
sh -c "$1" <&0 & job=$!; set +m
[ -z "$hit" ] || kill -INT -- -$job 2>/dev/null
wait $job; code=$?
while [ $code -gt 128 ] && kill -0 $job 2>/dev/null; do wait $job; code=$?; done
exit $code"""


class BatchSteps:
    """Steps as servers know them: one command each."""

    def __init__(self, clean: str | None, build: str | None, exec: str | None) -> None:
        self.options: Mapping[str, str | None] = {"clean": clean, "build": build, "exec": exec}

    @property
    def begun(self) -> bool:
        """Whether the end of the run will be heard, if it comes now: if not, it must not be interrupted yet."""
        return True

    def read(self, items: Iterable[RunItem]) -> list[RunItem]:
        """The items as they are."""
        return list(items)

    def busy(self, told: int) -> bool:
        """Whether a command may be under way when the server has told of *told* ends; silence is no fault then."""
        return any(list(self.options.values())[told:])


class OneCommand(BatchSteps):
    """All steps in one command.

    Args:
        clean, build, exec: as of ``execute_batch``; not ``"*"``, which only the server can translate.
        head_start: begin slowly, for servers that lose what comes at once.
    """

    def __init__(
        self, clean: str | None, build: str | None, exec: str | None, *, head_start: bool = False
    ) -> None:
        self._token = secrets.token_hex(8)
        self._rest = ""
        self._form = _form(self._token)
        self._last = "exec" if exec else "build"
        self._busy = False
        self._begun = not head_start
        steps = [
            f"code=0; {self._mark('begin')}",
            self._step("clean", clean),
            f"{self._step('build', build)}; [ $code -eq 0 ] || exit 127",
        ]
        if exec:
            steps.append(f"{self._step('exec', exec)}; exit $code")
        inside, outside = shlex.quote("\n".join(steps)), shlex.quote(_OUTSIDE)
        lines = [
            *([_HEAD_START] if head_start else []),
            f"command -v bash >/dev/null 2>&1 && exec bash -c {outside} bash {inside}",
            f"exec sh -c {inside}",
        ]
        super().__init__(None, None, "\n".join(lines))

    @property
    def begun(self) -> bool:
        """Whether a mark was heard: what is interrupted in its head start ends at once, and that end is lost."""
        return self._begun

    def read(self, items: Iterable[RunItem]) -> list[RunItem]:
        """Take the marks out of the output and put the steps' ends in their place."""
        found: list[RunItem] = []
        for item in items:
            match item:
                case StepFinished():
                    pass  # the server's own, of steps that it was told to skip
                case Stdout(text):
                    found += self._split(text)
                case InputRequest() | Finished() if self._rest:
                    # No mark can go on from here: what looked like the beginning of one was the program's own.
                    found += [Stdout(self._rest), item]
                    self._rest = ""
                case _:
                    found.append(item)
        return found

    def busy(self, told: int) -> bool:  # noqa: ARG002 - the marks tell it, not the server
        """Whether a command may be under way, by the marks: a beginning that was lost is a fault."""
        return self._busy

    def _step(self, name: str, command: str | None) -> str:
        run = f"sh -c {shlex.quote(command)}" if command else "true"
        return f"{run}; code=$?; {self._mark(name)}"

    def _mark(self, name: str) -> str:
        return f"printf '\\036{self._token} {name} %d\\036' $code"

    def _split(self, text: str) -> Iterable[RunItem]:
        text, self._rest = self._rest + text, ""
        before = 0
        for mark in self._form.finditer(text):
            if mark.start() > before:
                yield Stdout(text[before : mark.start()])
            before = mark.end()
            self._begun = True
            step, code = mark[1], int(mark[2])
            self._busy = step != self._last and not (step == "build" and code)
            if step in {"clean", "build"}:
                yield StepFinished(step, code)
        text = text[before:]
        # A mark may be cut between two answers: its beginning waits for the rest.
        cut = text.rfind(_MARK)
        if cut >= 0 and self._begins_mark(text[cut:]):
            text, self._rest = text[:cut], text[cut:]
        if text:
            yield Stdout(text)

    def _begins_mark(self, text: str) -> bool:
        return f"{_MARK}{self._token} ".startswith(text[: len(self._token) + 2])


class ResumedSteps(OneCommand):
    """The steps of a run that somebody else began, if it has any: what marks it has shows when they come."""

    def __init__(self) -> None:
        super().__init__(None, None, None)
        self._form = _form(rf"[0-9a-f]{{{len(self._token)}}}")
        self.marked = False

    def read(self, items: Iterable[RunItem]) -> list[RunItem]:
        """Take the marks out; before there are any, ends of steps are the server's to tell."""
        found: list[RunItem] = []
        for item in items:
            told_by_server = isinstance(item, StepFinished) and not self.marked
            found += [item] if told_by_server else super().read([item])
        return found

    def busy(self, told: int) -> bool:  # noqa: ARG002 - its command is not known
        """It may always be."""
        return True

    def _split(self, text: str) -> Iterable[RunItem]:
        self.marked = self.marked or bool(self._form.search(self._rest + text))
        return super()._split(text)

    def _begins_mark(self, text: str) -> bool:
        return bool(re.fullmatch(rf"{_MARK}[0-9a-f]{{0,{len(self._token)}}}( [a-z]*( \d*)?)?", text))


def _form(token: str) -> re.Pattern[str]:
    return re.compile(rf"{_MARK}{token} (begin|clean|build|exec) (\d+){_MARK}")


def startup(command: str, *, loses: bool) -> str:
    """The command of a batch session, for a server that *loses* what comes at once or does not.

    The agent runs it as a batch step of its own, and asks for its end just as a client does: the end of a command
    that is over too fast is lost on it, too, and the session runs for ever (seen on 26.9.6, on a busy machine).
    """
    return f"{_HEAD_START}\n{command}" if loses and command.strip() != "*" else command


def steps_for(clean: str | None, build: str | None, exec: str | None, *, loses: bool) -> BatchSteps:
    """The steps, for a server that *loses* what comes at once or does not.

    Raises:
        NotSupported: a step is ``"*"``, and the server would lose its end.
    """
    stars = [name for name, command in (("clean", clean), ("build", build), ("exec", exec)) if command == "*"]
    if not stars:
        return OneCommand(clean, build, exec, head_start=loses)
    if loses:
        raise NotSupported(
            f"{stars[0]}='*' would never end on this server, whose agents lose what fast steps write: "
            "write the command out"
        )
    return BatchSteps(clean, build, exec)
