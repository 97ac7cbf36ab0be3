"""The client session: where a program's work with a cluster begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import attrs

from backendai_sdk._async._cell import as_shown
from backendai_sdk._async._client import Client
from backendai_sdk._async._creation import Creation
from backendai_sdk._async._destroy import destroy_many
from backendai_sdk._async._find import find_one, find_project, is_uuid
from backendai_sdk._async._one_shot import OneShot
from backendai_sdk._async._reap import Reaper
from backendai_sdk._async._shapes import AwaitableContext
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk._async.events import AsyncEventStream
from backendai_sdk._async.images import AsyncImages
from backendai_sdk._async.pager import AsyncPager
from backendai_sdk._async.task import AsyncBackgroundTask
from backendai_sdk._wire.creation import CreateSpec, valid_name
from backendai_sdk._wire.fields import PRESETS, select
from backendai_sdk._wire.gql import equals, page_size_argument, starts_with
from backendai_sdk._wire.request import Request
from backendai_sdk._wire.statuses import parse_status
from backendai_sdk.config import Config, EndpointType, Timeouts
from backendai_sdk.errors import InvalidArgument, UsageError
from backendai_sdk.models.options import CreateOptions
from backendai_sdk.models.outcome import DestroyOutcome
from backendai_sdk.models.page import Page
from backendai_sdk.models.reap import ReapReport
from backendai_sdk.models.run import ExecutionResult
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.retry import RetryPolicy

if TYPE_CHECKING:
    from backendai_sdk.models.callbacks import InputCallback, OutputCallback, ProgressCallback

__all__ = ["AsyncSession"]


class AsyncSession:
    """A session with a Backend.AI server, about its compute sessions.

    Settings come from the arguments, then from ``BACKEND_*`` environment variables, then from a profile in the
    user's settings file (see ``Config``).  Nothing is opened before the first call; ``close()``, or leaving
    ``async with``, closes the connections.  Compute sessions are not ended by that: each has its own block.

    Args:
        endpoint: the manager's address (with scheme), or several for failover.
        access_key, secret_key: the key pair, for ``endpoint_type="api"``.
        endpoint_type: ``"api"`` for a manager, ``"session"`` for a web server.
        username, password: the sign-in, for ``endpoint_type="session"``.
        domain, project: where new sessions belong; both ``"default"`` by default.
        api_version: leave out to have it negotiated.
        verify_ssl: whether certificates are checked.
        timeouts, retry: time limits and repetition of failed requests.
        journal: write new sessions down before they are asked for, so that ``reap()`` finds what a killed process
            has left: true for the file in the user's state folder, or a path.
        show_progress: whether sessions show in a notebook's cell how far they are while they start; true by default.
        profile: the profile's name.
        config: complete settings, instead of all others.

    Raises:
        ConfigError: something is missing, malformed or contradictory.
    """

    def __init__(
        self,
        endpoint: str | Sequence[str] | None = None,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        endpoint_type: EndpointType | None = None,
        username: str | None = None,
        password: str | None = None,
        domain: str | None = None,
        project: str | None = None,
        api_version: str | None = None,
        verify_ssl: bool | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        journal: bool | str | PathLike[str] | None = None,
        show_progress: bool | None = None,
        profile: str | None = None,
        config: Config | None = None,
    ) -> None:
        self._client = Client(
            config
            or Config.load(
                profile=profile,
                endpoint=endpoint,
                access_key=access_key,
                secret_key=secret_key,
                endpoint_type=endpoint_type,
                username=username,
                password=password,
                domain=domain,
                project=project,
                api_version=api_version,
                verify_ssl=verify_ssl,
                timeouts=timeouts,
                retry=retry,
                journal=journal,
                show_progress=show_progress,
            )
        )
        self._is_view = False

    @classmethod
    def local(cls, *, release: str | None = None, idle_timeout: float | None = None) -> Self:
        """A session with an embedded local cluster of its own, which ends with it (extra ``local``).

        Code really runs, in child processes of this machine; nothing listens outside it.

        Args:
            release: the server release to behave like, for example ``"23.09"`` or ``"26.8"``.
            idle_timeout: seconds after which an idle compute session is destroyed; 30 minutes by default.
        """
        from backendai_sdk._async._local import local_cluster

        self = cls.__new__(cls)
        self._client = Client(None, local=local_cluster(release=release, idle_timeout=idle_timeout))
        self._is_view = False
        return self

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._client.config

    @property
    def images(self) -> AsyncImages:
        """The images that sessions can be made from."""
        return AsyncImages(self._client)

    def __repr__(self) -> str:
        if self._client.closed:
            return "<AsyncSession closed>"
        where = self._client.config.endpoint[0] if self._client.is_configured else "local, not started"
        return f"<AsyncSession {where}>"

    async def __aenter__(self) -> Self:
        await self._client.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, and end an embedded cluster. Later calls raise ``ClientClosed``."""
        if not self._is_view:
            await self._client.close()

    def with_options(self, *, timeout: float | None = None, retry: RetryPolicy | None = None) -> Self:
        """A cheap view of this session with other limits, which shares its connections.

        Args:
            timeout: seconds for each request (``timeouts.request``).
            retry: how failed requests are repeated; ``RetryPolicy(max_attempts=1)`` never does.
        """

        def change(config: Config) -> Config:
            limits = config.timeouts if timeout is None else attrs.evolve(config.timeouts, request=timeout)
            return attrs.evolve(config, timeouts=limits, retry=retry or config.retry)

        view = type(self).__new__(type(self))
        view._client = self._client.with_config(change)
        view._is_view = True
        return view

    async def ping(self) -> ServerInfo:
        """Check that the server answers and accepts the credentials; say what it is.

        Raises:
            AuthenticationError: it does not accept them.
        """
        await self._client.json(
            Request(method="POST", path="/auth", json={"echo": "backendai_sdk"}, idempotent=True)
        )
        return await self._client.server()

    # --- finding sessions -------------------------------------------------------------------------------

    def list(
        self,
        *,
        status: str | Sequence[str] = "active",
        fields: str | Sequence[str] = "default",
        filter: str | None = None,
        order: str | None = None,
        access_key: str | None = None,
        project: str | None = None,
        page_size: int = 10,
    ) -> AsyncPager[SessionInfo]:
        """List compute sessions; those that were made or ended last come first unless *order* says otherwise.

        ``await`` gives the first page, ``async for`` all rows.

        Args:
            status: ``"active"``, ``"running"``, ``"dead"``, ``"all"``, one status, or several.
            fields: ``"default"``, ``"name"``, ``"detail"``, ``"all"``, or names of fields.
            filter: a condition in the servers' language, for example ``'name ilike "%train%"'`` (PROTOCOL §2.5.1).
            order: field names, ``-`` before those that descend, for example ``"-created_at"``.
            access_key: whose sessions; other people's only for administrators.
            project: only those of this project, by name or id.
            page_size: rows of one page, 1 to 100.

        Raises:
            InvalidArgument: an unknown field or status (the nearest spelling is offered), or page size.
        """
        names = select(fields)
        wanted = parse_status(status)
        limit = page_size_argument(page_size)

        group_id: str | None = None

        async def fetch(offset: int) -> Page[SessionInfo]:
            nonlocal group_id
            if project is not None and group_id is None:
                group_id = await find_project(self._client, project)
            return await self._client.page(
                names,
                limit=limit,
                offset=offset,
                status=wanted,
                filter=filter,
                order=order,
                access_key=access_key,
                group_id=group_id,
            )

        return AsyncPager(fetch, _row_key)

    async def get(self, id_or_name: str) -> AsyncComputeSession:
        """The handle of one session: by id also of one that has ended, by name only of a live one.

        Raises:
            SessionNotFound: there is none.
            AmbiguousSession: several live sessions have that name.
        """
        return AsyncComputeSession(self._client, await find_one(self._client, id_or_name))

    async def match(self, prefix: str) -> Sequence[SessionInfo]:
        """The live sessions whose name begins with *prefix*, and the one whose id it is.

        Goes through the list filter: the servers' own match finds exact names only.
        """
        if not prefix:
            raise InvalidArgument("prefix: nothing was given", argument="prefix")
        condition = equals("id", prefix) if is_uuid(prefix) else starts_with("name", prefix)
        fields = PRESETS["default"]

        async def fetch(offset: int) -> Page[SessionInfo]:
            return await self._client.page(
                fields, limit=100, offset=offset, status="active", filter=condition
            )

        rows = [row async for row in AsyncPager(fetch, _row_key)]
        return tuple(row for row in rows if row.name.startswith(prefix) or row.id == prefix)

    def watch(
        self, *sessions: str | AsyncComputeSession, status: str | Sequence[str] | None = None
    ) -> AsyncEventStream:
        """What happens to many sessions: ``async with api.watch() as events: async for event in events``.

        One event stream for all of them; events that are lost, repeated or late are put right by the state, which is
        read in pages of a hundred sessions.  To *wait* for many, gather their ``wait()``: those share a stream, too.

        Args:
            sessions: ids, names of live sessions, or handles; the iteration ends when all of them have ended. None
                at all means every session that the key may see, those included that are created later.
            status: only the events by which a session gets into one of these: ``"active"``, ``"running"``,
                ``"dead"``, ``"all"``, one status, or several.

        Raises:
            InvalidArgument: an unknown status, or something that is no session.
            SessionNotFound: on entering: there is no such session.
            StreamInterrupted: while iterating: the stream was cut and could not be opened again.
        """
        wanted = [s if isinstance(s, str) else s.id for s in map(_watchable, sessions)]
        statuses = None if status is None else frozenset(parse_status(status))
        return AsyncEventStream(self._client, wanted or None, statuses=statuses)

    # --- making sessions --------------------------------------------------------------------------------

    def create(
        self,
        image: str,
        *,
        name: str | None = None,
        resources: Mapping[str, object] | Sequence[str] | str | None = None,
        resource_opts: Mapping[str, object] | None = None,
        mounts: Mapping[str, str | None] | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        type: str = "interactive",
        startup_command: str | None = None,
        bootstrap_script: str | None = None,
        cluster_size: int = 1,
        cluster_mode: str = "single-node",
        scaling_group: str | None = None,
        tag: str | None = None,
        dependencies: Sequence[str] | None = None,
        callback_url: str | None = None,
        starts_at: datetime | str | None = None,
        architecture: str | None = None,
        domain: str | None = None,
        project: str | None = None,
        owner_access_key: str | None = None,
        preopen_ports: Sequence[int] | None = None,
        agents: Sequence[str] | None = None,
        priority: int | None = None,
        batch_timeout: float | timedelta | str | None = None,
        max_wait: float | None = None,
        enqueue_only: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> AwaitableContext[AsyncComputeSession]:
        """Create a compute session, exactly once.

        ``cs = await api.create(...)`` keeps it; ``async with api.create(...) as cs`` destroys it at the end of the
        block, whatever happens there.  If the call fails or is cancelled, no session is left behind.  With a
        journal, what is kept is kept for as long as the process lives: see ``detach``.

        Args:
            image: an image or alias, for example ``"python:3.11"``.
            name: unique among one's live sessions; a random one by default.
            resources: ``{"cpu": 4, "mem": "8g", "cuda.shares": 2}``, or ``"cpu=4 mem=8g"``, or a list of such. An
                ``int`` for ``mem`` means bytes, a bare number in a string MiB.
            resource_opts: for example ``{"shmem": "1g"}``.
            mounts: folders: ``["data"]``, ``["data:/home/work/in"]``, or a mapping from folder to path.
            env: environment variables.
            type: ``"interactive"``, ``"batch"`` or ``"inference"``.
            startup_command: what a batch session runs. A second is put before it for servers of release 24.09.14 and
                from 25.11 on, whose agents miss the end of a command that is over at once; *batch_timeout* counts it.
            bootstrap_script: shell script that runs before the session is ready.
            cluster_size, cluster_mode: how many containers, and ``"single-node"`` or ``"multi-node"``.
            scaling_group: the resource group; the first allowed one by default.
            tag: a word of your own, at most 64 characters.
            dependencies: ids of sessions that must succeed first.
            callback_url: a URL that the server calls at every change.
            starts_at: not before this time (batch).
            architecture: of the image; the server's by default.
            domain, project: instead of the client session's.
            owner_access_key: for administrators: whose session it is to be.
            preopen_ports: ports that are open in the container, 1024 to 65535.
            agents: for administrators: on which agents.
            priority: 0 to 100 (servers from 24.09).
            batch_timeout: seconds, or a text as ``"2h"`` (servers from 25.3).
            max_wait: seconds to wait for it to run; then it is given up and destroyed.
            enqueue_only: do not wait at all: the session may still be ``PENDING``.
            on_progress: called as ``on_progress(phase, status, message)`` at every change. Without one, a notebook's
                cell shows the phases, unless ``show_progress`` is off.

        Raises:
            InvalidArgument: at once, for what the server would refuse.
            ImageNotFound: there is no such image.
            SessionExists: a live session has the name.
            SessionFailed: it ended instead of starting.
            SessionTimeout: *max_wait* ran out.
            NotSupported: the server is older than an option.
            JournalError: there is a journal, and it cannot be written; nothing was sent.
        """
        given: dict[str, Any] = {
            k: v
            for k, v in locals().items()
            if k not in {"self", "image", "max_wait", "enqueue_only", "on_progress"}
        }
        spec = self._spec(image, given)
        if enqueue_only and max_wait is not None:
            raise InvalidArgument(
                "max_wait: with enqueue_only=True nothing is waited for; use wait(timeout=...) afterwards",
                argument="max_wait",
            )
        creation = Creation(
            client=self._client,
            spec=spec,
            enqueue_only=enqueue_only,
            max_wait=_seconds(max_wait),
            on_progress=on_progress,
            title=name or image,
        )
        return AwaitableContext(as_shown(creation))

    async def ensure(
        self,
        name: str,
        image: str,
        *,
        on_progress: ProgressCallback | None = None,
        **options: Unpack[CreateOptions],
    ) -> AsyncComputeSession:
        """The running session of that name: the one that exists, or a new one. It is kept.

        It belongs to whoever asks for the name, not to one process: no journal has it.

        Args:
            name: the session's name.
            image: its image; a live session of that name with another image is a conflict.
            on_progress, options: as of ``create``, for a new one.

        Raises:
            SessionExists: a session of that name has another image.
        """
        given = dict(options)
        max_wait = _seconds(options.get("max_wait"))
        given.pop("max_wait", None)
        creation = Creation(
            client=self._client,
            spec=self._spec(image, {**given, "name": valid_name(name)}),
            reuse=True,
            max_wait=max_wait,
            on_progress=on_progress,
            title=name,
        )
        return await as_shown(creation)()

    async def run(
        self,
        image: str,
        *,
        code: str | None = None,
        exec: str | None = None,
        build: str | None = None,
        clean: str | None = None,
        files: Sequence[str | Path] = (),
        rm: bool = True,
        name: str | None = None,
        timeout: float | None = None,
        on_output: OutputCallback | None = None,
        on_progress: ProgressCallback | None = None,
        stdin: str | Sequence[str] | InputCallback | None = None,
        check: bool = False,
        **options: Unpack[CreateOptions],
    ) -> ExecutionResult:
        """Create a session, run a snippet or commands in it, and destroy it.

        Args:
            image: an image or alias.
            code: a snippet for the image's interpreter; or
            exec, build, clean: shell commands (see ``execute_batch``).
            files: local files to upload first.
            rm: destroy the session at the end; with false it is kept, ``result.session_id`` says which.
            name, options: as of ``create``.
            timeout, on_output, stdin, check: as of ``execute``.
            on_progress: as of ``create``.

        Raises:
            InvalidArgument: neither code nor a command was given, or both.
        """
        shot = OneShot(
            code=code,
            exec=exec,
            build=build,
            clean=clean,
            files=files,
            timeout=timeout,
            on_output=on_output,
            stdin=stdin,
            check=check,
        )
        await shot.check_first()
        creating = self.create(image, name=name, on_progress=on_progress, **options)
        return await shot.run(creating, keep=not rm)

    # --- ending sessions --------------------------------------------------------------------------------

    async def destroy(
        self, *sessions: str | AsyncComputeSession, forced: bool = False, recursive: bool = False
    ) -> Sequence[DestroyOutcome]:
        """End several sessions at once; those that still wait in the queue are cancelled.

        Args:
            sessions: ids, names or handles.
            forced, recursive: as of ``AsyncComputeSession.destroy``.

        Returns:
            One outcome each, in the order given: one failure never hides the others. ``outcome.check()`` raises
            its error.
        """
        ids = [session if isinstance(session, str) else session.id for session in sessions]
        return await destroy_many(self._client, ids, forced=forced, recursive=recursive)

    async def reap(self, *, owner: str | None = None, dry_run: bool = False) -> ReapReport:
        """Find the sessions that processes have left which are no more, by the journal, and destroy them.

        Only those that the journal has for the same servers and the same account; never one that a living process
        holds, its own included, unless that has tried to destroy it and given up.  Several may reap at once.

        Args:
            owner: only what this process has left, as ``ReapOutcome.owner`` names it.
            dry_run: only look what there is.

        Returns:
            One outcome for each session that was left. What is ``"unsettled"`` or ``"failed"`` stays in the journal,
            for a later call.

        Raises:
            UsageError: there is no journal.
            JournalError: it cannot be read.
        """
        if owner is not None and not (isinstance(owner, str) and owner):
            raise InvalidArgument(
                f"owner: {owner!r} names no process; see ReapOutcome.owner", argument="owner"
            )
        if not self._client.journal.is_kept:
            raise UsageError(
                "there is no journal to reap by: use journal=True (or a path), or set BACKEND_JOURNAL"
            )
        return await Reaper(client=self._client, owner=owner, dry_run=dry_run).run()

    # --- inside -----------------------------------------------------------------------------------------

    def background_task(self, task_id: str) -> AsyncBackgroundTask:
        """A task that the server does in the background, by its id.

        Args:
            task_id: the ``id`` of a task that was begun before, perhaps by another program.
        """
        if not isinstance(task_id, str) or not is_uuid(task_id):
            raise InvalidArgument(f"task_id: {task_id!r} is not the id of a task, a UUID", argument="task_id")
        return AsyncBackgroundTask(self._client, task_id)

    def _spec(self, image: str, given: Mapping[str, Any]) -> CreateSpec:
        defaults = dict.fromkeys(a.name for a in attrs.fields(CreateSpec) if a.name != "image") | {
            "type": "interactive",
            "cluster_size": 1,
            "cluster_mode": "single-node",
        }
        settings = {**defaults, **given}
        config = self._client.config if self._client.is_configured else None
        for place in ("domain", "project"):
            if settings[place] is None:
                settings[place] = getattr(config, place) if config is not None else "default"
        return CreateSpec.checked(image, **settings)


def _watchable(session: str | AsyncComputeSession) -> str | AsyncComputeSession:
    if not isinstance(session, str | AsyncComputeSession) or not session:
        raise InvalidArgument(
            f"sessions: {session!r} is neither the id, the name nor the handle of a session",
            argument="sessions",
        )
    return session


def _row_key(row: SessionInfo) -> object:
    return row.id or None


def _seconds(max_wait: float | None) -> float | None:
    if max_wait is not None and (isinstance(max_wait, bool) or max_wait < 0):
        raise InvalidArgument(f"max_wait: {max_wait!r} is not a number of seconds", argument="max_wait")
    return max_wait
