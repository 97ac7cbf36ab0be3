"""What the text before a cursor may become."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

__all__ = ["Completions"]


@attrs.frozen(kw_only=True)
class Completions:
    """The suggestions for one place in the code, in the order of the session's interpreter.

    Attributes:
        matches: the texts; empty where the session's runtime has nothing to say, which many do not.
        start, end: which part of the code they stand in for, as offsets, if the runtime tells.
    """

    matches: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.matches)

    def __len__(self) -> int:
        return len(self.matches)

    def __contains__(self, text: object) -> bool:
        return text in self.matches
