"""Server-sent events out of the bytes of a stream, by the WHATWG's rules (PROTOCOL §5.1).

Feed the body's chunks as they come, however they are cut; each complete event is returned at once.  What
has not been ended by an empty line when the stream ends was never an event: nothing has to be flushed.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import NamedTuple

from backendai_sdk.errors import ProtocolError

__all__ = ["SSEDecoder", "ServerSentEvent"]

_BOM = b"\xef\xbb\xbf"
_BOM_TEXT = "\ufeff"
_DEFAULT_LIMIT = 16 * 2**20


class ServerSentEvent(NamedTuple):
    """One event of a stream.

    Attributes:
        name: the ``event:`` field, ``"message"`` if there was none.
        data: the ``data:`` lines, joined by line feeds.
        id: the last ``id:`` seen on the stream up to this event, ``""`` if there was none.
    """

    name: str
    data: str
    id: str


class SSEDecoder:
    """Decodes one ``text/event-stream``; make a new one for each connection.

    Args:
        limit: the most bytes that one event may have, its comments included.
        last_event_id: what an earlier connection had seen last.

    Attributes:
        last_event_id: the id to send as ``Last-Event-ID`` when connecting anew, ``""`` if there is none.
    """

    def __init__(self, *, limit: int = _DEFAULT_LIMIT, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self._limit = limit
        self._retry: int | None = None
        # What follows the last empty line; line ends are LF already.
        self._buffer = bytearray()
        self._at_start = True
        self._after_cr = False
        self._failure: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream and return the events that they complete.

        Raises:
            ProtocolError: an event is larger than the limit. Events that were complete before it are returned
                first: then it is the next call that raises.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure)
        if not chunk:
            return []
        # A CR ends its line at once (the next chunk may be long in coming), so a LF after it is swallowed later.
        if self._after_cr and chunk[0] == 10:
            chunk = chunk[1:]
        self._after_cr = chunk[-1:] == b"\r"
        if b"\r" in chunk:
            chunk = _line_feeds(chunk)

        buffer = self._buffer
        # The first LF of an empty line may have come with the chunk before.
        seen = max(len(buffer) - 1, 0)
        buffer += chunk
        end = buffer.rfind(b"\n\n", seen)
        events: list[ServerSentEvent] = []
        if end >= 0:
            whole = bytes(buffer[:end])
            del buffer[: end + 2]
            if self._at_start:
                self._at_start = False
                whole = whole.removeprefix(_BOM)
            if len(whole) > self._limit:
                whole = self._up_to_oversized(whole)
            self._decode(whole.decode("utf-8", "replace"), events)
        # Line feeds around an event are not its own, or the limit would depend on how the chunks are cut.
        if len(buffer) > self._limit and len(buffer.strip(b"\n")) > self._limit:
            self._fail()
        if self._failure is not None and not events:
            raise ProtocolError(self._failure)
        return events

    @property
    def retry(self) -> int | None:
        """How long the server asked to wait before connecting anew, in milliseconds, or ``None``."""
        # A `retry:` line counts from its own end on, so those of an unfinished event are looked at here.
        retry = self._retry
        lines = self._buffer[: self._buffer.rfind(b"\n") + 1].decode("utf-8", "replace")
        for line in (lines.removeprefix(_BOM_TEXT) if self._at_start else lines).split("\n"):
            field, _, value = line.partition(":")
            if field == "retry":
                retry = _milliseconds(value.removeprefix(" "), retry)
        return retry

    def _decode(self, text: str, events: list[ServerSentEvent]) -> None:
        """Append the events of *text*: whole ones, each without the empty line that ended it."""
        last_id = self.last_event_id
        plain = _PLAIN.findall(text)
        if len(text) == _length_of(plain):
            events += [_new(ServerSentEvent, (name, data, last_id)) for name, data in plain]
            return
        for block in text.split("\n\n"):
            name = "message"
            data: str | None = None
            more: list[str] | None = None
            for line in block.split("\n"):
                field, _, value = line.partition(":")
                if value[:1] == " ":
                    value = value[1:]
                if field == "data":
                    if data is None:
                        data = value
                    elif more is None:
                        more = [data, value]
                    else:
                        more.append(value)
                elif field == "event":
                    name = value or "message"
                elif field == "id":
                    if "\0" not in value:
                        last_id = value
                elif field == "retry":
                    self._retry = _milliseconds(value, self._retry)
                # Anything else is a comment (its field is empty), an empty line, or a field of the future.
            if data is not None:
                events.append(ServerSentEvent(name, data if more is None else "\n".join(more), last_id))
        self.last_event_id = last_id

    def _up_to_oversized(self, whole: bytes) -> bytes:
        """Return what comes before the first event that is over the limit; fail if there is one."""
        start = 0
        for block in whole.split(b"\n\n"):
            if len(block.strip(b"\n")) > self._limit:
                self._fail()
                return whole[:start]
            start += len(block) + 2
        return whole

    def _fail(self) -> None:
        self._failure = f"the server sent an event of more than {self._limit} bytes"
        self._buffer.clear()


# What the named tuple's own constructor comes to, at a third of its price.
_new = tuple.__new__
# An event of the one shape that managers send: a name, and one line of data. A text that has nothing but those need
# not be looked at line by line. It takes linear time of any text: it begins at lines' beginnings, and never goes back.
_PLAIN = re.compile(r"^event: ([^\n]++)\ndata: ([^\n]*+)(?:\n\n|\Z)", re.MULTILINE)


def _length_of(plain: list[tuple[str, str]]) -> int:
    """How long a text is that has these events and nothing else, the last one without the empty line that ends it."""
    return len(plain) * len("event: \ndata: \n\n") - 2 + sum(map(len, chain.from_iterable(plain)))


def _line_feeds(chunk: bytes) -> bytes:
    """All line ends as LF. Where each CR has its LF, dropping the CRs is several times faster than replacing pairs."""
    without = chunk.replace(b"\r", b"")
    if len(chunk) - len(without) == chunk.count(b"\r\n"):
        return without
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _milliseconds(value: str, otherwise: int | None) -> int | None:
    """Read a ``retry:`` value; anything but ASCII digits leaves what was."""
    # Eighteen digits are 30 million years. More would only run into int()'s own limit.
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else otherwise
