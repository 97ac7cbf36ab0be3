"""The only part of the client that knows aiohttp: connect, sign, send, retry, fail over, map errors."""

from __future__ import annotations

from backendai_sdk._transport.transport import Transport

__all__ = ["Transport"]
