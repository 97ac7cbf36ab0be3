"""What a model's annotations may say about the wire, besides the type.

The models are the schema; these marks are read by ``_wire/structure.py``, which builds models from answers.
"""

from __future__ import annotations

import attrs

__all__ = ["Decoded", "Key"]


@attrs.frozen(init=False)
class Key:
    """``Annotated[str, Key("session_id")]``: the field's name on the wire.

    Several names are tried in order (servers disagree about some); the first one that is not null counts.
    """

    names: tuple[str, ...]

    def __init__(self, name: str, *others: str) -> None:
        object.__setattr__(self, "names", (name, *others))


@attrs.frozen
class Decoded:
    """``Annotated[Mapping[str, Any], Decoded()]``: the value may be a JSON document inside a string.

    Values that are no string are taken as decoded already.  An empty string counts as null.
    """
