"""The embedded cluster as a user sees it: start it, use it, stop it.

Assumes nothing about the caller: it may have an event loop or none, be a notebook or a test. The server runs on a
thread and a loop of its own, listens on loopback only, and leaves nothing behind when it stops.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from .accounts import Accounts, Keypair
from .clock import Clock
from .events import EventHub
from .faults import Faults
from .faults.pattern import Pattern
from .front import Front, reachable, require_loopback
from .images import Catalogue
from .kernel import Kernel
from .lifecycle import Lifecycle
from .limiter import RateLimiter
from .loopthread import LoopThread, in_thread
from .releases import release_named
from .scheduler import Agent, Agents
from .schema import make_schema
from .server import ServerState
from .slots import parse_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal
    from types import TracebackType
    from typing import Self

    from .images import Image
    from .records import SessionRecord, SessionSnapshot

__all__ = ["LocalCluster"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_START_LIMIT: Final = 30.0
_STOP_LIMIT: Final = 30.0
_STATUSES: Final = ("running", "frozen")


class LocalCluster:
    """A Backend.AI cluster on this machine, for as long as a `with` block lasts.

    It is a real HTTP server that speaks the manager's protocol, so any client can use it. Sessions run code in
    child processes of this one with the rights of this user: it is a development tool, **not a sandbox**. Images run
    this machine's Python, those called `bash` and `node` what they are called, `python:/path/to/python3` that Python;
    `images` offers others in place of the usual ones, ValueError if the `interpreter` of one is not on this machine.
    `max_concurrent_sessions` and `max_resources` (`{"cpu": 4, "mem": "8g"}`) limit each key pair. `callback_url` is
    accepted and ignored. It listens on loopback; `allow_remote=True` lets `host` be an address that other machines
    can reach, all of which can then run code here with a key: for networks in which everybody may.
    """

    def __init__(
        self,
        release: str = "26.8",
        *,
        agents: Sequence[Agent] = (),
        idle_timeout: float = 1800.0,
        step_delay: float = 0.0,
        host: str = "127.0.0.1",
        allow_remote: bool = False,
        port: int = 0,
        work_dir: Path | str | None = None,
        max_concurrent_sessions: int | None = None,
        max_resources: Mapping[str, int | str | Decimal] | None = None,
        max_containers_per_session: int = 3,
        images: Sequence[Image] | None = None,
        rate_limit: int = 30000,
        ping_interval: float = 15.0,
        faults_seed: int | None = None,
    ) -> None:
        if not allow_remote:
            require_loopback(host)
        self._release = release_named(release)
        self._agents = tuple(agents) or (Agent(),)
        self._idle_timeout = idle_timeout
        self._step_delay = step_delay
        self._host = host
        self._allow_remote = allow_remote
        self._port = port
        self._given_work_dir = None if work_dir is None else Path(work_dir)
        self._max_concurrent = max_concurrent_sessions
        self._max_resources = (
            None
            if max_resources is None
            else {name: parse_amount(name, amount) for name, amount in max_resources.items()}
        )
        self._max_containers = max_containers_per_session
        self._images = Catalogue(images)
        self._rate_limit = rate_limit
        self._ping_interval = ping_interval
        self.clock = Clock()
        self._faults = Faults(faults_seed)
        self._lock = threading.RLock()
        self._thread: LoopThread | None = None
        self._front: Front | None = None
        self._state: ServerState | None = None
        self._user: Keypair | None = None
        self._admin: Keypair | None = None
        self._endpoint: str | None = None
        self._work_dir: Path | None = None
        self._owner_pid = 0

    def __repr__(self) -> str:
        where = self._endpoint or "stopped"
        return f"<LocalCluster {self._release.name} {where}>"

    # --- start and stop -----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the server, if it does not run; returns when it answers."""
        with self._lock:
            if self._thread is not None:
                return self
            self._work_dir = self._make_work_dir()
            self._owner_pid = os.getpid()
            self._thread = LoopThread("backendai-local-cluster")
            try:
                self._thread.run(self._serve(self._work_dir), _START_LIMIT)
            except BaseException:
                self.stop()
                raise
            atexit.register(self.stop)
            return self

    def stop(self) -> None:
        """End every session, close the server and remove its files. Idempotent and bounded."""
        with self._lock:
            atexit.unregister(self.stop)
            thread, self._thread = self._thread, None
            if thread is None or os.getpid() != self._owner_pid:
                return
            try:
                self._run_shut_down(thread)
            finally:
                thread.stop()
                self._endpoint = None
                if self._work_dir is not None:
                    shutil.rmtree(self._work_dir, ignore_errors=True)

    def _run_shut_down(self, thread: LoopThread) -> None:
        try:
            thread.run(self._shut_down(), _STOP_LIMIT)
        except TimeoutError:
            log.warning("the local cluster did not stop in %g seconds; it is cut off", _STOP_LIMIT)
        except BaseException:  # Ctrl-C: the interpreters must go all the same
            with contextlib.suppress(TimeoutError):
                thread.run(self._shut_down(), _STOP_LIMIT)
            raise

    async def astart(self) -> Self:
        """`start()`, without blocking the caller's loop."""
        return await in_thread(self.start)

    async def astop(self) -> None:
        """`stop()`, without blocking the caller's loop; carried through even when the caller is cancelled."""
        await in_thread(self.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            return await self.astart()
        except asyncio.CancelledError:
            await self.astop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.astop()

    def _make_work_dir(self) -> Path:
        """A directory of this start's own, so that removing it removes nothing else."""
        if self._given_work_dir is not None:
            self._given_work_dir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="backendai-local-", dir=self._given_work_dir))

    async def _serve(self, work_dir: Path) -> None:
        accounts = Accounts(self.clock)
        self._user = accounts.add("user@local.test").keypair
        self._admin = accounts.add("admin@local.test", admin=True).keypair
        agents = Agents(self._agents)
        hub = EventHub(self._release, self._faults)
        self.clock.bind(asyncio.get_running_loop())
        sessions = Lifecycle(
            release=self._release,
            clock=self.clock,
            agents=agents,
            hub=hub,
            make_kernel=self._make_kernel,
            step_delay=self._step_delay,
            idle_timeout=self._idle_timeout,
            max_concurrent=self._max_concurrent,
            max_resources=self._max_resources,
        )
        self._state = state = ServerState(
            release=self._release,
            clock=self.clock,
            faults=self._faults,
            accounts=accounts,
            agents=agents,
            images=self._images,
            hub=hub,
            sessions=sessions,
            limiter=RateLimiter(self._rate_limit, monotonic=self.clock.monotonic),
            schema=make_schema(self._release),
            work_dir=work_dir,
            ping_interval=self._ping_interval,
            max_containers=self._max_containers,
            any_host=self._allow_remote,
        )
        self._front = Front(state, self._host, self._port)
        await self._front.open()
        sessions.start()
        self._endpoint = f"http://{reachable(self._host)}:{self._front.port}"

    async def _shut_down(self) -> None:
        self.clock.bind(None)
        if self._state is not None:
            self._state.hub.close()
            await self._state.tasks.close()
            await self._state.sessions.close()
        if self._front is not None:
            await self._front.shut()
        if self._state is not None:  # what a last request may have begun
            await self._state.sessions.close()

    def _make_kernel(self, session: SessionRecord) -> Kernel:
        names = [kernel.hostname for kernel in session.kernels]
        replicas = "main:1" + (f",sub:{len(names) - 1}" if len(names) > 1 else "")
        environ = {
            "BACKENDAI_ACCESS_KEY": session.access_key,
            "BACKENDAI_CLUSTER_HOST": session.main.hostname,
            "BACKENDAI_CLUSTER_HOSTS": ",".join(names),
            "BACKENDAI_CLUSTER_IDX": str(session.main.idx),
            "BACKENDAI_CLUSTER_LOCAL_RANK": str(session.main.local_rank),
            "BACKENDAI_CLUSTER_REPLICAS": replicas,
            "BACKENDAI_CLUSTER_ROLE": session.main.role,
            "BACKENDAI_CLUSTER_SIZE": str(len(names)),
            "BACKENDAI_KERNEL_ID": str(session.main.id),
            "BACKENDAI_KERNEL_IMAGE": session.image.canonical,
            "BACKENDAI_PREOPEN_PORTS": ",".join(map(str, session.preopen_ports)),
            "BACKENDAI_SERVICE_PORTS": "",
            "BACKENDAI_SESSION_ID": str(session.id),
            "BACKENDAI_SESSION_NAME": session.name,
        }
        return Kernel(
            work_dir=session.work_dir,
            environ={**environ, **session.environ},
            memory_limit=int(session.main.slots["mem"]),
            runtime=session.image.runtime,
            drop_output_between_steps=self._release.drop_output_between_steps,
            exceptions_fail=self._release.exceptions_fail,
            clock=self.clock,
        )

    # --- what a user asks -----------------------------------------------------------------------------------

    @property
    def release(self) -> str:
        return self._release.name

    @property
    def endpoint(self) -> str:
        """The URL of the running server."""
        if self._endpoint is None:
            raise RuntimeError("the local cluster does not run: use it in a `with` block, or call start()")
        return self._endpoint

    @property
    def user(self) -> Keypair:
        """The ordinary user's key pair; it is new at each start."""
        return self._started(self._user)

    @property
    def admin(self) -> Keypair:
        """A superadmin's key pair."""
        return self._started(self._admin)

    @property
    def access_key(self) -> str:
        return self.user.access_key

    @property
    def secret_key(self) -> str:
        return self.user.secret_key

    @property
    def rate_limit(self) -> int:
        """Requests per key in fifteen minutes; may be set while the server runs."""
        return self._rate_limit

    @rate_limit.setter
    def rate_limit(self, limit: int) -> None:
        self._rate_limit = limit
        if self._state is not None:
            self._state.limiter.limit = limit

    def add_user(self, email: str | None = None, *, admin: bool = False) -> Keypair:
        """Another user with a key pair of its own."""
        state = self._started(self._state)
        return self._call(lambda: state.accounts.add(email, admin=admin).keypair)

    def sessions(self) -> list[SessionSnapshot]:
        """Every session the server remembers, oldest first, as it is now (or was when the server stopped)."""
        state = self._state
        if state is None:
            return []
        return self._call(lambda: [record.snapshot() for record in state.sessions])

    def live_sessions(self) -> list[SessionSnapshot]:
        """The sessions that have not ended."""
        return [session for session in self.sessions() if session.is_live]

    # --- what a user breaks -----------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What goes wrong with requests, connections and events: see `backendai_sdk.local.faults`."""
        return self._faults

    def disconnect(self, on: str = "*") -> int:
        """Reset the connections whose last request matches `on`, such as `"GET /events*"`; how many those were."""
        pattern = Pattern.for_requests(on, connections=False)
        front = self._started(self._front)
        return self._call(lambda: front.disconnect(pattern))

    def freeze(self) -> None:
        """The manager's process stands still, as if stopped by a signal: until `thaw()`.

        Connections are accepted, but nothing is read, answered or sent, and no session moves on. What runs in
        sessions runs on. For the manager's own state of maintenance see `manager_status`.
        """
        front = self._started(self._front)
        self._call(front.freeze)

    def thaw(self) -> None:
        """The manager goes on: what it was asked meanwhile is answered now."""
        front = self._started(self._front)
        self._call(front.thaw)

    @property
    def manager_status(self) -> str:
        """`"running"`, or `"frozen"`: the state of maintenance, in which what would change something is refused (503)."""
        return self._started(self._state).manager_status

    @manager_status.setter
    def manager_status(self, status: str) -> None:
        if status not in _STATUSES:
            raise ValueError(
                f"manager_status={status!r}: one of {', '.join(map(repr, _STATUSES))} is expected"
            )
        self._started(self._state).manager_status = status

    def restart(self, *, downtime: float = 0.0) -> None:
        """Restart the manager, not the cluster: sessions live on, and so does what runs in them.

        All connections are reset, background tasks end, and for `downtime` seconds nobody listens. Then the manager
        answers again, at the same endpoint.
        """
        if isinstance(downtime, bool) or not isinstance(downtime, int | float):
            raise TypeError(f"downtime={downtime!r}: a number is expected")
        if not math.isfinite(downtime) or downtime < 0:
            raise ValueError(f"downtime={downtime!r}: at least 0 is expected")
        with self._lock:
            if self._thread is None:
                raise RuntimeError("the local cluster does not run")
            self._thread.run(self._restart(downtime), downtime + _START_LIMIT)

    async def arestart(self, *, downtime: float = 0.0) -> None:
        """`restart()`, without blocking the caller's loop."""
        await in_thread(lambda: self.restart(downtime=downtime))

    async def _restart(self, downtime: float) -> None:
        state, front = self._started(self._state), self._started(self._front)
        front.cut()
        state.hub.disconnect()
        await state.tasks.close()
        await front.shut()
        await asyncio.sleep(downtime)
        await front.open(again=True)

    def _call(self, function: Callable[[], T]) -> T:
        with self._lock:
            return function() if self._thread is None else self._thread.call(function)

    @staticmethod
    def _started(value: T | None) -> T:
        if value is None:
            raise RuntimeError("the local cluster has not been started")
        return value
