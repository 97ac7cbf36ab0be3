"""Signs requests as the protocol's text says, with nothing of the SDK's, and as well or as badly as was recorded."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from backendai_sdk.local import Keypair

from .capture import Capture
from .keys import SECRETS, Authorization, authorization

_EMPTY = hashlib.sha256(b"").hexdigest()
NOT_RECORDED = "the request's headers were not recorded"


def signature(
    secret: str, *, method: str, target: str, host: str, content_type: str, version: str, date: str
) -> str:
    """The signature of a request with that ``Date`` header, which begins with its day."""
    text = f"{method}\n{target}\n{date}\nhost:{host}\ncontent-type:{content_type.partition(';')[0]}\n"
    text += f"x-backendai-version:{version}\n{_EMPTY}"
    key = hmac.digest(secret.encode(), date[:10].replace("-", "").encode(), "sha256")
    return hmac.digest(hmac.digest(key, host.encode(), "sha256"), text.encode(), "sha256").hex()


def headers_for(
    capture: Capture, target: str, *, host: str, keys: Mapping[str, Keypair], version: str
) -> dict[str, str]:
    """What proves who asks, as the capture had it: missing, wrong or outdated where it was so there.

    Of some WebSocket handshakes only the target was kept: they are signed by the user, with `version`.
    """
    given, who = capture.sent.headers, authorization(capture)
    date = (datetime.now(UTC) + capture.skew).isoformat()
    if who is None and NOT_RECORDED not in capture.notes:
        headers = {"Date": date} if "Date" in given else {}
        # What is there cannot be read, and nothing is put in its place.
        return headers | ({"Authorization": given["Authorization"]} if "Authorization" in given else {})
    pair = keys[who.role] if who is not None and who.role in keys else keys["user"]
    signed = signature(
        pair.secret_key if who is None or _is_good(capture, who) else "wrong",
        method=capture.sent.method,
        target=target,
        host=host,
        content_type=given.get("Content-Type", "application/octet-stream"),
        version=given.get("X-BackendAI-Version", version if who is None else ""),
        date=date,
    )
    if who is None:
        head = f"BackendAI signMethod=HMAC-SHA256, credential={pair.access_key}:{signed}"
        return {"Date": date, "X-BackendAI-Version": version, "Authorization": head}
    access_key = who.access_key if who.role == "nobody" else pair.access_key
    headers = {"Authorization": f"BackendAI signMethod={who.method}, credential={access_key}:{signed}"}
    return headers | ({"Date": date} if "Date" in given else {})


def _is_good(capture: Capture, who: Authorization) -> bool:
    """Whether the recorded signature was good. Where a header was taken out after signing, it counts as good."""
    given = capture.sent.headers
    if not {"Date", "X-BackendAI-Version"} <= set(given):
        return True
    expected = signature(
        SECRETS.get(who.access_key, ("", ""))[1],
        method=capture.sent.method,
        target=capture.sent.target,
        host=given["Host"],
        content_type=given["Content-Type"],
        version=given["X-BackendAI-Version"],
        date=given["Date"],
    )
    return expected == who.signature
