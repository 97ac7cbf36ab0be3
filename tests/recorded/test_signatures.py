"""Signatures that real servers accepted, made anew by the SDK and by the local cluster."""

from __future__ import annotations

from datetime import datetime

import pytest
from recorded.capture import Capture, captures
from recorded.keys import SECRETS, authorization

from backendai_sdk._wire.sign import sign
from backendai_sdk.local.auth import parse_authorization, signature_of

# What was sent to be refused: signed with another secret, under another key, or with a header taken out after.
REFUSED = {
    "auth-01",
    "auth-02",
    "auth-05",
    "auth-08",
    "auth-09",
    "40-err-bad-signature",
    "43-err-unknown-access-key",
}
SIGNED = [c for c in captures() if authorization(c) is not None]
ACCEPTED = [c for c in SIGNED if c.number not in REFUSED]


def sdk(capture: Capture, secret: str) -> str:
    headers, who = capture.sent.headers, authorization(capture)
    assert who is not None
    return sign(
        method=capture.sent.method,
        path_qs=capture.sent.target,
        host=headers["Host"],
        date=headers["Date"],
        day=headers["Date"][:10].replace("-", ""),
        content_type=headers["Content-Type"],
        version=headers["X-BackendAI-Version"],
        access_key=who.access_key,
        secret_key=secret,
    )


def local(capture: Capture, secret: str) -> str:
    headers = capture.sent.headers
    return signature_of(
        sign_method="HMAC-SHA256",
        secret_key=secret,
        method=capture.sent.method,
        raw_path=capture.sent.target,
        host=headers["Host"],
        content_type=headers["Content-Type"].partition(";")[0],
        headers=headers,
        date=datetime.fromisoformat(headers["Date"]),
    )


@pytest.mark.parametrize("capture", ACCEPTED, ids=str)
def test_both_sides_sign_as_real_servers_check(capture: Capture) -> None:
    given = parse_authorization(capture.sent.headers["Authorization"])
    assert given is not None
    secret = SECRETS[given.access_key][1]
    assert sdk(capture, secret) == capture.sent.headers["Authorization"]
    assert local(capture, secret) == given.signature


def test_nearly_all_captures_were_signed() -> None:
    assert len(SIGNED) > 300
    assert {c.number for c in SIGNED} >= REFUSED


@pytest.mark.parametrize(
    "capture", [c for c in SIGNED if c.number.endswith(("auth-01", "40-err-bad-signature"))], ids=str
)
def test_a_signature_that_was_refused_is_not_ours(capture: Capture) -> None:
    who = authorization(capture)
    assert who is not None
    assert who.signature != local(capture, SECRETS[who.access_key][1])
