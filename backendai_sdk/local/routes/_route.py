"""What a route is: paths, methods, handler, and who may use it. Assumes each handler has one route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

__all__ = ["Route"]


@attrs.frozen
class Route:
    """One handler and where it is reached."""

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    auth: bool = True
    superadmin: bool = False
    alters: bool = False  # refused while the manager is frozen
