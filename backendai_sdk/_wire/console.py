"""The ``console`` list of an answer: what the code wrote, record by record (PROTOCOL §4.1)."""

from __future__ import annotations

import base64

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import WireError
from backendai_sdk.models.run import Html, Log, Media, RunItem, Stderr, Stdout

__all__ = ["read_console"]


def read_console(console: object) -> list[RunItem]:
    """Read the ``console`` list of an answer; kinds that are not known become ``Log``."""
    if console is None:
        return []
    if not isinstance(console, list | tuple):
        raise WireError(f"console is not a list: {excerpt(console)}")
    return [_item(record) for record in console]


_TEXTS: dict[str, type[Stdout | Stderr | Html]] = {"stdout": Stdout, "stderr": Stderr, "html": Html}


def _item(record: object) -> RunItem:
    match record:
        case [str(kind), str(text)]:
            return _TEXTS.get(kind, Log)(text)
        case ["media", [str(mime), str(data)]]:
            return Media(mime, _media(data))
        case [str(), data]:
            return Log(excerpt(data, 1 << 20))
    raise WireError(f"console has a record that is no pair: {excerpt(record)}")


def _media(data: str) -> bytes:
    # Raster images come as data: URLs, SVG as its text.
    head, comma, payload = data.partition(",")
    if head.startswith("data:") and comma and head.endswith(";base64"):
        try:
            return base64.b64decode(payload)
        except ValueError:  # no Base64 after all
            pass
    return data.encode("utf-8", "replace")
