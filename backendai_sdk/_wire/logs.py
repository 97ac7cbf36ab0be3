"""Following a log that can only be read as a whole (PROTOCOL §2.3: no server has a tail).

Each reading is compared with the one before.  A log that is kept in a buffer of bounded size loses its
beginning while it grows at its end, so what is new is what comes after the longest piece that ends the old
reading and begins the new one.
"""

from __future__ import annotations

__all__ = ["LogFollower"]

# Where the end of the old text is looked for in the new one. Long enough to be found once in ordinary logs.
_ANCHOR = 256
# A shorter common piece proves nothing: the log was replaced, or everything of it has been cut off.
_LEAST = 16


class LogFollower:
    """Takes readings of one log and gives what each has that those before had not."""

    def __init__(self) -> None:
        self._seen = ""

    def feed(self, log: str) -> str:
        """Take the next reading of the whole log; the text that is new, ``""`` if nothing is.

        Nothing is given twice.  If more was written between two readings than the server keeps, what lies
        between is lost, and the whole reading is new.  A text that repeats itself for longer than what was
        cut off looks as if less had been cut: then less is given.
        """
        seen = self._seen
        if log.startswith(seen):
            self._seen = log
            return log[len(seen) :]
        if seen.startswith(log):
            return (
                ""  # an older reading: of another server of the cluster, or while the log is being replaced
            )
        self._seen = log
        return log[_overlap(seen, log) :]


def _overlap(old: str, new: str) -> int:
    """The length of the longest text that ends *old* and begins *new*."""
    anchor = old[-_ANCHOR:]
    end = len(new)
    while (found := new.rfind(anchor, 0, end)) >= 0:
        length = found + len(anchor)
        start = len(old) - length
        # The first few characters tell nearly always, without a copy of the whole piece.
        if start >= 0 and old.startswith(new[:64][:length], start) and old.startswith(new[:length], start):
            return length
        end = length - 1
    for length in range(min(len(anchor) - 1, len(new)), _LEAST - 1, -1):
        if anchor.endswith(new[:length]):
            return length
    return 0
