"""Faults of the network between a client and the server.

Assumes that they act on real bytes of real connections (`link`), so that requests, event streams, WebSockets and
transfers are all subject to them. A count of bytes is one of bytes on the wire, headers included.
"""

from __future__ import annotations

from typing import Literal

import attrs

from .fault import NetworkFault, at_least, one_of, whole

__all__ = ["Bandwidth", "Cut", "HalfOpen", "Latency", "Reset", "Slices", "SlowClose"]

Way = Literal["answer", "request"]


@attrs.frozen
class Latency(NetworkFault):
    """Whatever the server sends arrives `seconds` late, and up to `jitter` seconds more, in its order."""

    seconds: float = attrs.field(validator=at_least(0))
    jitter: float = attrs.field(default=0.0, validator=at_least(0), kw_only=True)


@attrs.frozen
class Bandwidth(NetworkFault):
    """No more than so many bytes per second, in each direction."""

    bytes_per_second: float = attrs.field(validator=at_least(0, above=True))


@attrs.frozen
class Slices(NetworkFault):
    """Whatever the server sends comes in pieces of `size` bytes, `pause` seconds apart."""

    size: int = attrs.field(default=1, validator=whole(1))
    pause: float = attrs.field(default=0.0, validator=at_least(0), kw_only=True)


@attrs.frozen
class Reset(NetworkFault):
    """The connection is reset (RST) after so many bytes of the answer, or of the request.

    With `after=0`, the default, it is reset before the server acts.
    """

    after: int = attrs.field(default=0, validator=whole(0))
    of: Way = attrs.field(default="answer", validator=one_of("answer", "request"), kw_only=True)


@attrs.frozen
class Cut(NetworkFault):
    """The connection is closed in good order (FIN) after so many bytes of the answer, or of the request.

    With `after=0`, the default, it is closed before the server acts.
    """

    after: int = attrs.field(default=0, validator=whole(0))
    of: Way = attrs.field(default="answer", validator=one_of("answer", "request"), kw_only=True)


@attrs.frozen
class HalfOpen(NetworkFault):
    """The connection stays open but nothing comes any more, after so many bytes of the answer.

    With `after=0`, the default, the server does not act. What the client sends is read and thrown away.
    """

    after: int = attrs.field(default=0, validator=whole(0))


@attrs.frozen
class SlowClose(NetworkFault):
    """The answer comes, and says that it is the last; the end of the connection comes so many seconds later."""

    seconds: float = attrs.field(validator=at_least(0))
