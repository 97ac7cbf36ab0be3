"""Life-cycle events out of the bytes of their stream (PROTOCOL §5.1)."""

from __future__ import annotations

import json

from backendai_sdk._log import logger
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import WireError
from backendai_sdk.models.event import SessionEvent

__all__ = ["EventDecoder"]

log = logger("events")


class EventDecoder:
    """Decodes one stream of life-cycle events; make a new one for each connection.

    Args:
        session_id: keep only this session's; newer servers ignore the parameter that asks for that.

    Attributes:
        closed: the server has said that it ends the stream; what comes after that is dropped.
    """

    def __init__(self, *, session_id: str | None = None) -> None:
        self.closed = False
        self._session_id = session_id
        self._sse = SSEDecoder()

    def feed(self, chunk: bytes) -> list[SessionEvent]:
        """Take the next bytes of the stream; the events that they complete, those that can be read.

        Raises:
            ProtocolError: an event is larger than what is taken for one.
        """
        events: list[SessionEvent] = []
        for name, data, _ in self._sse.feed(chunk):
            if name == "server_close":
                self.closed = True
            if self.closed:
                break
            event = _read(name, data)
            if event is not None and self._session_id in {None, event.session_id}:
                events.append(event)
        return events


def _read(name: str, data: str) -> SessionEvent | None:
    try:
        # loads() spends half of its time on looking for what may be around the JSON.
        text = data.strip()
        told, end = _raw_decode(text)
        if end != len(text):
            raise ValueError("something follows the JSON")
        told["name"] = name
        return structure(SessionEvent, told)
    except (WireError, ValueError, TypeError, RecursionError) as exc:
        # An event is a hint; one that cannot be read must not end the stream.
        log.debug("skipped an event that cannot be read: %s %r: %s", name, data[:200], exc)
        return None


_raw_decode = json.JSONDecoder().raw_decode
