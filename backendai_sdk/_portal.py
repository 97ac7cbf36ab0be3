"""The one thread that runs the async cores for the generated blocking classes.

A blocking method hands a coroutine to a private event loop on a daemon thread and waits.  So it works the
same in a script, in a notebook whose own loop is running, inside a coroutine of the user's (which it blocks)
and from many threads at once.  Assumed of the cores: constructors and plain methods do no loop work, every
step of a stream may run in its own task (no timeout, task group or context token is held open across a
``yield`` or between ``__aenter__`` and ``__aexit__``), and a callback's awaitable result is awaited.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, cast, overload

from backendai_sdk._caller import warn_on_a_loop
from backendai_sdk._closing import close_all, quietly
from backendai_sdk._doorbell import Doorbell
from backendai_sdk._inbox import Inbox, Job
from backendai_sdk._ticket import Ticket
from backendai_sdk._workers import Workers
from backendai_sdk.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from types import TracebackType

__all__ = ["PORTAL", "Portal", "SyncProxy", "unwrap"]

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")

_Ring: TypeAlias = Callable[[Callable[[], object]], object]

# Loops of Windows watch no pipes.
_HAS_DOORBELLS = os.name == "posix"
# How long the interpreter's exit may be held up: first the closers, then whatever had to be cancelled.
_CLOSE_SECONDS = 1.5
_CANCEL_SECONDS = 0.5
# Nobody here asked for it, so it must not look like a cancellation of the caller.
_CANCELLED = (
    "the background task of this blocking call was cancelled from elsewhere; "
    "was the session closed by another thread meanwhile?"
)


class Portal:
    """A daemon thread with an event loop, started by the first call."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close a stream while this thread holds it.
        self._lock = threading.RLock()
        self._local = threading.local()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell: Doorbell | None = None
        self._ring: _Ring | None = None
        self._thread: threading.Thread | None = None
        self._ident: int | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._open: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._stopped = False
        self._workers = Workers(thread_name_prefix="backendai-sdk-worker")
        self._stop_asked = asyncio.Event()
        self._wound_down = threading.Event()

    # --- calls ------------------------------------------------------------------------------------------

    def call(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run *coro* on the loop and wait; Ctrl-C cancels it and waits for its cleanup first."""
        try:
            ring = self._ready()
            warn_on_a_loop()
        except BaseException:
            coro.close()
            raise
        inbox = self._inbox()
        ticket = Ticket(self, coro, inbox)
        frames = inbox.caller.frames
        depth = len(frames)
        try:
            frames.append(sys._getframe())
            ring(ticket.start)
            _serve(inbox, ticket)
        except BaseException:
            ring(ticket.cancel)
            try:
                _serve(inbox, ticket)
            except BaseException:  # a second Ctrl-C: stop waiting, the task goes on cleaning up
                ring(ticket.abandon)
                raise
            raise
        finally:
            del frames[depth:]
            if depth == 0:
                for job in inbox.drain():
                    ring(job.divert)
        error, ticket.error = ticket.error, None
        if error is None:
            return ticket.result
        try:
            if isinstance(error, asyncio.CancelledError):
                raise PortalError(_CANCELLED) from error
            raise error.with_traceback(_foreign(error.__traceback__))
        finally:
            del error, ticket  # or the traceback would keep itself alive

    def step(self, coro: Coroutine[Any, Any, T]) -> T:
        """Like :meth:`call`, for one ``__anext__``: the end of a stream is ``StopIteration``."""
        try:
            return self.call(coro)
        except StopAsyncIteration:
            raise StopIteration from None
        except Exception as error:  # noqa: BLE001
            raise error.with_traceback(_foreign(error.__traceback__))  # noqa: B904 - it is the same one

    @overload
    def iterate(self, source: AsyncIterator[T]) -> Generator[T, None, None]: ...
    @overload
    def iterate(self, source: AsyncIterator[T], wrap: Callable[[T], R]) -> Generator[R, None, None]: ...
    def iterate(
        self, source: AsyncIterator[T], wrap: Callable[[T], Any] | None = None
    ) -> Generator[Any, None, None]:
        """Pull *source* one item at a time; close it when the caller stops."""
        pid = os.getpid()
        self._open[id(source)] = source
        try:
            while True:
                try:
                    item = self.call(_advance(source))
                except StopAsyncIteration:
                    return
                yield item if wrap is None else wrap(item)
        finally:
            if pid == os.getpid():  # else the stream belongs to the parent of a fork
                self._close_stream(source)

    def _close_stream(self, source: AsyncIterator[Any]) -> None:
        self._open.pop(id(source), None)
        over = inspect.isasyncgen(source) and source.ag_frame is None
        if not over and hasattr(source, "aclose"):
            self._end(_aclose(source))

    def entered(self, core: object) -> None:
        """Have *core*'s block left when the interpreter exits, if nobody has left it until then."""
        self._open[id(core)] = core

    def leave(self, core: object, coro: Coroutine[Any, Any, T]) -> T:
        """Run *coro*, which leaves *core*'s block, on whatever thread that happens."""
        self._open.pop(id(core), None)
        if any(core is other for other in _inherited):  # the block is the parent's, who will leave it
            coro.close()
            return cast("T", None)
        try:
            return self._end(coro)
        except Exception as error:  # noqa: BLE001
            raise error.with_traceback(_foreign(error.__traceback__))  # noqa: B904 - it is the same one

    def _end(self, coro: Coroutine[Any, Any, T]) -> T:
        """Like :meth:`call`, but the garbage collector may call it on the loop's thread, or too late."""
        if threading.get_ident() == self._ident and not self._stopped:
            task = asyncio.ensure_future(quietly(lambda: coro))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not self._stopped:
            return self.call(coro)
        else:
            coro.close()  # what was open at the exit was closed then
        return cast("T", None)

    # --- callbacks --------------------------------------------------------------------------------------

    @overload
    def on_caller(self, callback: T) -> T: ...
    @overload
    def on_caller(self, callback: object, *, wrap: tuple[type[SyncProxy[Any]], ...]) -> Any: ...
    def on_caller(self, callback: Any, *, wrap: tuple[type[SyncProxy[Any]], ...] = ()) -> Any:
        """Make *callback* run on this thread while it waits in :meth:`call`, wherever the core calls it.

        If this thread does not wait (another one steps the stream) a worker thread runs it.  Arguments that
        are cores of the *wrap* classes arrive as those.  What cannot be called is returned as it is.
        """
        if not callable(callback):
            return callback
        inbox = self._inbox()
        twins = {f"Async{twin.__name__}": twin for twin in wrap}

        def translated(value: Any) -> Any:
            twin = twins.get(type(value).__name__)
            return value if twin is None else twin._wrap(value)

        async def relay(*args: Any, **kwargs: Any) -> Any:
            def call() -> object:
                named = {key: translated(value) for key, value in kwargs.items()}
                return callback(*map(translated, args), **named)

            job = Job(call)
            inbox.put(job)
            if not inbox.caller.frames:
                for stray in inbox.drain():
                    stray.divert()
            value = await job.reply
            return unwrap(await value if inspect.isawaitable(value) else value)

        return relay

    # --- life -------------------------------------------------------------------------------------------

    def at_exit(self, core: object) -> None:
        """Have *core*'s ``close()`` run when the interpreter exits, if it still lives then."""
        self._closers[id(core)] = core

    def _inbox(self) -> Inbox:
        if not hasattr(self._local, "inbox"):
            self._local.inbox = Inbox()
        return cast("Inbox", self._local.inbox)

    def _ready(self) -> _Ring:
        """What has functions called on the loop, which runs."""
        if threading.get_ident() == self._ident:
            raise PortalError(
                "a blocking method was called on the SDK's own event-loop thread, where it would wait for "
                "itself; code that runs there (async callbacks, coroutines) must await the async API: "
                "AsyncSession, AsyncComputeSession"
            )
        if self._stopped:
            raise PortalError("the interpreter is exiting: blocking calls no longer work")
        return self._ring or self._start()

    def _start(self) -> _Ring:
        with self._lock:
            if self._ring is not None:
                return self._ring
            loop = asyncio.new_event_loop()
            ready = threading.Event()
            loop.call_soon(ready.set)
            thread = threading.Thread(target=self._run, args=(loop,), name="backendai-sdk-io", daemon=True)
            try:
                bell = Doorbell(loop) if _HAS_DOORBELLS else None
                thread.start()
            except (OSError, RuntimeError) as error:
                loop.close()
                raise PortalError(f"the SDK's event-loop thread could not be started: {error}") from error
            self._loop, self._thread, self._bell = loop, thread, bell
            self._ring = loop.call_soon_threadsafe if bell is None else bell.ring
            ready.wait()  # Ctrl-C may end it: the loop will run all the same
            return self._ring

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ident = threading.get_ident()
        loop.set_default_executor(self._workers)
        stuck: list[asyncio.Task[Any]] = []
        stop = loop.create_task(self._until_stopped(stuck))
        while not stop.done():
            # SystemExit in a task ends the run; whoever waits for that task gets it, we go on.
            with contextlib.suppress(BaseException):
                loop.run_until_complete(stop)
        if self._bell is not None:
            self._bell.close()
        loop.close()

    async def _until_stopped(self, stuck: list[asyncio.Task[Any]]) -> None:
        await self._stop_asked.wait()
        own = asyncio.current_task()
        await asyncio.wait(
            [asyncio.ensure_future(close_all(self._open, self._closers))], timeout=_CLOSE_SECONDS
        )
        rest = [task for task in asyncio.all_tasks() if task is not own]
        for task in rest:
            task.cancel()
        if rest:
            over, pending = await asyncio.wait(rest, timeout=_CANCEL_SECONDS)
            for task in over:
                if not task.cancelled():
                    task.exception()  # seen
            stuck += pending
        if not stuck:
            loop = asyncio.get_running_loop()
            # Nested ones are closed at once, and complain of each other.
            loop.set_exception_handler(lambda *_: None)
            await loop.shutdown_asyncgens()
        self._wound_down.set()
        if stuck:
            # Destroying them would be noisy.  This frame is never unwound: they live as long as the process.
            await asyncio.Event().wait()

    def _exit(self) -> None:
        """Close what is open and end the thread, at the interpreter's exit."""
        loop, thread, over = self._loop, self._thread, self._stopped
        self._stopped = self._workers.exiting = True
        if over or loop is None or thread is None:
            return
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C again means "now"
            loop.call_soon_threadsafe(self._stop_asked.set)
            if self._wound_down.wait(_CLOSE_SECONDS + _CANCEL_SECONDS):
                thread.join(0.1)

    def _after_fork(self) -> None:
        """Forget the parent's thread, which does not exist in the child."""
        _inherited.extend([self._loop, *self._tasks, *self._open.values(), *self._closers.values()])
        self.__init__()  # type: ignore[misc]  # a lock that was held would stay locked


# What a forked child must neither use nor destroy: closing the loop would change the parent's epoll set.
_inherited: list[object] = []


def _serve(inbox: Inbox, ticket: Ticket[Any]) -> None:
    """Wait for *ticket* and run the callbacks that arrive meanwhile."""
    while not ticket.done:
        ticket.job = inbox.get()
        if ticket.job is not None:
            ticket.job.run()


async def _advance(source: AsyncIterator[T]) -> T:
    return await anext(source)


async def _aclose(source: Any) -> None:
    await source.aclose()


_OURS = {code.co_filename for code in (Portal.call.__code__, Ticket.start.__code__)}


def _foreign(trace: TracebackType | None) -> TracebackType | None:
    """Drop our own frames from the start of a core's traceback."""
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return trace


def unwrap(value: Any) -> Any:
    """Replace blocking objects by their cores, also inside lists, tuples, sets, dicts and iterators."""
    if isinstance(value, SyncProxy):
        return value._async
    if type(value) in {list, tuple, set, frozenset}:
        return type(value)(map(unwrap, value))
    if type(value) is dict:
        return {key: unwrap(item) for key, item in value.items()}
    return map(unwrap, value) if isinstance(value, Iterator) else value


class SyncProxy(Generic[A]):
    """Base of every generated class: holds the async object that it delegates to."""

    _async: A
    _closes: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._closes = hasattr(cls, "close")

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} objects are returned by other calls, not built")

    @classmethod
    def _wrap(cls, core: A) -> Self:
        self = cls.__new__(cls)
        self._async = core
        if cls._closes:
            PORTAL.at_exit(core)
        return self

    def __repr__(self) -> str:
        return repr(self._async).replace(type(self._async).__name__, type(self).__name__, 1)

    def __eq__(self, other: object) -> bool:
        return self._async is other._async if isinstance(other, SyncProxy) else NotImplemented

    def __hash__(self) -> int:
        return id(self._async)


PORTAL = Portal()
atexit.register(PORTAL._exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PORTAL._after_fork)
