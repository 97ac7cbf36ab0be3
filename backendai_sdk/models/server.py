"""What is known of the server that one talks to (PROTOCOL §1.5)."""

from __future__ import annotations

import attrs

__all__ = ["ServerInfo"]


@attrs.frozen(kw_only=True, order=False)
class ServerInfo:
    """The server's release, and the API version agreed with it.

    Attributes:
        api_version: what requests say, for example ``"v7.20230615"``.
        server_version: what the server offered.
        manager: its release as it says it, for example ``"23.09.10"``.
        release: the same as numbers, for comparisons: ``(23, 9, 10)``.
        endpoint: where it answered.
    """

    api_version: str
    server_version: str
    manager: str
    release: tuple[int, int, int]
    endpoint: str = ""
