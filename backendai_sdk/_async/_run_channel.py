"""The way of one run to its server: what a transport must offer, whatever it sends.

A run asks for one answer after the other; what answers come to is ``_wire.execute``'s business.  Every method may
be cancelled and ``poll()`` called instead: an answer that was under way is not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from backendai_sdk._async._run_rest import RestChannel
from backendai_sdk.errors import InvalidArgument

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.run import RunTransport

__all__ = ["RunChannel", "channel_of"]


class RunChannel(Protocol):
    """Requests of one run, and the answers to them."""

    @property
    def run_id(self) -> str:
        """The id under which the server knows the run; empty if it keeps that to itself."""
        ...

    @property
    def started(self) -> bool:
        """Whether the server may run the code."""
        ...

    async def start(self, mode: str, code: str, options: Mapping[str, object]) -> Mapping[str, object]:
        """Start the run; the first answer.

        Raises:
            BackendAIError: no usable answer came; the run cannot be followed any more.
        """
        ...

    async def poll(self) -> Mapping[str, object]:
        """Wait for the next answer, also for one that a cancelled call has asked for."""
        ...

    async def answer(self, text: str) -> Mapping[str, object]:
        """Answer the code's ``input()``; the next answer."""
        ...

    async def close(self) -> None:
        """Let go of what the channel holds. A run that is not over is interrupted by that, or left behind."""
        ...


def channel_of(session: AsyncComputeSession, transport: RunTransport) -> RunChannel:
    """The channel for a run of *session*.

    Raises:
        InvalidArgument: there is no such transport.
    """
    match transport:
        case "rest":
            return RestChannel(session._client, session.id)
        case "websocket":
            from backendai_sdk._async._run_websocket import WebSocketChannel

            return WebSocketChannel(session._client, session.id)
    raise InvalidArgument(f"transport: {transport!r} is neither 'rest' nor 'websocket'", argument="transport")
