"""The mark of a field that was not asked for.

``UNSET`` is neither ``None`` (the server said "nothing") nor an empty value: it says that the SDK does not
know.  It is falsy, there is exactly one, and it survives copying and pickling as itself.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

__all__ = ["UNSET", "Unset"]


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __str__(self) -> str:
        return "UNSET"


# Typed as Any so that a model's field keeps the type that it has when it was asked for.
UNSET: Any = Unset.UNSET
