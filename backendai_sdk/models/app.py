"""Apps of a session: services in its containers that the server can start and connect to (PROTOCOL §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import attrs

from backendai_sdk.models.markers import Decoded, Key

__all__ = ["App", "AppAccess"]


@attrs.frozen(kw_only=True)
class App:
    """One app that a session offers; whether it is started shows only when it is used.

    Attributes:
        name: for example ``"jupyter"``; a port that was opened in advance is named by its number.
        protocol: ``"http"``, ``"tcp"``, ``"preopen"`` or what a newer server says.
        ports: the ports inside the container.
        url_template: how the server would write the app's address, if it tells.
        allowed_arguments, allowed_envs: what ``args=`` and ``env=`` may set, if the server tells.
    """

    name: str
    protocol: str = ""
    ports: Annotated[tuple[int, ...], Key("ports", "container_ports")] = ()
    url_template: str | None = None
    allowed_arguments: Annotated[object, Decoded()] = None
    allowed_envs: Annotated[object, Decoded()] = None
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class AppAccess:
    """What the server answers when it has started an app: where its app proxy is, and the token to show there.

    Attributes:
        app: the app's name.
        token: opens the app for whoever has it.
        proxy_address: the address of the app proxy that takes the token.
    """

    app: str
    token: str = attrs.field(repr=False)
    proxy_address: Annotated[str, Key("wsproxy_addr", "wsproxyAddr")]
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)
