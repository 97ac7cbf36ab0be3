"""A run over a WebSocket: its frames (PROTOCOL §4.2).

The first one is JSON; afterwards the client sends nothing but input, as bare text.  The server's frames are
results without a run id, or say that it cannot go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from backendai_sdk import errors
from backendai_sdk._wire.scalars import excerpt

__all__ = ["first_frame", "read_frame"]

# "BackendError: <InvalidStreamMode(400): Invalid or missing ...>"
_NAMED = re.compile(r"<(\w+)\((\d{3})\): (.*)>", re.DOTALL)


def first_frame(mode: str, code: str, options: Mapping[str, object]) -> str:
    """The frame that starts the run."""
    return json.dumps({"mode": mode, "code": code, "options": dict(options)})


def read_frame(frame: str | bytes, *, path: str = "") -> Mapping[str, object]:
    """The result that a frame carries.

    Args:
        path: where it came from, for errors.

    Raises:
        WireError: it is none of the run's.
        StreamInterrupted: the server cannot follow the run any more.
        APIError: the server refuses the run, or failed at it.
    """
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        raise errors.WireError(f"a frame of an execution is not JSON: {frame[:200]!r}", path=path) from None
    match message:
        case {"status": "error", **said}:
            raise _error(excerpt(said.get("msg") or "no explanation", 10_000), path)
        case {"status": "server-restarting", **said}:
            raise errors.StreamInterrupted(
                f"the server ends the stream: {said.get('msg') or 'it restarts'}", path=path
            )
        case {"status": str()}:
            return cast("Mapping[str, object]", message)
    raise errors.WireError(f"a frame of an execution has no status: {excerpt(message)}", path=path)


def _error(said: str, path: str) -> errors.APIError:
    name, status, detail = found.groups() if (found := _NAMED.search(said)) else ("", "", said)
    if said.startswith("Invalid API parameters"):
        status = "400"
    kind = _kind(name, int(status or 500))
    return kind(
        f"the server could not run the code: {said}",
        status=int(status or 500),
        title=name,
        msg=detail,
        path=path,
    )


def _kind(name: str, status: int) -> type[errors.APIError]:
    if "NotFound" in name:
        return errors.SessionNotFound if "Session" in name or "Kernel" in name else errors.NotFound
    if status < 500:
        return errors.BadRequest
    return errors.AgentError if name.startswith("Kernel") else errors.ServerError
