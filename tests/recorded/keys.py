"""The key pairs with which the captures were signed. Their clusters were made for that and are gone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import attrs

from .capture import Capture

Role = Literal["user", "admin", "other", "tight", "dummy", "nobody"]

SECRETS: Mapping[str, tuple[Role, str]] = {
    "AKREAL239ADMIN000001": ("admin", "real239-admin-secret-0000000000000000001"),
    "AKREAL239USER0000001": ("user", "real239-user-secret-00000000000000000001"),
    "AKREAL239TIGHT000001": ("tight", "real239-tight-secret-0000000000000000001"),
    "AKREAL239DUMMY000001": ("dummy", "real239-dummy-secret-0000000000000000001"),
    "AKREAL239USER0000002": ("user", "real239-user-throw-away-secret-000000000"),
    "AKREAL269USER0000002": ("user", "real269-user-throw-away-secret-000000000"),
    "AKIAREAL269ADMIN0001": ("admin", "real269-admin-secret-key-000000000000001"),
    "AKIAREAL269USER00002": ("user", "real269-user-secret-key-0000000000000002"),
    "AKIAREAL269OTHER0003": ("other", "real269-other-secret-key-000000000000003"),
}
"""Secret by access key, and whose it was."""

_AUTHORIZATION = re.compile(
    r"BackendAI signMethod=(?P<method>HMAC-\w+), credential=(?P<key>\w+):(?P<signature>\w+)"
)


@attrs.frozen
class Authorization:
    """What an ``Authorization`` header says; ``role`` is "nobody" where the key was unknown to the server."""

    method: str
    access_key: str
    signature: str

    @property
    def role(self) -> Role:
        return SECRETS.get(self.access_key, ("nobody", ""))[0]


def authorization(capture: Capture) -> Authorization | None:
    """Who signed it and how; nothing where there is no header, or one that cannot be read."""
    found = _AUTHORIZATION.fullmatch(capture.sent.headers.get("Authorization", ""))
    return None if found is None else Authorization(found["method"], found["key"], found["signature"])
