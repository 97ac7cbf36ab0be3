"""Clean-up within ``timeouts.cleanup``: done whatever is cancelled meanwhile, and with a word if it takes too long."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from backendai_sdk._async._shapes import finish
from backendai_sdk._wire.limits import limit, more_time
from backendai_sdk.errors import BackendAIError, SessionTimeout

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client
    from backendai_sdk.models.session import SessionInfo

__all__ = ["tidy", "too_slow"]

T = TypeVar("T")


async def tidy(
    client: Client, work: Coroutine[Any, Any, T], *, what: str, session: SessionInfo | None = None
) -> T:
    """Do *work* to its end although the caller is cancelled or its ``deadline()`` is over.

    Args:
        what: what has not been done when the time is over, for the error.
        session: whose it is.

    Raises:
        SessionTimeout: it took longer than ``timeouts.cleanup``.
    """
    try:
        return await finish(work, timeout=client.config.timeouts.cleanup)
    except TimeoutError as exc:
        if isinstance(exc, BackendAIError):
            raise
        raise too_slow(client, what, session) from None


def too_slow(client: Client, what: str, session: SessionInfo | None) -> SessionTimeout:
    """The error that says that ``timeouts.cleanup`` ran out."""
    option = "timeouts.cleanup"
    told = f"{what} within {limit(option, client.config.timeouts.cleanup)}; {more_time(option)}"
    if session is None:
        return SessionTimeout(told)
    return SessionTimeout(told, session_id=session.id, session_name=session.name, status=session.status)
