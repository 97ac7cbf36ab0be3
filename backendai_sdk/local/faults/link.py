"""One connection as the network treats it: between the socket's transport and the server's HTTP protocol.

It is the protocol of the one and the transport of the other, so faults act on the bytes of everything that goes over
the connection, without a second hop. Assumes one loop thread. A connection that nothing happens to passes its bytes
straight on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, cast

from .network import Cut, HalfOpen, Reset
from .outlet import Ending, Outlet
from .shape import PLAIN

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from .fault import NetworkFault

__all__ = ["Link"]

_HIGH: Final = 64 * 1024  # so much waits here before the server has to
_LOW: Final = 16 * 1024
_RETRY: Final = 0.005  # until the kernel has taken what goes before a reset
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: a closed socket sends RST

_HELD, _SLOW, _ASKED = "held", "slow", "asked"  # who wants nothing to be read


class _Trip:
    """Something that ends the connection after so many bytes."""

    def __init__(self, left: int, how: Ending) -> None:
        self.left = left
        self.how = how


class Link(asyncio.Transport, asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, inner: asyncio.Protocol, links: set[Link], *, held: bool) -> None:
        super().__init__()
        self._inner = inner
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._real: asyncio.Transport | None = None
        self._held = held
        self._outlet = Outlet()
        self._timer: asyncio.TimerHandle | None = None
        self._base = self._shape = PLAIN
        self._base_trips: list[_Trip] = []  # of the answers on this connection together
        self._trips: list[_Trip] = []  # of the answer under way
        self._in_trips: list[_Trip] = []
        self._received = 0  # since the answer before was complete
        self._in_rate: float | None = None
        self._inbox: list[bytes] = []
        self._inbox_timer: asyncio.TimerHandle | None = None
        self._not_reading: set[str] = {_HELD} if held else set()
        self._silent = False
        self._begun: Callable[[], None] | None = None
        self._mute = False  # nothing more of the answer goes out
        self._closing = False
        self._choked = False  # the kernel takes no more
        self._told_to_wait = False
        self._at_end = False
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.target = ""

    # --- what happens to it ---------------------------------------------------------------------------------

    @property
    def troubled(self) -> bool:
        """Whether it would not end by itself when the server closes it."""
        return (
            self._held
            or self._silent
            or bool(self._outlet)
            or self._in_rate is not None
            or self._base is not PLAIN
        )

    def begin(self, target: str) -> None:
        """A new request has come in: nothing is left of what was done to the one before."""
        self.target = target
        self._shape = self._base
        self._trips.clear()

    def answered(self) -> None:
        """What comes in from now on belongs to the next request."""
        self._received = 0
        self._in_rate = self._base.rate
        self._in_trips.clear()

    def apply(self, faults: Iterable[tuple[NetworkFault, random.Random]], *, whole: bool = False) -> bool:
        """Let these faults act on the answer under way, or on the `whole` connection.

        Whether the request still reaches the server: not if the connection is at its end before.
        """
        shape, trips = (self._base, self._base_trips) if whole else (self._shape, self._trips)
        now: Ending | None = None
        for fault, dice in faults:
            match fault:
                case Reset(after=after, of=of) | Cut(after=after, of=of):
                    how = Ending.RESET if isinstance(fault, Reset) else Ending.CLOSE
                    if of == "request":
                        self._in_trips.append(_Trip(after - self._received, how))
                        if after <= self._received:
                            now = now or how
                    elif after == 0:
                        now = now or how
                    else:
                        trips.append(_Trip(after, how))
                case HalfOpen(after):
                    if after == 0:
                        now = now or Ending.SILENCE
                    else:
                        trips.append(_Trip(after, Ending.SILENCE))
                case _:
                    shape = shape.with_(fault, dice)
        if whole:
            self._base = shape
        self._shape = shape
        self._in_rate = shape.rate
        if now is not None:
            self.end(now)
        elif self._received:
            self._slow_down(self._received)
        return now is None

    async def catch_up(self) -> None:
        """Wait until a line as slow as this one would have carried what has been received already."""
        if self._in_rate is not None:
            await asyncio.wait([self.lost], timeout=self._received / self._in_rate)

    def end(self, how: Ending, *, now: bool = False) -> None:
        """End the connection after what has been written, or `now`."""
        if self._mute and not now:
            return
        self._mute = True
        if now:
            self._finish(how)
        else:
            self._outlet.end(how, 0.0, self._loop.time())
            self._pump()

    def mute(self, begun: Callable[[], None]) -> None:
        """Throw away what the server writes from now on; `begun` is called once, when it writes."""
        self._mute = True
        self._begun = begun

    def hold(self) -> None:
        """Stand still: nothing is read, nothing is sent."""
        self._held = True
        self._read_unless(_HELD)

    def release(self) -> None:
        """Go on where it stood still."""
        self._held = False
        self._read_again(_HELD)
        self._pump()

    def _finish(self, how: Ending) -> None:
        real = self._real
        if real is None:
            return
        if how is Ending.SILENCE:
            self._silent = True
            self._outlet.clear()
            self._tell_inner()
            return
        self._closing = True
        if how is Ending.CLOSE:
            real.close()
            return
        sock: socket.socket | None = real.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        real.abort()

    # --- what comes from the socket ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._real = real = cast("asyncio.Transport", transport)
        self._links.add(self)
        if self._not_reading:
            real.pause_reading()
        self._inner.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._real = None
        self._closing = True
        self._links.discard(self)
        for timer in (self._timer, self._inbox_timer):
            if timer is not None:
                timer.cancel()
        self._outlet.clear()
        self._inbox.clear()
        if not self.lost.done():
            self.lost.set_result(None)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._silent:
            return
        self._received += len(data)
        for trip in self._in_trips:
            trip.left -= len(data)
            if trip.left <= 0:
                self.end(trip.how, now=True)
                return
        if self._in_rate is None and not self._inbox:
            self._inner.data_received(data)
            return
        self._inbox.append(data)
        self._slow_down(len(data))

    def _slow_down(self, size: int) -> None:
        """Read on when the line has carried `size` bytes."""
        rate = self._in_rate
        if self._inbox_timer is None and rate is not None:
            self._read_unless(_SLOW)
            self._inbox_timer = self._loop.call_later(size / rate, self._deliver)

    def _deliver(self) -> None:
        self._inbox_timer = None
        waiting, self._inbox = self._inbox, []
        if waiting and not self._silent:
            self._inner.data_received(b"".join(waiting))
        self._read_again(_SLOW)
        if self._at_end and not self._inner.eof_received():
            self.close()

    def eof_received(self) -> bool | None:
        if self._silent:
            return False
        if self._inbox:
            self._at_end = True
            return True  # stays open until what came before is delivered
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._choked = True
        self._tell_inner()

    def resume_writing(self) -> None:
        self._choked = False
        self._pump()

    def _tell_inner(self) -> None:
        """Let the server wait while too much of what it wrote waits."""
        limit = _LOW if self._told_to_wait else _HIGH
        wait = (self._choked and not self._mute) or self._outlet.size > limit
        if wait is not self._told_to_wait:
            self._told_to_wait = wait
            (self._inner.pause_writing if wait else self._inner.resume_writing)()

    # --- what comes from the server ---------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        real = self._real
        if real is None or not data:
            return
        if self._mute:
            begun, self._begun = self._begun, None
            if begun is not None:
                begun()
            return
        if (
            not self._outlet
            and not self._held
            and self._shape.plain
            and not self._trips
            and not self._base_trips
        ):
            real.write(data)
            return
        now = self._loop.time()
        trips = [*self._base_trips, *self._trips]
        tripped = min((t for t in trips if t.left <= len(data)), key=lambda t: t.left, default=None)
        for trip in trips:
            trip.left -= len(data)
        if tripped is None:
            self._outlet.put(bytes(data), self._shape, now)
        else:
            kept = len(data) + tripped.left
            if kept:
                self._outlet.put(bytes(data[:kept]), self._shape, now)
            self.end(tripped.how)
        self._pump()
        self._tell_inner()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        real = self._real
        if real is None or self._silent:
            return
        slow = self._shape.slow_close
        if not self._outlet and not self._held and not slow:
            real.close()
            return
        self._outlet.end(Ending.CLOSE, slow, self._loop.time())
        self._pump()

    def abort(self) -> None:
        if self._real is not None:
            self._real.abort()

    def _pump(self) -> None:
        """Send what is due, and come back when more is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._real is not None and not self._held and not self._choked:
            now = self._loop.time()
            item = self._outlet.take(now)
            if item is None:
                break
            if isinstance(item, Ending):
                if item is Ending.RESET and self._real.get_write_buffer_size():
                    self._outlet.end(item, _RETRY, now)  # a reset would throw it away
                    continue
                self._finish(item)
            elif not isinstance(item, bytes):
                self._timer = self._loop.call_at(item, self._pump)
                break
            else:
                self._real.write(item)
                if self._shape.slice is not None:
                    # One piece per turn of the loop, so that the pieces are sent one by one.
                    self._timer = self._loop.call_later(0, self._pump)
                    break
        self._tell_inner()

    # --- the rest of a transport ------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._closing or self._real is None or self._real.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self._real is None else self._real.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._read_unless(_ASKED)

    def resume_reading(self) -> None:
        self._read_again(_ASKED)

    def is_reading(self) -> bool:
        return self._real is not None and not self._not_reading

    def _read_unless(self, who: str) -> None:
        if not self._not_reading and self._real is not None:
            self._real.pause_reading()
        self._not_reading.add(who)

    def _read_again(self, who: str) -> None:
        self._not_reading.discard(who)
        if not self._not_reading and self._real is not None:
            self._real.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._outlet.size + (0 if self._real is None else self._real.get_write_buffer_size())

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner = cast("asyncio.Protocol", protocol)

    def can_write_eof(self) -> bool:
        return False
