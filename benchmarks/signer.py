"""What every client written by hand needs: the headers of a signed request.

Standard library only, and nothing newer than Python 3.11: it runs in the environments of all that is measured.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timezone
from functools import lru_cache

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
VERSION = "v9.20250722"
EMPTY = hashlib.sha256(b"").hexdigest()


@lru_cache
def key_of(day: str, host: str) -> bytes:
    """The key that signs on that day; deriving it anew each time would be a handicap."""
    return hmac.digest(hmac.digest(SECRET.encode(), day.encode(), "sha256"), host.encode(), "sha256")


class Signer:
    """Where requests go, and what is said about them."""

    def __init__(self, endpoint: str, session_id: str) -> None:
        self.endpoint = endpoint
        self.host = endpoint.partition("://")[2]
        self.path = f"/session/{session_id}"
        self.id = session_id

    def signed(self, method: str, target: str, kind: str) -> dict[str, str]:
        """The headers of a request."""
        now = datetime.now(timezone.utc)  # noqa: UP017 - as the oldest client's Python has it
        date = now.isoformat()
        text = f"{method}\n{target}\n{date}\nhost:{self.host}\ncontent-type:{kind}\nx-backendai-version:{VERSION}\n{EMPTY}"
        proof = hmac.digest(key_of(now.strftime("%Y%m%d"), self.host), text.encode(), "sha256").hex()
        return {
            "Date": date,
            "Content-Type": kind,
            "X-BackendAI-Version": VERSION,
            "Authorization": f"BackendAI signMethod=HMAC-SHA256, credential={ACCESS}:{proof}",
        }
