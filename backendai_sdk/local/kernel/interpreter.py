"""The interpreter process of a session, as the kernel sees it: one command at a time, each with one answer.

The other side is `child/interpreter.py`, or the driver of another program there. While a command runs, its output comes through the pipes of the process and
its requests (input, rich output) go to the kernel.
"""

from __future__ import annotations

import asyncio
import signal
from itertools import count
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .program import Program


class Interpreter:
    """A living interpreter. Its program is owned, and ended, by the kernel."""

    def __init__(self, insist: Sequence[float]) -> None:
        self._insist_after = insist
        self._program: Program | None = None
        self._numbers = count(1)
        self._current = 0
        self._answer: asyncio.Future[dict[str, Any] | None] | None = None
        self._running = False
        self._interrupted = False
        self._heard = asyncio.Event()
        self._insisting: asyncio.Task[None] | None = None
        self._gone = False

    @classmethod
    async def start(
        cls,
        spawn: Callable[[list[str], Callable[[dict[str, Any]], None]], Awaitable[Program]],
        argv: list[str],
        *,
        insist: Sequence[float],
    ) -> Self:
        """Starts the process and waits until it takes commands. OSError if it does not come up.

        `insist` is how long the code may take to notice an interrupt before it is sent again, in seconds, each time.
        """
        self = cls(insist)
        ready = self._answer = asyncio.get_running_loop().create_future()
        self._program = program = await spawn(argv, self._receive)
        try:
            if await self._outcome(ready) is None:
                raise OSError(f"the interpreter did not start (exit code {await program.wait()})")
        except BaseException:
            program.kill()
            raise
        return self

    def check(self) -> bool:
        """Whether it can take commands. One that died just now is seen by its line, before it is collected."""
        if self._program is None:
            return False
        self._program.listen()
        if self._gone:
            self._program.kill()
        return self._program.alive and not self._gone

    async def call(self, op: str, **arguments: Any) -> dict[str, Any] | None:
        """Has one command done and returns its answer, or None if the interpreter died of it."""
        program = self._program
        if program is None:
            return None
        self._current = next(self._numbers)
        self._interrupted = False
        self._running = False
        answer = self._answer = asyncio.get_running_loop().create_future()
        await program.command({"op": op, "id": self._current, **arguments})
        return await self._outcome(answer)

    def interrupt(self) -> None:
        """Ctrl-C for the command that runs now; nothing happens if none does."""
        if self._answer is None or self._answer.done() or self._program is None:
            return
        if self._running:
            self._signal(self._program)
        else:
            self._interrupted = True  # it has not begun: the signal would hit the interpreter, not the code

    def _signal(self, program: Program) -> None:
        """Sends the signal, and again if the code does not notice: one that comes just before a system call is late."""
        self._heard.clear()
        program.signal(signal.SIGINT)
        if self._insisting is None or self._insisting.done():
            self._insisting = asyncio.create_task(self._insist(program))

    async def _insist(self, program: Program) -> None:
        for pause in self._insist_after:
            try:
                async with asyncio.timeout(pause):
                    await self._heard.wait()
                return
            except TimeoutError:
                program.signal(signal.SIGINT)

    async def died(self) -> int:
        """The exit code of an interpreter that is gone, or out of hand (then it is killed)."""
        assert self._program is not None  # noqa: S101 - only called after a command
        self._program.kill()
        return await self._program.wait()

    async def _outcome(self, answer: asyncio.Future[dict[str, Any] | None]) -> dict[str, Any] | None:
        assert self._program is not None  # noqa: S101 - set before anything is asked
        death = asyncio.create_task(self._program.wait())
        try:
            both: set[asyncio.Future[Any]] = {answer, death}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self._program.catch_up()
            return answer.result() if answer.done() else None
        finally:
            self._answer = None
            over = [task for task in (death, self._insisting) if task is not None and not task.done()]
            for task in over:
                task.cancel()
            if over:
                await asyncio.wait(over)

    def _receive(self, frame: dict[str, Any]) -> None:
        program, answer = self._program, self._answer
        op = frame.get("op")
        if op in {"ready", "hangup"}:
            self._gone = op == "hangup"
            if answer is not None and not answer.done():
                answer.set_result(frame if op == "ready" else None)
        elif program is None:
            return
        elif op == "begun":
            self._running = True
            if self._interrupted:
                self._signal(program)
        elif op == "interrupted":
            self._heard.set()
        elif op == "answer":
            program.drain(final=True)
            self._gone = self._gone or frame.get("last") is True  # the code has ended its interpreter
            if frame.get("id") == self._current and answer is not None and not answer.done():
                self._running = False
                answer.set_result(frame)
