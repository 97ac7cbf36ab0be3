"""The server's door: the listening socket, and every connection that came through it.

Assumes one loop thread. The door may be shut and opened again on the same port while everything behind it goes on,
as when a manager's process is restarted.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from .app import build_app
from .faults.link import Link
from .faults.middleware import strike
from .faults.outlet import Ending
from .faults.pattern import CONNECT, Pattern

if TYPE_CHECKING:
    from .server import ServerState

__all__ = ["Front", "reachable", "require_loopback"]

log = logging.getLogger(__name__)

_DRAIN: Final = 1.0  # how long open requests may go on when the door is shut
_KEEPALIVE: Final = 30.0
_BACKLOG: Final = 128
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RECOVERY: Final = 1.0  # seconds until the machine may have files and memory again
_PORT_LIMIT: Final = 5.0  # how long to wait for the port that was given up


class Front:
    """Open it, shut it, open it again."""

    def __init__(self, state: ServerState, host: str, port: int) -> None:
        self._state = state
        self._host = host
        self.port = port
        self._links: set[Link] = set()
        self._runner: web.AppRunner | None = None
        self._server: web.Server | None = None
        self._listening: socket.socket | None = None
        self._taking: set[asyncio.Task[None]] = set()
        self.frozen = False

    async def open(self, *, again: bool = False) -> None:
        """Listen; `port` is known from then on. It may be taken for a moment when it is opened `again`."""
        self._runner = runner = web.AppRunner(
            build_app(self._state), access_log=None, shutdown_timeout=_DRAIN, keepalive_timeout=_KEEPALIVE
        )
        await runner.setup()
        listening = await self._listen(_PORT_LIMIT if again else 0.0)
        self.port = listening.getsockname()[1]
        self._server = cast("web.Server", runner.server)  # made by setup()
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    async def _listen(self, patience: float) -> socket.socket:
        end = asyncio.get_running_loop().time() + patience
        while True:
            try:
                return _bound(self._host, self.port)
            except OSError:
                if asyncio.get_running_loop().time() >= end:
                    raise
            await asyncio.sleep(0.05)

    def _accept(self) -> None:
        """Take every connection that waits.

        By hand, because an `asyncio.Server` that is closed leaks those that it is about to take.
        """
        loop = asyncio.get_running_loop()
        while self._listening is not None and self._server is not None:
            try:
                sock, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                log.warning("the local cluster accepts no connections for a moment: %s", error)
                loop.remove_reader(self._listening)
                loop.call_later(_RECOVERY, self._accept_again, self._listening)
                return
            sock.setblocking(False)
            task = loop.create_task(self._take(sock, self._server))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    def _accept_again(self, listening: socket.socket) -> None:
        if self._listening is listening:
            asyncio.get_running_loop().add_reader(listening, self._accept)

    async def _take(self, sock: socket.socket, server: web.Server) -> None:
        def link() -> Link:
            return _Accepted(self, server(), self._links, held=self.frozen)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(link, sock)
        except OSError as error:  # gone already
            log.debug("a connection was lost as it was accepted: %s", error)
            sock.close()

    def admit(self, link: Link) -> None:
        """A connection is there, which may be struck as a whole."""
        if self._listening is None:  # it was accepted as the door was shut
            link.abort()
        elif injections := self._state.faults.for_connection():
            strike(link, injections, CONNECT, whole=True)

    def freeze(self) -> None:
        """Accept, and do nothing more: what comes is not read, what is written is not sent."""
        self.frozen = True
        self._state.sessions.hold()
        for link in tuple(self._links):
            link.hold()

    def thaw(self) -> None:
        """Go on."""
        self.frozen = False
        self._state.sessions.go_on()
        for link in tuple(self._links):
            link.release()

    def disconnect(self, pattern: Pattern) -> int:
        """Reset every connection whose last request matches; how many those were."""
        struck = [link for link in self._links if link.target and pattern.matches(link.target)]
        for link in struck:
            link.end(Ending.RESET, now=True)
        return len(struck)

    def cut(self) -> None:
        """Stop listening and reset every connection."""
        self._stop_listening()
        for link in tuple(self._links):
            link.end(Ending.RESET, now=True)

    def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()

    async def shut(self) -> None:
        """Stop listening, let requests come to their end for a moment, and end every connection. Idempotent."""
        self._stop_listening()
        await asyncio.gather(*self._taking)
        for link in tuple(self._links):
            if link.troubled:  # it would not end by itself
                link.abort()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        for link in tuple(self._links):
            link.abort()  # its client reads no more
        if self.frozen:
            self.thaw()
        await asyncio.sleep(0)  # what was aborted is lost now


class _Accepted(Link):
    """A connection that came through a door."""

    def __init__(self, front: Front, inner: asyncio.Protocol, links: set[Link], *, held: bool) -> None:
        super().__init__(inner, links, held=held)
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._front.admit(self)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def require_loopback(host: str) -> None:
    """Refuse an address that others can reach."""
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(
            f"host={host!r}: the local cluster runs code for whoever can reach it, so it listens on loopback only; "
            "with allow_remote=True, where everybody may run code on this machine, on any address",
        )


def reachable(host: str) -> str:
    """The address at which this machine reaches what listens on *host*, as URLs write it."""
    if host == "0.0.0.0":  # noqa: S104 - all addresses of the machine: loopback is one of them
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
