"""A run, read to its end: output handed on, input answered, time bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from backendai_sdk._async._shapes import maybe_await
from backendai_sdk._deadline import clamp
from backendai_sdk._wire.limits import more_time
from backendai_sdk.errors import ExecutionTimeout, InvalidArgument, UsageError
from backendai_sdk.models.run import ExecutionResult, InputRequest, RunItem, Stdout

if TYPE_CHECKING:
    from backendai_sdk._async.run import AsyncRun
    from backendai_sdk.models.callbacks import InputCallback, OutputCallback

__all__ = ["collect"]


async def collect(
    run: AsyncRun,
    *,
    timeout: float | None,
    on_output: OutputCallback | None,
    stdin: str | Iterable[str] | InputCallback | None,
    check: bool,
) -> ExecutionResult:
    """Read *run* to its end.

    Raises:
        ExecutionTimeout: the time ran out; leaving the run has interrupted the code.
        InvalidArgument: *timeout* is no time.
        UsageError: the code asks for input and there is none.
    """
    answers = _Answers(stdin)
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise InvalidArgument(f"timeout: {timeout!r} is not a number of seconds above 0", argument="timeout")
    limit: asyncio.Timeout | None = None
    try:
        if (
            seconds := clamp(timeout)
        ) is None:  # most often; asyncio.timeout(None) would cost as much as an item
            await _read(run, on_output, answers)
        else:
            async with asyncio.timeout(seconds) as limit:
                await _read(run, on_output, answers)
    except TimeoutError:
        if limit is None or not limit.expired():
            raise
        clamp(None)  # says so if it was an enclosing deadline() that ran out
        what = "the code did not end" if run._entered else "earlier runs in this session did not end"
        raise ExecutionTimeout(
            f"{what} within {timeout:g} s (timeout= or timeouts.run)"
            + (" and was interrupted" if run._entered else "; this one was not begun")
            + f"; {more_time('timeouts.run')}, or the call timeout=",
            outputs=[*run._outputs, *run.unread],
            session_id=run._session.id,
            session_name=run._session.name,
        ) from None
    result = run.result()
    return result.check() if check else result


async def _read(run: AsyncRun, on_output: OutputCallback | None, answers: _Answers) -> None:
    async with run:
        async for item in run:
            if on_output is not None:
                await maybe_await(on_output(item))
            if isinstance(item, InputRequest):
                await run.send_input(await answers.next(_prompt(run._outputs)))


class _Answers:
    """Lines for ``input()``, out of whatever ``stdin=`` was."""

    def __init__(self, stdin: str | Iterable[str] | InputCallback | None) -> None:
        self._ask: InputCallback | None = None
        self._lines: Iterator[str] | None = None
        if isinstance(stdin, str):
            self._lines = iter(stdin.splitlines())
        elif isinstance(stdin, Callable):  # type: ignore[arg-type]
            self._ask = stdin  # type: ignore[assignment]
        elif isinstance(stdin, Iterable):
            self._lines = iter(stdin)
        elif stdin is not None:
            raise InvalidArgument(
                f"stdin: {type(stdin).__name__} is neither text, lines, nor a function from prompt to line",
                argument="stdin",
            )

    async def next(self, prompt: str) -> str:
        """The next line."""
        if self._ask is not None:
            return await maybe_await(self._ask(prompt))
        line = next(self._lines, None) if self._lines is not None else None
        if line is None:
            raise UsageError(
                f"the code asks for input ({prompt!r}) and there is none (left): pass stdin= to execute(), or use "
                "stream_execute() and send_input()"
            )
        return line


def _prompt(outputs: list[RunItem]) -> str:
    """What ``input()`` has printed: the unended line of standard output since the last answer."""
    text = ""
    for item in reversed(outputs[:-1]):
        if isinstance(item, InputRequest):
            break
        if isinstance(item, Stdout):
            text = item.text + text
    return text.rpartition("\n")[2]
