"""What all views of one client session share: connections, what was agreed on, what was learned of the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import attrs

from backendai_sdk._transport.clock import ServerClock
from backendai_sdk._transport.connection import Connection
from backendai_sdk._transport.gate import Gate
from backendai_sdk._transport.sign_in import SignIns
from backendai_sdk.config import Config
from backendai_sdk.errors import ClientClosed, UsageError
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.retry import RetryBudget

__all__ = ["Shared"]


@attrs.define
class Shared:
    """The state behind a ``Transport`` and its views.

    Attributes:
        ready: the server's release and the agreed version, once it was asked.
        preferred: which endpoint answers.
        rate_limit: the rate-limit headers of the last answer that had them.
        lock: single flight for asking the server's release; another than that of ``sign_ins``, because
            asking may need signing in.
    """

    connection: Connection | None = None
    ready: ServerInfo | None = None
    preferred: int = 0
    closed: bool = False
    clock: ServerClock = attrs.field(factory=ServerClock)
    sign_ins: SignIns = attrs.field(factory=SignIns)
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    gate: Gate = attrs.field(factory=Gate)
    rate_limit: Mapping[str, str] = attrs.field(factory=dict)
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def connect(self, config: Config) -> Connection:
        """The connections of the running event loop; nothing is opened before they are used.

        Raises:
            ClientClosed: the client session was closed.
            UsageError: it is in use on another loop, or by the parent of this process.
        """
        self.refuse_closed()
        if self.inherited:
            raise UsageError(
                "this session was in use before os.fork(), and its connections are the parent's: make a new one "
                "in the child (or start child processes with multiprocessing's 'spawn')"
            )
        loop = asyncio.get_running_loop()
        if self.connection is not None and self.connection.loop is not loop:
            if not self.connection.loop.is_closed():
                raise UsageError(
                    "this AsyncSession was opened on another event loop that still runs: use it there, or make "
                    "one for each loop (the blocking Session may be used from anywhere)"
                )
            # The old loop is gone and its connections with it, as after a second asyncio.run().
            self.connection = None
            self.lock, self.gate = asyncio.Lock(), Gate()
            self.sign_ins.new_loop()
        if self.connection is None:
            self.connection = Connection(config)
        return self.connection

    @property
    def inherited(self) -> bool:
        """Whether the connections are those of the process that this one was forked from."""
        return self.connection is not None and self.connection.pid != os.getpid()

    def refuse_closed(self) -> None:
        """Raise ``ClientClosed`` if the client session was closed."""
        if self.closed:
            raise ClientClosed("this session object was closed; make a new one")

    def fail_over(self, endpoint: int, endpoints: int) -> None:
        """Prefer the endpoint after this one, of so many, unless another task has moved on already."""
        if self.preferred == endpoint:
            self.preferred = (endpoint + 1) % endpoints
