"""Creating a session exactly once, and waiting until it runs.

The name is the key of the creation: it is chosen before anything is sent and is unique among a key's live
sessions.  When a reply is lost, the session is looked up by that name instead of being created again; when
the caller is cancelled, whatever may have been created is found and destroyed before the cancellation goes
on (DESIGN §5.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from backendai_sdk._async._destroy import destroy_surely, insist
from backendai_sdk._async._tidy import tidy
from backendai_sdk._async.compute import AsyncComputeSession
from backendai_sdk._log import logger
from backendai_sdk._wire.creation import CreateSpec, create_body, is_random_name
from backendai_sdk._wire.gql import equals
from backendai_sdk._wire.limits import more_time
from backendai_sdk._wire.request import Request
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.enums import SessionStatus
from backendai_sdk.errors import (
    AuthenticationError,
    BadRequest,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    SessionExists,
    SessionTimeout,
    UnsupportedServer,
    WireError,
)
from backendai_sdk.models.session import SessionInfo

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.callbacks import ProgressCallback

__all__ = ["Creation"]

log = logger("create")

# How much older than its request a session may look and still be the request's: clocks and rounding.
_SLACK = timedelta(seconds=5)
# The reply is missing or worthless: the server may have made the session all the same.
_NO_REPLY = (ConnectionLost, RequestTimeout, ProtocolError, ServerError)
# Of these, the ones that asking again may cure. A 500 is one of them: creations side by side make the database of
# 23.09 refuse one with it (seen), and the next try goes through.
_MAY_GO_AGAIN = (ConnectionLost, RequestTimeout, ServerError)
# The server, or the SDK before it, has said no: there is nothing to undo.
_REFUSED = (
    AuthenticationError,
    BadRequest,
    ConnectError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    SessionExists,
    UnsupportedServer,
)
# Nobody knows whether the server will still act: it was not waited for.
_LATE = (DeadlineExceeded, RequestTimeout)
_SECOND_LOOK = 1.0
_LOOKUP = ("id", "name", "status", "created_at", "type")


@attrs.define(kw_only=True)
class Creation:
    """One session to be created."""

    client: Client
    spec: CreateSpec
    reuse: bool = False
    enqueue_only: bool = False
    max_wait: float | None = None
    on_progress: ProgressCallback | None = None
    # What to call it where it is shown: a random name says less than its image.
    title: str = ""
    _asked_at: float | None = None  # by the loop's clock
    _now: Callable[[], datetime] = attrs.field(init=False)
    _asking: asyncio.Task[object] | None = None
    # What the creation is called in the journal; "" if it is not in there.
    _entry: str = ""

    async def run(self) -> AsyncComputeSession:
        """Create it; wait until it runs unless only enqueuing was asked for.

        Raises:
            SessionFailed: it ended instead of starting.
            SessionTimeout: ``max_wait`` ran out; the session was destroyed.
        """
        session: AsyncComputeSession | None = None
        try:
            session = await self._enqueue()
            if not self.enqueue_only:
                await self._wait(session)
                # A cancellation from inside the caller's own `on_progress` arrives at the next await: let that be
                # here, where it still undoes the session, and not after the return, where nobody holds it.
                await asyncio.sleep(0)
            return session
        except BaseException as exc:
            if self._asked_at is not None and not (session is not None and session.status.is_dead):
                await self._undo(session, exc)
            else:
                self.client.journal.forget(self._entry)
            raise

    async def _enqueue(self) -> AsyncComputeSession:
        server = await self.client.server()
        body = create_body(self.spec, server, reuse=self.reuse)
        self._now = (await self.client.open()).now
        if not self.reuse:  # what goes by its name belongs to whoever asks for that name, not to one process
            self._entry = await self.client.journal.intend(
                self.spec.name, access_key=self._access_key or "", asked_at=self._now()
            )
        self._asked_at = asyncio.get_running_loop().time()
        session = await self._settled(body)
        self.client.journal.made(self._entry, session.id)
        return session

    async def _settled(self, body: Mapping[str, object]) -> AsyncComputeSession:
        """Ask for it; if the reply is lost, find out what has become of it."""
        try:
            return await self._post(body)
        except _REFUSED:
            self._asked_at = None  # nothing was made: there is nothing to undo
            raise
        except _NO_REPLY as exc:
            log.info("no reply to the creation of %s (%s): looking it up", self.spec.name, exc)
            if (found := await self._adopt()) is not None:
                return found
            if not isinstance(exc, _MAY_GO_AGAIN):
                raise
        # It is not there, and its name lets no second one come into being: asking again is safe.
        try:
            return await self._post(body)
        except SessionExists:
            # The first request was only slow: what it has made is ours.
            if (found := await self._adopt()) is not None:
                return found
            raise

    async def _post(self, body: Mapping[str, object]) -> AsyncComputeSession:
        # In a task of its own, because a cancellation must not drop the request: a server that is slow, or stands still
        # for a moment, would read it after the look-up that finds nothing to undo.
        request = Request(method="POST", path="/session", json=body)
        self._asking = asyncio.get_running_loop().create_task(self.client.json(request))
        try:
            answer = await asyncio.shield(self._asking)
        except asyncio.CancelledError:
            raise  # what comes of the request is seen to where the creation is undone
        except SessionExists as exc:
            self._asking = None
            exc.args = (f"{self.spec.name!r}: {exc}",)
            raise
        except BaseException:
            self._asking = None
            raise
        self._asking = None
        return self._handle(answer)

    def _handle(self, answer: object) -> AsyncComputeSession:
        match answer:
            case {"sessionId": str(session_id), **rest}:
                if rest.get("created") is False:
                    self._asked_at = None  # it was there before: it is not ours to undo
                info = SessionInfo(
                    id=session_id,
                    name=str(rest.get("sessionName") or self.spec.name),
                    status=SessionStatus(str(rest.get("status") or "PENDING")),
                    type=self.spec.type,
                    image=self.spec.image,
                )
                return AsyncComputeSession(self.client, info)
        raise WireError(f"the answer to a creation has no 'sessionId': {excerpt(answer)}")

    async def _adopt(self) -> AsyncComputeSession | None:
        """The session that a creation without a reply has led to, if there is one."""
        for row in await self._look_up():
            if self._is_ours(row):
                return AsyncComputeSession(self.client, row)
            if self.reuse:
                self._asked_at = None  # it was there before: it is not ours to undo
                return AsyncComputeSession(self.client, row)
        return None

    @property
    def _access_key(self) -> str | None:
        """Whose session it is to be, as far as that is known."""
        return self.spec.owner_access_key or self.client.config.access_key or None

    async def _look_up(self) -> Sequence[SessionInfo]:
        """The live sessions of that name under the key that asked: names are unique for each key only."""
        page = await self.client.page(
            _LOOKUP,
            limit=10,
            status="active",
            filter=equals("name", self.spec.name),
            access_key=self._access_key,
        )
        return page.items

    def _is_ours(self, row: SessionInfo) -> bool:
        """Whether this creation has made it, and not somebody before it."""
        if is_random_name(self.spec.name):
            return True  # whatever the clocks say
        if not row.created_at or self._asked_at is None:
            return not self.reuse  # then the name was free, or the server would have refused it
        # By the server's clock as it is known now: perhaps the refusal of the first try has told that it is off.
        asked = self._now() - timedelta(seconds=asyncio.get_running_loop().time() - self._asked_at)
        return row.created_at >= asked - _SLACK

    async def _wait(self, session: AsyncComputeSession) -> None:
        limit = self.max_wait if self.max_wait is not None else self.client.config.timeouts.start
        try:
            await session._wait_until("running", limit, self.on_progress)
        except SessionTimeout as exc:
            option = "max_wait" if self.max_wait is not None else "timeouts.start"
            advice = "to keep its place in the queue, use enqueue_only=True and wait(timeout=...)"
            more = "for more time, give a larger max_wait=" if option == "max_wait" else more_time(option)
            exc.args = (f"{exc}. It was given up ({option} ran out) and destroyed; {more}; {advice}",)
            raise

    async def _undo(self, session: AsyncComputeSession | None, reason: BaseException) -> None:
        """Destroy what this creation has made, although nobody knows whether it has."""
        try:
            await tidy(
                self.client,
                self._destroy(session, reason),
                what=f"the session {self.spec.name} could not be looked for and destroyed",
            )
        except BaseException as exc:
            self.client.journal.abandon(key=self._entry)
            if not isinstance(exc, Exception):
                raise
            # The reason is what the caller must learn of.
            log.warning(
                "the session %s may have been left behind after %s: %s%s",
                self.spec.name,
                type(reason).__name__,
                str(exc) or type(exc).__name__,
                self.client.journal.advice,
            )

    async def _destroy(self, session: AsyncComputeSession | None, reason: BaseException) -> None:
        if session is None and (session := await self._still_asked()) is not None:
            self.client.journal.made(self._entry, session.id)
        if self._asked_at is None:
            self.client.journal.forget(self._entry)  # it was not made, or was there before
        elif session is not None:
            await session._destroy_surely()
        elif await self._destroy_found():
            self.client.journal.forget(self._entry)
        else:
            # The request may still be under way: whoever reaps will look again.
            self.client.journal.abandon(key=self._entry)
            if isinstance(reason, _LATE):
                await asyncio.sleep(_SECOND_LOOK)
                if await self._destroy_found():
                    self.client.journal.forget(self._entry)

    async def _still_asked(self) -> AsyncComputeSession | None:
        """What comes of a request whose caller was cancelled while it was under way."""
        asking, self._asking = self._asking, None
        if asking is None:
            return None
        try:
            return self._handle(await asking)
        except _REFUSED:
            self._asked_at = None  # nothing was made: there is nothing to undo
        except (*_NO_REPLY, DeadlineExceeded) as exc:
            log.info("no reply to the creation of %s (%s): looking it up", self.spec.name, exc)
        finally:
            asking.cancel()
        return None

    async def _destroy_found(self) -> bool:
        ours = [row for row in await insist(self.client, self._look_up) if self._is_ours(row)]
        for row in ours:
            await destroy_surely(self.client, row.id)
        return bool(ours)
