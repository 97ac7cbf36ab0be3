"""The server's clock: requests are dated by it, because servers refuse dates that are 15 minutes off (PROTOCOL §1.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from backendai_sdk._log import logger
from backendai_sdk._wire.request import Response

__all__ = ["ServerClock"]

log = logger("transport")

# Clocks closer than this are the same: a date error has another reason then.
_SAME = timedelta(seconds=60)


class ServerClock:
    """This machine's clock, corrected by what the server was seen to differ.

    Attributes:
        offset: what requests are dated by, less this machine's time. Zero until a server refuses a date: what it
            accepts needs no correction.
    """

    def __init__(self) -> None:
        self.offset = timedelta()
        self._told = timedelta()

    def now(self) -> datetime:
        """The time to date requests by."""
        return datetime.now(UTC) + self.offset

    def server_time(self) -> datetime:
        """The time by the server's clock, to about a second, also where the difference is none that it minds."""
        return datetime.now(UTC) + self._told

    def note(self, response: Response) -> None:
        """Take the server's time from an answer's ``Date`` header, if there is one."""
        if (offset := _offset(response)) is not None:
            self._told = offset

    def learn(self, response: Response, *, used: timedelta) -> bool:
        """Take the server's time from the ``Date`` header of an answer that refuses a request for its date.

        Args:
            used: the offset that the refused request had reckoned with; another one may have learned meanwhile.

        Returns:
            Whether the refused request should be sent again.
        """
        offset = _offset(response)
        if offset is None or abs(offset - used) < _SAME:
            return False
        self._told = offset
        if abs(offset - self.offset) >= _SAME:
            log.warning("the server's clock differs from this machine's by %s; dates are corrected", offset)
            self.offset = offset
        return True


def _offset(response: Response) -> timedelta | None:
    try:
        time = parsedate_to_datetime(response.headers["date"])
        # "-0000" gives a time without zone, which means UTC.
        return (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
