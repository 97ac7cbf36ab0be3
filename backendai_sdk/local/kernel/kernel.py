"""A session's container, seen from its agent: it runs code, answers execute calls, and can be stopped at any time.

The rules are those of Backend.AI's agents, read off real servers: one run at a time, output queued per run until it is
fetched, a run ended only when its `finished` was fetched. So a caller who walks away from an unfinished run blocks
the session for others, here as there.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import batch
from . import environ as environ_module
from . import program as program_module
from .clock import RealClock
from .errors import RunBusy, RunParameterError
from .interpreter import Interpreter
from .log import Log
from .program import Program
from .run import Run, nothing
from .runtime import Runtime

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from .clock import Clock

# How long the next call takes to attach, on releases that lose what comes meanwhile: about a trip through a manager.
ATTACH_LATENCY = 0.25
STEPS = ("clean", "build", "exec")
NO_RUNTIME = 127
TASK_TIMEOUT = -2
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class Kernel:
    """The programs of one session.

    `exceptions_fail`: a run of Python that ends with an exception reports its exit code, as on 26.9; else always 0, as on
    23.09. Other programs always tell it: real kernels run them as commands.
    """

    def __init__(
        self,
        *,
        work_dir: Path,
        environ: Mapping[str, str] = _NO_VARIABLES,
        memory_limit: int | None = None,
        runtime: Runtime = Runtime(),  # noqa: B008 - a frozen value
        drop_output_between_steps: bool = False,
        agent_timeout: float = 30.0,
        exceptions_fail: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._clock: Clock = clock or RealClock()
        self._work_dir = work_dir
        self._environ = dict(environ)
        self._memory_limit = memory_limit
        self._runtime = runtime
        self._drops = drop_output_between_steps
        self._agent_timeout = agent_timeout
        self._tells_exit_code = exceptions_fail or runtime.kind != "python"
        self._log = Log()
        self._token = uuid.uuid4().hex
        self._bin: tuple[Path, tempfile.TemporaryDirectory[str] | None] | None = None
        self._programs: set[Program] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._interpreter: Interpreter | None = None
        self._starting = asyncio.Lock()
        # Closed while programs are being ended: what begins meanwhile must not be ended with them.
        self._gate = asyncio.Lock()
        self._command: Program | None = None
        self._run: Run | None = None
        # Held by the current run from its first call until its `finished` is fetched.
        self._turn = asyncio.Lock()
        self._question: tuple[Program, Any] | None = None
        self._paused = False
        self._closed = False
        self._last_used = self._clock.monotonic()

    # --- execute -------------------------------------------------------------------------------------------------

    async def execute(
        self,
        run_id: str | None,
        mode: str,
        code: str,
        options: Mapping[str, Any] | None,
        *,
        flush_timeout: float = 2.0,
    ) -> dict[str, Any]:
        """Answers one execute call: begins a run (query, batch) or goes on with one (continue, input)."""
        self._last_used = self._clock.monotonic()
        try:
            if mode in {"continue", "input"}:
                if run_id is None:
                    raise RunParameterError("continuation requires explicit run ID")
                run = self._run
                if run is None or run.id != run_id:
                    return nothing(run_id)
                if mode == "input":
                    await self._reply(code)
            elif mode in {"query", "batch"}:
                run_id = uuid.uuid4().hex if run_id is None else run_id
                work = (
                    (lambda: self._query(code)) if mode == "query" else (lambda: self._batch(options or {}))
                )
                run = await self._begin(run_id, work)
                if run is None:
                    return nothing(run_id)
            else:
                raise RunParameterError("mode has an invalid value.")
            return await self._collect(run, flush_timeout)
        finally:
            self._last_used = self._clock.monotonic()

    async def _begin(self, run_id: str, work: Callable[[], Coroutine[Any, Any, int]]) -> Run | None:
        try:
            async with asyncio.timeout(self._agent_timeout):
                await self._turn.acquire()
        except TimeoutError:
            raise RunBusy(f"another run is unfinished for {self._agent_timeout:g} seconds") from None
        if self._closed:
            self._turn.release()
            return None
        run = self._run = Run(run_id)
        self._own(self._drive(run, work))
        return run

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, run: Run, work: Callable[[], Coroutine[Any, Any, int]]) -> None:
        code = NO_RUNTIME
        try:
            code = await work()
        except OSError as error:
            self._emit("stderr", f"{str(error) or type(error).__name__}\n")
        finally:
            self._last_used = self._clock.monotonic()
            run.post("finished", code)
            question, self._question = self._question, None
            if question is not None:
                # A thread that the program has left behind: it reads the end of its input.
                self._own(question[0].reply(question[1], text=None))

    async def _collect(self, run: Run, flush_timeout: float) -> dict[str, Any]:
        async with run.reading:
            if run.detached:
                await asyncio.sleep(ATTACH_LATENCY)
                run.detached = False
            if self._run is run:
                await run.settle(flush_timeout)
            # From here to the return nothing is awaited: what is taken out is given to the caller.
            if self._run is not run and run.empty:
                return nothing(run.id)  # another call has fetched the end
            result = run.take()
            status = result["status"]
            if status == "finished" and self._run is run:
                self._run = None
                self._turn.release()
            elif self._drops and status in {"clean-finished", "build-finished"}:
                run.detach()
            if self._paused and not run.full:
                self._paused = False
                for program in self._programs:
                    program.resume()
            return result

    # --- what runs -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the interpreter, if none runs."""
        await self._ready()

    async def _ready(self) -> Interpreter:
        async with self._starting:
            if self._interpreter is None or not self._interpreter.check():
                self._interpreter = None
                async with asyncio.timeout(self._agent_timeout):
                    self._interpreter = await Interpreter.start(
                        lambda argv, on_answer: self._spawn(argv, self._emit, on_answer),
                        self._runtime.argv(self._memory_limit),
                        insist=self._runtime.insist,
                    )
            return self._interpreter

    async def _query(self, code: str) -> int:
        interpreter = await self._ready()
        answer = await interpreter.call("run", code=code)
        if answer is not None:
            return int(answer["exit_code"]) if self._tells_exit_code else 0
        exit_code = await interpreter.died()
        self._forget()
        self._emit(
            "stderr",
            f"The interpreter died (exit code {exit_code}). Its state is lost; the next run starts anew.\n",
        )
        return exit_code or 1

    async def _batch(self, options: Mapping[str, Any]) -> int:
        exit_code = 0
        for name in STEPS:
            if name == "exec" and exit_code != 0:
                return batch.BUILD_FAILED
            step = batch.resolve(name, options.get(name), self._work_dir, self._runtime.kind)
            if step.notice:
                self._emit("stderr", step.notice)
            exit_code = step.exit_code
            if step.command is not None:
                exit_code = await self._shell(step.command, self._emit)
            if name != "exec" and self._run is not None:
                self._run.post(f"{name}-finished", exit_code)
        return exit_code

    async def run_command(self, command: str, *, timeout: float | None = None) -> int:
        """Runs the command of a batch session and returns its exit code, -2 if it ran out of time.

        It holds the session's turn, as the run `batch-job` of an agent does; its output goes to the log.
        """
        async with self._turn:
            try:
                async with self._clock.timeout(timeout):
                    return await self._shell(command, lambda _, text: self._log.write(text))
            except TimeoutError:
                return TASK_TIMEOUT
            except OSError as error:
                self._log.write(f"{error}\n")
                return NO_RUNTIME

    async def _shell(self, command: str, emit: Callable[[str, str], None]) -> int:
        if self._memory_limit and self._runtime.kind != "node":  # node takes far more room than it uses
            command = f"ulimit -v {self._memory_limit // 1024} 2>/dev/null\n{command}"
        program = self._command = await self._spawn(["/bin/sh", "-c", command], emit)
        try:
            return await program.wait()
        except asyncio.CancelledError:
            await program.close()
            raise
        finally:
            self._command = None
            program.catch_up()
            self._forget()

    async def _spawn(
        self,
        argv: list[str],
        emit: Callable[[str, str], None],
        on_answer: Callable[[dict[str, Any]], None] | None = None,
    ) -> Program:
        async with self._gate:
            if self._closed:
                raise OSError("the session has ended")
            self._work_dir.mkdir(parents=True, exist_ok=True)
            if self._bin is None:
                self._bin = environ_module.find_bin(self._runtime.commands)
            env = environ_module.build(
                self._environ, work_dir=self._work_dir, bin_dir=self._bin[0], token=self._token
            )
            spawned: list[Program] = []
            program = await Program.spawn(
                argv,
                cwd=self._work_dir,
                env=env if on_answer and self._runtime.kind == "python" else environ_module.for_command(env),
                emit=emit,
                # Nothing is heard before the loop runs again, and then the program is known.
                on_request=lambda frame: self._handle(spawned[0], frame),
                on_answer=on_answer,
                on_end=self._forget,
            )
            spawned.append(program)
            self._programs.add(program)
            return program

    def _forget(self) -> None:
        """Lets go of commands that have ended with all they started; others stay to be ended with the session."""
        for program in [program for program in self._programs if program.done]:
            self._programs.discard(program)
            program.release()

    # --- what programs say -----------------------------------------------------------------------------------------

    def _emit(self, kind: str, text: str) -> None:
        self._log.write(text)
        run = self._run
        if run is None:
            return
        run.write(kind, text)
        if run.full:
            self._paused = True
            for program in self._programs:
                program.pause()

    def _handle(self, program: Program, frame: dict[str, Any]) -> None:
        run = self._run
        program.drain()  # what it has written before
        if frame["op"] == "show":
            if run is not None:
                run.write(str(frame["kind"]), frame["data"])
            self._own(program.reply(frame["id"]))
        elif frame["op"] == "ask":
            if run is None or run.ended:
                # Nobody who could be asked: it reads the end of its input.
                self._own(program.reply(frame["id"], text=None))
                return
            self._question = (program, frame["id"])
            run.post("waiting-input", None, {"is_password": bool(frame["password"])})

    async def _reply(self, text: str) -> None:
        question, self._question = self._question, None
        # Without a question it was answered already: an input sent twice must not answer the next one.
        if question is not None:
            program, number = question
            await program.reply(number, text=text)

    # --- around the runs -------------------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        """Ctrl-C for what runs now.  Of a command, as agents do it, for its shell only, which may put it off."""
        if self._command is not None:
            self._command.signal_leader(signal.SIGINT)
        elif self._interpreter is not None:
            self._interpreter.interrupt()

    async def complete(self, code: str, options: Mapping[str, Any]) -> list[str]:
        """Names that the text before the cursor may become; none while a run is unfinished."""
        if self._closed or self._turn.locked():
            return []
        async with self._turn:
            interpreter = await self._ready()
            try:
                async with asyncio.timeout(self._agent_timeout):
                    answer = await interpreter.call("complete", code=code, options=dict(options))
            except TimeoutError:
                # An attribute of the user's that never answers: the interpreter would not take the next run either.
                await interpreter.died()
                answer = None
            return [str(match) for match in answer["matches"]] if answer else []

    def logs(self) -> str:
        """What the programs of the session have written so far, the last MiB of it."""
        return str(self._log)

    @property
    def busy(self) -> bool:
        """Whether something runs now."""
        return self._command is not None or (self._run is not None and not self._run.ended)

    @property
    def last_used(self) -> float:
        """The clock's `monotonic()` at the last sign of use."""
        return self._last_used

    async def restart(self) -> None:
        """Ends all programs; unfinished runs end with them, and the next run meets a fresh interpreter."""
        await self._stop()

    async def close(self) -> None:
        """Ends all programs for good. May be called twice."""
        self._closed = True
        await self._stop()
        if self._bin is not None and self._bin[1] is not None:
            await asyncio.to_thread(self._bin[1].cleanup)
            self._bin = None

    async def _stop(self) -> None:
        # First what needs no waiting: even if this is cancelled, the programs have got their signal.
        for program in self._programs:
            program.kill()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        self._interpreter = None
        self._question = None
        self._paused = False
        run, self._run = self._run, None
        if run is not None:
            run.abort()
            self._turn.release()
        async with self._gate:
            if tasks:
                await asyncio.wait(tasks)
            while self._programs:
                await self._programs.pop().close()
            if self._bin is not None:  # else nothing was ever started
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(program_module.sweep, self._token)
