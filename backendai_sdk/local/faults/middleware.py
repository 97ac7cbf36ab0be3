"""Injects faults into requests: outermost, so that what strikes a request strikes it before anything is checked.

Assumes that the request came over a `Link`, which acts on the bytes; here it is decided what happens, and what the
server answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from backendai_sdk.local.server import state_of

from .answers import LostReply, Replacement, TruncatedJson
from .link import Link
from .network import SlowClose
from .outlet import Ending
from .pattern import target_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler

    from .fault import NetworkFault
    from .injection import Injection

__all__ = ["inject", "strike"]

_ENDINGS = {"silence": Ending.SILENCE, "reset": Ending.RESET, "close": Ending.CLOSE}


@web.middleware
async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the faults that are set strike this request."""
    link: Any = request.transport
    if not isinstance(link, Link):  # gone already
        return await handler(request)
    target = target_of(request.method, request.path)
    link.begin(target)
    network, answer = state_of(request).faults.for_request(target)
    try:
        if network and not strike(link, network, target):
            return await _nothing_more(link)
        if network:
            await link.catch_up()
        if answer is None:
            response = await handler(request)
        else:
            response = await _answer(request, handler, link, answer, target)
        if any(isinstance(i.fault, SlowClose) for i in network):
            response.force_close()
        return response
    finally:
        link.answered()


def strike(link: Link, injections: Iterable[Injection], target: str, *, whole: bool = False) -> bool:
    """Inject into a connection; whether what was asked reaches the server."""
    faults: list[tuple[NetworkFault, Any]] = []
    for injection in injections:
        injection.record(target)
        faults.append((injection.fault, injection.dice()))  # type: ignore[arg-type]
    return link.apply(faults, whole=whole)


async def _answer(
    request: web.Request, handler: Handler, link: Link, injection: Injection, target: str
) -> web.StreamResponse:
    fault = injection.fault
    if isinstance(fault, Replacement):
        if fault.acted:
            response = await handler(request)
            if response.prepared:  # a stream, which has been answered already
                injection.give_back()
                return response
        injection.record(target)
        return fault.answer(state_of(request))
    if isinstance(fault, LostReply):

        def lose() -> None:
            injection.record(target)
            link.end(ending, now=True)

        ending = _ENDINGS[fault.then]
        link.mute(lose)  # a stream begins to answer before its handler returns
        response = await handler(request)
        if not response.prepared:
            lose()
        return await _nothing_more(link)
    response = await handler(request)
    if (
        isinstance(fault, TruncatedJson)
        and isinstance(response, web.Response)
        and response.content_type.endswith("json")
        and isinstance(response.body, bytes)
        and response.body
    ):
        response.body = fault.truncate(response.body)
        injection.record(target)
    else:
        injection.give_back()
    return response


async def _nothing_more(link: Link) -> web.Response:
    """Hold the request until its connection is gone: nobody will read an answer."""
    await link.lost
    return web.Response()
