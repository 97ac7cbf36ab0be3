"""The frames of two ways to a terminal: the server's own (PROTOCOL §4.3), and ttyd's, which runs in the session.

ttyd's messages begin with one letter that says what they are.  What is typed and what is written are bytes:
a character may be cut anywhere.
"""

from __future__ import annotations

import base64
import binascii
import json

from backendai_sdk.errors import InvalidArgument

__all__ = ["ServerFrames", "TtydFrames", "size_argument"]

_LARGEST = 10_000


def size_argument(rows: object, cols: object) -> tuple[int, int]:
    """Check a terminal's size.

    Raises:
        InvalidArgument: it is not two whole numbers of at least 1.
    """
    for name, value in (("rows", rows), ("cols", cols)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
            raise InvalidArgument(
                f"{name}: {value!r} is not a whole number from 1 to {_LARGEST}", argument=name
            )
    assert isinstance(rows, int) and isinstance(cols, int)  # noqa: S101, PT018 - checked above, for type checkers
    return rows, cols


class ServerFrames:
    """The server's own terminal: JSON both ways, the bytes in base64."""

    @staticmethod
    def stdin(data: bytes) -> str:
        return json.dumps({"type": "stdin", "chars": base64.b64encode(data).decode()})

    @staticmethod
    def resize(rows: int, cols: int) -> str:
        return json.dumps({"type": "resize", "rows": rows, "cols": cols})

    @staticmethod
    def output(frame: str | bytes) -> bytes:
        """What a frame says was written; nothing for a frame of another kind. Newer servers send binary frames."""
        try:
            match json.loads(frame):
                case {"type": "out", "data": str(data)}:
                    return base64.b64decode(data)
        except (ValueError, binascii.Error, RecursionError):
            pass
        return b""


class TtydFrames:
    """ttyd: the first message is JSON with the size, later ones begin with their kind."""

    path = "/ws"
    subprotocol = "tty"

    @staticmethod
    def hello(rows: int, cols: int) -> bytes:
        return json.dumps({"AuthToken": "", "columns": cols, "rows": rows}).encode()

    @staticmethod
    def stdin(data: bytes) -> bytes:
        return b"0" + data

    @staticmethod
    def resize(rows: int, cols: int) -> bytes:
        return b"1" + json.dumps({"columns": cols, "rows": rows}).encode()

    @staticmethod
    def output(frame: str | bytes) -> bytes:
        """What a frame says was written; nothing for titles and settings."""
        data = frame.encode() if isinstance(frame, str) else frame
        return data[1:] if data[:1] == b"0" else b""
