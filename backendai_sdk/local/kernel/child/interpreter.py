"""The interpreter of a session: takes one command after the other from the side line and runs the user's code.

State lives in the `__main__` module between commands. Ctrl-C ends the code that runs, never the interpreter.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import linecache
import os
import re
import rlcompleter
import signal
import sys
import types
from typing import TYPE_CHECKING, Any, NoReturn

from . import asking, figures, lines, rich, streams, tracebacks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_MAX_MATCHES = 1000


class Interpreter:
    """The user's namespace and what runs code in it."""

    def __init__(self, commands: asking.Line, requests: asking.Line) -> None:
        # Two lines: a thread that waits for a reply must not get hold of the next command.
        self._commands = commands
        self._requests = requests
        self._pid = os.getpid()
        self._out, self._err = streams.install()
        self._cells: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main = types.ModuleType("__main__")
        self._main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = self._main
        sys.argv = [""]
        sys.path.insert(0, "")
        setattr(builtins, "display", self.display)  # noqa: B010 - no type checker knows it
        figures.install(self.display)

    def serve(self) -> NoReturn:
        """Takes commands until the other side hangs up."""
        _ignore_interrupts()
        self._commands.send(op="ready")
        commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "run": self._run,
            "complete": self._complete,
        }
        while (frame := self._commands.receive()) is not None:
            answer = commands[frame["op"]](frame)
            self._commands.send(op="answer", id=frame["id"], **answer)
        # The cluster is gone. So is everything that this session has started.
        os.killpg(0, signal.SIGKILL)
        raise SystemExit(0)

    def display(self, *values: object) -> None:
        """Shows values as a notebook would."""
        for value in values:
            self._show(value, end="\n")

    def _show(self, value: object, end: str) -> None:
        for kind, data in rich.records(value):
            if kind == "stdout":
                print(data, end=end)  # noqa: T201
            elif self._requests.usable:
                self._requests.request("show", kind=kind, data=data)

    def _run(self, frame: dict[str, Any]) -> dict[str, Any]:
        number = len(self._cells) + 1
        file = f"<cell {number}>"
        self._cells[file] = number
        code = str(frame["code"])
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        error: BaseException | None = None
        try:
            try:
                signal.signal(signal.SIGINT, self._interrupted)
                self._commands.send(op="begun")
                try:
                    self._evaluate(code, file)
                finally:
                    figures.show_open()
            finally:
                _ignore_interrupts()
        except BaseException as raised:  # noqa: BLE001 - whatever user code raises is its result
            error = raised
        # A Ctrl-C between the end of the code and the line that turns it off has come too late to be seen there.
        _ignore_interrupts()
        self._flush()
        if os.getpid() != self._pid:
            os._exit(0)  # the code has forked, and this is the copy: there is one interpreter
        if error is not None:
            self._report(error)
        return {"exit_code": 0 if error is None else tracebacks.exit_code(error)}

    def _interrupted(self, number: int, frame: types.FrameType | None) -> None:
        # A signal that comes just before a system call does not end it, and nobody would know: so the other side
        # is told of each that has arrived, and sends one again that has not.
        if os.getpid() == self._pid:
            self._commands.send(op="interrupted")
        signal.default_int_handler(number, frame)

    def _evaluate(self, code: str, file: str) -> None:
        tree = self._compile(code, file, "exec", ast.PyCF_ONLY_AST)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            self._execute(self._compile(tree, file, "exec"))
        if last is not None:
            value = self._execute(self._compile(ast.Expression(last.value), file, "eval"))
            if value is not None and not code.rstrip().endswith(";"):
                self._main.__dict__["_"] = value
                self._show(value, end="")

    @staticmethod
    def _compile(source: Any, file: str, mode: str, flags: int = 0) -> Any:
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        return compile(source, file, mode, flags, dont_inherit=True)

    def _execute(self, code: types.CodeType) -> Any:
        result = eval(code, self._main.__dict__)  # noqa: S307 - to run the user's code is the purpose
        return self._wait_for(result) if code.co_flags & inspect.CO_COROUTINE else result

    def _wait_for(self, coroutine: Any) -> Any:
        """Runs code with `await` at its top level, on a loop that lives as long as the interpreter."""
        import asyncio

        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(task)
            raise

    def _report(self, error: BaseException) -> None:
        try:
            if isinstance(error, SystemExit):
                text = tracebacks.exit_notice(error)
            else:
                text = tracebacks.render(error, self._cells)
        except BaseException as failure:  # noqa: BLE001 - out of memory, or an exception class that cannot be read
            text = f"{type(error).__name__} (no traceback: {type(failure).__name__})"
        self._err.write(text)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            with contextlib.suppress(Exception):  # streams that user code has put there
                stream.flush()

    def _complete(self, frame: dict[str, Any]) -> dict[str, Any]:
        options = frame["options"]
        lines = str(frame["code"]).split("\n")
        row, column = options.get("row"), options.get("col")
        line = lines[row] if isinstance(row, int) and 0 <= row < len(lines) else lines[-1]
        if isinstance(column, int) and column >= 0:
            line = line[:column]
        word = re.search(r"[\w.]*$", line)
        text = word[0] if word else ""
        completer = rlcompleter.Completer(self._main.__dict__)
        matches: set[str] = set()
        try:
            # Not asked without a word: rlcompleter then proposes an indent.
            for state in range(_MAX_MATCHES if text else 0):
                match = completer.complete(text, state)
                if match is None:
                    break
                matches.add(match.rstrip("( ):"))
        except Exception:  # noqa: BLE001 - an attribute of the user's
            matches.clear()
        return {"matches": sorted(matches)}


def _ignore_interrupts() -> None:
    # A function and not SIG_IGN, which programs started meanwhile would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)


def main(memory_limit: str) -> NoReturn:
    """Sets the process up as a session's interpreter and serves."""
    requests = int(os.environ.pop("_BACKENDAI_CHANNEL"))
    os.set_inheritable(requests, False)
    commands = lines.take_commands()
    lines.limit_memory(int(memory_limit))
    Interpreter(asking.Line(commands), asking.install(requests)).serve()
