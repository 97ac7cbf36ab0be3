"""The handle of one compute session: what can be done with it and in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

from backendai_sdk._async._apps import list_apps, start_app, stop_app
from backendai_sdk._async._collect import collect
from backendai_sdk._async._commit import commit, commit_status, convert_to_image
from backendai_sdk._async._destroy import destroy_once, destroy_surely
from backendai_sdk._async._download import download
from backendai_sdk._async._explain import explain
from backendai_sdk._async._files import list_files, read_file, remove
from backendai_sdk._async._find import row_of
from backendai_sdk._async._logs import check_interval, follow
from backendai_sdk._async._run_channel import channel_of
from backendai_sdk._async._run_rest import RestChannel
from backendai_sdk._async._tidy import tidy
from backendai_sdk._async._upload import upload, write_file
from backendai_sdk._async._waiting import Until, wait_until
from backendai_sdk._async.events import AsyncEventStream
from backendai_sdk._async.forward import AsyncPortForward
from backendai_sdk._async.pty import AsyncPty, Via
from backendai_sdk._async.run import AsyncRun
from backendai_sdk._async.task import AsyncBackgroundTask
from backendai_sdk._log import logger
from backendai_sdk._wire.batch import steps_for
from backendai_sdk._wire.completion import completion_body, read_completions
from backendai_sdk._wire.creation import valid_name
from backendai_sdk._wire.fields import PRESETS
from backendai_sdk._wire.history import history_body, read_graph, read_listed_history
from backendai_sdk._wire.limits import more_time
from backendai_sdk._wire.request import Request, path
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.versions import batch_steps_lose_output
from backendai_sdk.enums import CommitStatus, SessionStatus
from backendai_sdk.errors import (
    BackendAIError,
    InvalidArgument,
    NotSupported,
    ServerError,
    SessionNotFound,
    SessionNotReady,
    SessionTimeout,
    WireError,
)
from backendai_sdk.models.app import App, AppAccess
from backendai_sdk.models.completion import Completions
from backendai_sdk.models.dependency import DependencyNode
from backendai_sdk.models.explanation import Explanation
from backendai_sdk.models.file import FileEntry, FilePath, FileTransfer
from backendai_sdk.models.outcome import DestroyOutcome
from backendai_sdk.models.run import ExecutionResult, RunTransport
from backendai_sdk.models.session import SessionInfo

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.callbacks import (
        InputCallback,
        OutputCallback,
        ProgressCallback,
        TransferCallback,
    )

__all__ = ["AsyncComputeSession"]

log = logger("session")


class AsyncComputeSession:
    """A compute session on the cluster. Handles are obtained: from ``create``, ``get``, ``ensure``.

    Sessions are addressed by their id, because names are free again once a session has ended (PROTOCOL
    §9.24).  Leaving an ``async with`` block destroys the session, also under cancellation.
    """

    _handle: ClassVar[bool] = True

    def __init__(self, client: Client, info: SessionInfo) -> None:
        self._client = client
        self._info = info
        self._exit_code: int | None = None
        self._is_detached = False
        # Servers run one thing at a time in a session: later runs wait their turn here, not on the server.
        self._run_lock = client.turn_in(info.id)

    @property
    def id(self) -> str:
        """The session's id, a UUID."""
        return self._info.id

    @property
    def name(self) -> str:
        """The session's name."""
        return self._info.name

    @property
    def status(self) -> SessionStatus:
        """The status as it was last read; ``refresh()`` reads it anew."""
        return self._info.status

    @property
    def info(self) -> SessionInfo:
        """All that was last read; ``refresh()`` reads everything anew."""
        return self._info

    @property
    def exit_code(self) -> int | None:
        """The exit code of a batch session's command, once ``wait("result")`` has returned.

        0 is success; -2 is a command that ran out of ``batch_timeout``.  Only releases before 25.13 tell that
        of a failure, and only while somebody waits: otherwise it is ``None``, and ``info.result`` is what is known.
        """
        return self._exit_code

    def __repr__(self) -> str:
        return f"<AsyncComputeSession {self.name} {self.status} {self.id}>"

    def _repr_html_(self) -> str:
        """What was last read of it: nothing is asked for to show it."""
        return self._info._repr_html_()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_detached:
            return
        try:
            await tidy(
                self._client,
                self._destroy_surely(),
                what=f"the session {self.name} could not be destroyed",
                session=self.info,
            )
        except BaseException as error:
            # If it was destroyed all the same, the journal does not have it any more.
            self._client.journal.abandon(session_id=self.id)
            if isinstance(error, SessionNotFound):
                return  # it ended by itself, or somebody else ended it
            if exc is None or not isinstance(error, BackendAIError | TimeoutError):
                raise
            log.warning(
                "the session %s may have been left behind: %s%s",
                self.name,
                str(error) or type(error).__name__,
                self._client.journal.advice,
            )

    # --- state ------------------------------------------------------------------------------------------

    async def refresh(self) -> SessionInfo:
        """Read all fields anew, also of a session that has ended.

        Raises:
            SessionNotFound: the server does not know it.
        """
        return await self._read(PRESETS["all"])

    async def wait(self, until: Until = "running", *, timeout: float | None = None) -> SessionInfo:
        """Wait until the session gets to a state, by events and with polls as a safety net.

        Args:
            until: ``"running"``, ``"dead"``, ``"result"`` (a batch session has its result), or a status.
            timeout: seconds; ``None`` waits as long as it takes. The session is kept when they run out.

        Raises:
            SessionFailed: it ended in a state from which it cannot get there.
            SessionTimeout: the time ran out.
        """
        return await self._wait_until(until, timeout, None)

    async def logs(self) -> str:
        """Everything that the session's main container has written, stdout and stderr merged."""
        answer = await self._client.json(self._request("GET", "/session/{}/logs", idempotent=True))
        match answer:
            case {"result": {"logs": str(text)}}:
                return text
            case {"result": {"logs": None}}:
                return ""
        raise WireError(f"the answer has no logs: {excerpt(answer)}")

    async def task_log(self) -> str:
        """What the command of a batch session wrote, also once the session has ended (PROTOCOL §2.3).

        Raises:
            NotFound: the user has no folder called ``.logs``, in which servers keep these logs, or it has none of
                this session.
        """
        kernel = (await self._read(("id", "main_kernel_id"))).main_kernel_id or self.id
        answer = await self._client.send(
            Request(
                method="GET",
                path="/session/_/logs",
                params={"taskId": kernel},
                accept="text/plain",
                idempotent=True,
            )
        )
        return answer.body.decode("utf-8", "replace")

    def stream_events(self) -> AsyncEventStream:
        """The session's life-cycle events: a context manager, and inside it an iterator. Many: ``api.watch()``."""
        return AsyncEventStream(self._client, [self.id])

    # --- running code -----------------------------------------------------------------------------------

    async def execute(
        self,
        code: str,
        *,
        timeout: float | None = None,
        on_output: OutputCallback | None = None,
        stdin: str | Iterable[str] | InputCallback | None = None,
        check: bool = False,
        transport: RunTransport = "rest",
    ) -> ExecutionResult:
        """Run code in the session's interpreter, which keeps its state between calls.

        Args:
            code: source text in the language of the session's image.
            timeout: seconds, after which the code is interrupted; default ``timeouts.run``.
            on_output: called with everything that the code writes, as it comes.
            stdin: answers to ``input()``: text (line by line), lines, or a function from prompt to line.
            check: raise if the code fails.
            transport: ``"rest"`` polls, and knows the run's id; over a ``"websocket"`` output comes sooner.

        Returns:
            The complete result. In query mode servers of some releases say exit code 0 even after an
            exception: look at ``ok`` and ``error``.

        Raises:
            SessionNotReady: the session does not run (yet, or any more).
            ExecutionTimeout: the time ran out; the code was interrupted, the session lives.
            ExecutionFailed: *check* was asked for and the code failed.
            StreamInterrupted: the connection broke in a way that lost output; it has what was received.
        """
        return await collect(
            self.stream_execute(code, transport=transport),
            timeout=timeout if timeout is not None else self._client.config.timeouts.run,
            on_output=on_output,
            stdin=stdin,
            check=check,
        )

    def stream_execute(self, code: str, *, transport: RunTransport = "rest") -> AsyncRun:
        """Run code, item by item: ``async with cs.stream_execute(code) as run: async for item in run``.

        Args:
            code, transport: as of ``execute``.
        """
        if not isinstance(code, str):
            raise InvalidArgument(f"code: {type(code).__name__} is not text", argument="code")
        return AsyncRun(self, channel_of(self, transport), code=code)

    def resume(self, run_id: str) -> AsyncRun:
        """Go on reading a run over REST that was begun before: ``async with cs.resume(run_id) as run``.

        For a run that ended in ``StreamInterrupted``, or whose program has died: note ``run.run_id`` before the first
        item is asked for.  Servers keep what a run writes until somebody asks, up to 4096 pieces, and give each piece
        once: what was under way when the connection broke is lost, and nobody but one may read a run.

        A run that is over and read to its end cannot be resumed.  Not every server can say so: some answer that it
        goes on for ever, and run nothing else in the session meanwhile; bound the reading by ``deadline()``.

        Args:
            run_id: the run's ``run_id``, or that of ``StreamInterrupted``.

        Raises:
            StreamInterrupted: on reading: the server does not know the run (any more), or it was cut again.
        """
        if not isinstance(run_id, str) or not run_id:
            raise InvalidArgument(
                f"run_id: {run_id!r} is not the id of a run; over a WebSocket, runs have none",
                argument="run_id",
            )
        return AsyncRun(self, RestChannel(self._client, self.id, run_id=run_id), resumed=True)

    async def execute_batch(
        self,
        *,
        clean: str | None = None,
        build: str | None = None,
        exec: str | None = None,
        files: Sequence[str | Path] = (),
        timeout: float | None = None,
        on_output: OutputCallback | None = None,
        stdin: str | Iterable[str] | InputCallback | None = None,
        check: bool = False,
        transport: RunTransport = "rest",
    ) -> ExecutionResult:
        """Upload files and run shell commands, one after the other (PROTOCOL §4.1, batch mode).

        Args:
            clean, build, exec: the commands; ``None`` skips a step, ``"*"`` lets the image decide. If the build
                fails, the last one is not run and the exit code is 127.
            files: local files to upload first; a relative path keeps its folders.
            timeout, on_output, stdin, check, transport: as of ``execute``.

        Returns:
            The result; ``exit_code`` is that of *exec*, ``steps`` has all.

        Raises:
            StreamInterrupted: also when the server does not tell the end of the run although no command is under
                way for ``timeouts.silence``. One that runs may be silent for as long as it likes: see *timeout*.
        """
        channel = channel_of(self, transport)
        if not any((clean, build, exec)):
            raise InvalidArgument(
                "exec: nothing was given to run; use clean=, build= or exec=", argument="exec"
            )
        if files:
            await self.upload(files)
        loses = batch_steps_lose_output(await self._client.server())
        steps = steps_for(clean, build, exec, loses=loses)
        return await collect(
            AsyncRun(self, channel, batch=steps),
            timeout=timeout if timeout is not None else self._client.config.timeouts.run,
            on_output=on_output,
            stdin=stdin,
            check=check,
        )

    async def interrupt(self) -> None:
        """Interrupt what runs in the session, as Ctrl-C would. The effect comes with the run's output."""
        await self._client.send(self._request("POST", "/session/{}/interrupt", idempotent=True))

    # --- files ------------------------------------------------------------------------------------------

    async def upload(
        self,
        paths: FilePath | Sequence[FilePath],
        *,
        to: FilePath = ".",
        overwrite: bool = True,
        progress: bool | TransferCallback | None = None,
    ) -> FileTransfer:
        """Upload local files and folders into the session's work folder.

        Small files travel in full batches, a few requests side by side.  A file of 1 MiB or more travels in pieces
        that are put together in the session, checked by size and SHA-256, while no other code runs there. Memory
        does not grow with what is carried.

        Args:
            paths: files, folders (with all that is in them; empty folders are left out) and patterns (text with
                ``*``, ``?``, ``[…]``, ``**``). What is relative keeps its folders, what is absolute only its name.
            to: the folder in the session, made if it is missing.
            overwrite: false refuses if one of the files is there already.
            progress: called with a ``TransferProgress``; ``True`` shows a bar, by rich or tqdm.

        Returns:
            How many files and bytes were carried.

        Raises:
            InvalidArgument: a file is missing, cannot be read, or has a name that servers do not take; nothing was
                sent.
            FileExists: *overwrite* is false and a file is there.
            FileTransferError: a file changed while it was read, or the session cannot put a large one together.
            SessionNotReady: the session does not run.
        """
        return await upload(self, paths, to=to, overwrite=overwrite, progress=progress)

    async def download(
        self,
        paths: FilePath | Sequence[FilePath],
        *,
        to: FilePath = ".",
        overwrite: bool = False,
        progress: bool | TransferCallback | None = None,
    ) -> FileTransfer:
        """Download files and folders from the session's work folder.

        Every file appears whole or not at all.  Links inside a folder are kept; a link out of it is refused.
        A file of about 1 MiB or more is cut to pieces in the session, while no other code runs there.

        Args:
            paths: files, folders (with all that is in them) and patterns, relative to the work folder.
            to: the local folder, made if it is missing; each path comes under its own name, ``"."`` as its content.
            overwrite: true replaces local files; false refuses if there are any, before anything is fetched.
            progress: called with a ``TransferProgress``; ``True`` shows a bar, by rich or tqdm.

        Returns:
            How many files and bytes were carried.

        Raises:
            RemoteFileNotFound: a file is not in the session.
            FileExists: a local file is in the way.
            FileTransferError: the disk is full, a file changed meanwhile, or a tar is not safe to unpack.
            SessionNotReady: the session does not run.
        """
        return await download(self, paths, to=to, overwrite=overwrite, progress=progress)

    async def read_file(self, path: FilePath) -> bytes:
        """The content of one file in the session.

        Raises:
            RemoteFileNotFound: there is no such file.
            FileTransferError: it is a folder.
        """
        return await read_file(self, path)

    async def write_file(
        self, path: FilePath, data: bytes | bytearray | memoryview | str, *, overwrite: bool = True
    ) -> None:
        """Write one file in the session, with the folders above it; text is written as UTF-8.

        Raises:
            InvalidArgument: servers do not take the name.
            FileExists: *overwrite* is false and it is there.
        """
        await write_file(self, path, data, overwrite=overwrite)

    async def list_files(self, path: FilePath = ".", *, recursive: bool = False) -> list[FileEntry]:
        """What is in a folder of the session, in order of the paths.

        Args:
            path: relative to the work folder.
            recursive: also what is in the folders below.

        Raises:
            RemoteFileNotFound: there is no such folder.
            FileTransferError: it is a file.
        """
        return await list_files(self, path, recursive=recursive)

    async def remove(self, paths: FilePath | Sequence[FilePath], *, recursive: bool = False) -> None:
        """Remove files in the session. This runs a command there, in its turn among the session's runs.

        Args:
            paths: files and patterns; folders with *recursive*.

        Raises:
            RemoteFileNotFound: one of them is not there; nothing was removed.
            FileTransferError: one is a folder, or may not be removed.
        """
        await remove(self, paths, recursive=recursive)

    # --- apps, terminals, logs --------------------------------------------------------------------------

    def stream_logs(self, *, interval: float = 1.0) -> AsyncIterator[str]:
        """Follow the log: ``async for text in cs.stream_logs()`` gives all that there is, then what is added.

        Ends with the session.  Servers can only give the whole log, so it is read again and again, less often
        while it says nothing.  Output that a server's bounded log has lost between two readings is lost here too.

        Args:
            interval: seconds between two readings, at least.
        """
        return follow(self, check_interval(interval))

    async def complete(self, code: str, *, row: int | None = None, col: int | None = None) -> Completions:
        """What the text before the cursor may become, as the session's interpreter knows it.

        Args:
            code: the whole code.
            row: the line of the cursor, from 0; the last one if not given.
            col: the cursor's place in its line, from 0; the line's end if not given.

        Returns:
            The suggestions; none where the image's runtime has no completion, and while a run goes on.

        Raises:
            SessionNotReady: the session does not run.
            AgentError: the runtime did not answer; those of some images never do.
        """
        body = completion_body(code, row=row, col=col)
        try:
            answer = await self._client.json(self._request("POST", "/session/{}/complete", json=body))
        except (ServerError, SessionNotFound) as exc:
            await self._explain_not_running(exc)
            raise
        return read_completions(answer)

    async def apps(self) -> Sequence[App]:
        """The apps that the session offers: services like Jupyter, and the ports that were opened in advance.

        Raises:
            SessionNotReady: the session does not run.
        """
        return await list_apps(self)

    async def start_app(
        self,
        name: str,
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        args: Mapping[str, object] | None = None,
    ) -> AppAccess:
        """Start an app, and get what opens it at the cluster's app proxy.

        ``forward_port()`` starts apps too, and needs no app proxy.

        Args:
            name: the app.
            port: one of its ports inside the container; the first one if not given.
            env: environment variables for it.
            args: arguments for it: name to text, a list of texts, or ``None`` for one without a value.

        Raises:
            AppNotFound: the session has none of that name.
            ServiceUnavailable: the cluster has no app proxy.
            ServerError: the app did not come up.
        """
        return await start_app(self, name, port=port, env=env, args=args)

    async def stop_app(self, name: str) -> None:
        """End an app in the session; one that does not run is no error."""
        await stop_app(self, name)

    def forward_port(
        self,
        app: str,
        local_port: int = 0,
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        args: Mapping[str, object] | None = None,
    ) -> AsyncPortForward:
        """Lead a port of this machine to an app: ``async with cs.forward_port("jupyter") as forward``.

        Args:
            app: the app, or the number of a port that was opened in advance (``preopen_ports``).
            local_port: the port on this machine; 0 takes one that is free.
            port, env, args: as of ``start_app``.

        Raises:
            InvalidArgument: *local_port* is in use.
            AppNotFound: the session has no such app.
            AgentError: the app did not come up.
        """
        return AsyncPortForward(self, app, local_port, port=port, env=env, args=args)

    def pty(self, *, rows: int = 24, cols: int = 80, via: Via = "auto") -> AsyncPty:
        """Open a terminal: ``async with cs.pty() as terminal``, then ``send()``, iterate, ``resize()``.

        Args:
            rows, cols: its size in characters.
            via: ``"ttyd"`` is the app of that name in the session, ``"server"`` the server's own terminal, which
                does not work on most releases; ``"auto"`` takes what there is.

        Raises:
            NotSupported: there is no way to a terminal that works.
            SessionNotReady: the session does not run.
        """
        return AsyncPty(self, rows, cols, via)

    async def commit(self) -> AsyncBackgroundTask:
        """Begin to save the container's file system into an archive on the server; the work folder is not in it.

        Returns:
            The task that does it: ``await task.wait()``.

        Raises:
            SessionNotReady: the session does not run.
        """
        return await commit(self)

    async def commit_status(self) -> CommitStatus:
        """Whether the session is being committed just now."""
        return await commit_status(self)

    async def convert_to_image(self, name: str) -> AsyncBackgroundTask:
        """Begin to make an image of the session's container, for new sessions of one's own.

        Args:
            name: the image's name: letters, digits, ``.``, ``-`` and ``_``.

        Returns:
            The task that does it: ``await task.wait()``.

        Raises:
            NotSupported: the server is older than 24.03.
            BadRequest, NotFound: the project has no registry for images.
        """
        return await convert_to_image(self, name)

    async def status_history(self) -> Mapping[SessionStatus, datetime]:
        """When the session got into each of its statuses, last, in the order of time; also after its end."""
        return read_listed_history(await self._client.gql(history_body(self.id)), session_id=self.id)

    async def dependency_graph(self) -> DependencyNode:
        """The session and what it waits for. Servers follow only the first dependency of each session."""
        answer = await self._client.json(
            self._request("GET", "/session/{}/dependency-graph", idempotent=True)
        )
        return read_graph(answer)

    async def explain(self) -> Explanation:
        """Why the session does not run (yet), in words and as data: ``print()`` it, or look at ``reasons`` and ``verdict``.

        Quotas, limits on sessions, dependencies, a start time, missing resources, an image that is being fetched.
        Servers before 26.9 note down what their scheduler thinks; 26.9 does not, and then only what follows from
        limits and dependencies is said. Also of a session that runs or has ended, which it says (PROTOCOL §3.3).

        Raises:
            SessionNotFound: the server does not know it.
        """
        return await explain(self._client, self.id)

    # --- life -------------------------------------------------------------------------------------------

    async def rename(self, name: str) -> None:
        """Give the session another name.

        Raises:
            InvalidArgument: the server would refuse the name.
            BadRequest: the session does not run.
        """
        valid_name(name)
        request = self._request("POST", "/session/{}/rename", json={"name": name})
        try:
            await self._client.send(request)
        except ServerError as exc:
            # The database of 23.09 refuses what meets other changes (seen): what has come of it is looked up.
            if exc.status != 500:
                raise
            if (await self._read(("id", "name"))).name != name:
                await self._client.send(request)
        self._info = attrs.evolve(self._info, name=name)

    async def restart(self) -> None:
        """Start the session's containers anew and wait until they run; the interpreter's state is lost.

        Raises:
            NotSupported: this release of the server cannot restart sessions any more (26.9).
        """
        try:
            await self._client.send(self._request("PATCH", "/session/{}"))
        except ServerError as exc:
            if exc.status == 501:
                raise NotSupported(f"this server cannot restart sessions: {exc.msg or exc.title}") from exc
            raise
        try:
            await self.wait("running", timeout=self._client.config.timeouts.start)
        except SessionTimeout as exc:
            exc.args = (f"{exc} (timeouts.start); {more_time('timeouts.start')}",)
            raise

    async def destroy(self, *, forced: bool = False, recursive: bool = False) -> DestroyOutcome:
        """End the session; one that still waits in the queue is cancelled.

        The server ends it in the background: ``wait(until="dead")`` waits for that.  A session that has ended
        before is no error.

        Args:
            forced: also in states in which the server would refuse; what runs is killed.
            recursive: also the sessions that depend on it.

        Raises:
            PermissionDenied: the server refuses in this state; ``forced=True`` may help.
        """
        return await destroy_once(self._client, self.id, forced=forced, recursive=recursive)

    async def detach(self) -> None:
        """Let the session outlive this program: it is yours to destroy from now on.

        Leaving its block does not destroy it any more, and it is taken out of the journal, if there is one, so
        that no ``reap()`` destroys it once this process has ended.

        Raises:
            JournalError: the journal could not be written; nothing has changed.
        """
        await self._client.journal.release(self.id)
        self._is_detached = True

    # --- inside -----------------------------------------------------------------------------------------

    def _request(
        self, method: str, template: str, *, json: object = None, idempotent: bool = False
    ) -> Request:
        return Request(method=method, path=path(template, self.id), json=json, idempotent=idempotent)  # type: ignore[arg-type]

    async def _read(self, fields: Iterable[str]) -> SessionInfo:
        return self._take(await row_of(self._client, self.id, fields))

    def _take(self, row: SessionInfo) -> SessionInfo:
        read: dict[str, Any] = {**dict(row.items()), "extra": row.extra, "errors": row.errors}
        self._info = attrs.evolve(self._info, **read)
        return self._info

    async def _wait_until(
        self, until: Until, timeout: float | None, on_progress: ProgressCallback | None
    ) -> SessionInfo:
        return await wait_until(self, until, timeout=timeout, on_progress=on_progress)

    async def _destroy_surely(self) -> None:
        await destroy_surely(self._client, self.id)

    async def _explain_not_running(self, cause: BackendAIError | None) -> None:
        """Raise what is really wrong if the session does not run; return if it does."""
        info = await self._read(("id", "name", "status", "status_info"))
        if info.status.is_running:
            return
        if info.status.is_dead or info.status in {SessionStatus.TERMINATING, SessionStatus.ERROR}:
            advice = "it has ended; create another one"
        else:
            advice = "it has not started yet; wait() for it first"
        raise SessionNotReady(
            f"the session {info.name} is {info.status}: {advice}",
            session_id=self.id,
            session_name=info.name,
            status=info.status,
            status_info=info.status_info,
        ) from cause
