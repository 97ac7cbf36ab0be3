"""Apps of a session: what may be asked for, and what servers answer (PROTOCOL §2.3).

Environment variables and arguments travel as JSON inside a string, in queries and bodies alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import AppNotFound, InvalidArgument, WireError
from backendai_sdk.models.app import App, AppAccess

__all__ = ["app_named", "app_parameters", "local_port_argument", "read_access", "read_apps"]


def app_parameters(
    name: object,
    *,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    args: Mapping[str, object] | None = None,
) -> dict[str, str | int]:
    """The parameters of start-service and of the proxies.

    Args:
        name: the app.
        port: one of the app's ports inside the container; its first one if not given.
        env: environment variables for the app.
        args: arguments for the app: a text, a list of texts, or ``None`` for one without a value.

    Raises:
        InvalidArgument: something cannot be sent.
    """
    if not isinstance(name, str) or not name.strip() or any(ord(c) < 32 for c in name):
        raise InvalidArgument(
            f"app: {name!r} is not the name of an app; apps() lists those of the session", argument="app"
        )
    params: dict[str, str | int] = {"app": name}
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int) or not 1024 <= port <= 65535:
            raise InvalidArgument(f"port: {port!r} is not a port from 1024 to 65535", argument="port")
        params["port"] = port
    if env:
        if not isinstance(env, Mapping) or not all(isinstance(t, str) for pair in env.items() for t in pair):
            raise InvalidArgument(f"env: {env!r} is not a mapping from text to text", argument="env")
        params["envs"] = json.dumps(dict(env))
    if args:
        params["arguments"] = _arguments(args)
    return params


def _arguments(args: Mapping[str, object]) -> str:
    given: dict[str, object] = {}
    if isinstance(args, Mapping):
        for name, value in args.items():
            texts = [value] if value is None or isinstance(value, str) else value
            many = isinstance(texts, Sequence) and all(t is None or isinstance(t, str) for t in texts)
            if not isinstance(name, str) or not many:
                break
            given[name] = value
        else:
            return json.dumps(given)
    raise InvalidArgument(
        f"args: {args!r} is not a mapping from names to text, lists of text or None", argument="args"
    )


def local_port_argument(port: object) -> int:
    """Check a port of this machine; 0 stands for any that is free."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise InvalidArgument(
            f"local_port: {port!r} is not a port from 1 to 65535, or 0 for one that is free",
            argument="local_port",
        )
    return port


def read_apps(answer: object) -> tuple[App, ...]:
    """Read the list of apps; a session that has none yet answers with an empty one, or with null."""
    if answer is None:
        return ()
    if not isinstance(answer, list):
        raise WireError(f"the answer is not a list of apps: {excerpt(answer)}")
    return tuple(structure(App, item, where=f"apps[{i}]") for i, item in enumerate(answer))


def app_named(name: str, apps: Sequence[App], *, session: str) -> App:
    """The app of that name.

    Raises:
        AppNotFound: the session has none of that name.
    """
    for app in apps:
        if app.name == name:
            return app
    known = ", ".join(app.name for app in apps) or "none"
    raise AppNotFound(
        f"the session {session} has no app {name!r}; it has: {known}. For a port of your own, create the session "
        "with preopen_ports=[port] and use the port's number as the name",
        status=404,
    )


def read_access(answer: object, *, app: str) -> AppAccess:
    """Read the answer to start-service."""
    if not isinstance(answer, Mapping):
        raise WireError(f"the answer to start-service is not an object: {excerpt(answer)}")
    return structure(AppAccess, {**answer, "app": app}, where="start-service")
