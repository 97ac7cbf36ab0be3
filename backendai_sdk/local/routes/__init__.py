"""The HTTP routes, one module per noun; this file only collects them.

Assumes each module's `ROUTES`: a `Route` says which methods and paths lead to a handler and who may come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import (
    apps,
    commit,
    config,
    events,
    execution,
    files,
    gql,
    manager,
    resources,
    session,
    sessions,
    streaming,
    tasks,
    terminal,
)
from ._route import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BY_HANDLER", "ROUTES", "Route"]

ROUTES: Final[tuple[Route, ...]] = (
    *manager.ROUTES,
    *config.ROUTES,
    *resources.ROUTES,
    *sessions.ROUTES,
    *session.ROUTES,
    *execution.ROUTES,
    *streaming.ROUTES,
    *apps.ROUTES,
    *terminal.ROUTES,
    *commit.ROUTES,
    *tasks.ROUTES,
    *files.ROUTES,
    *events.ROUTES,
    *gql.ROUTES,
)

BY_HANDLER: Final[Mapping[object, Route]] = {route.handler: route for route in ROUTES}
