"""The door to the embedded cluster, which is an extra of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backendai_sdk.errors import ConfigError

if TYPE_CHECKING:
    from backendai_sdk.local import LocalCluster

__all__ = ["local_cluster"]


def local_cluster(*, release: str | None, idle_timeout: float | None) -> LocalCluster:
    """A local cluster that is not started yet.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from backendai_sdk.local import LocalCluster
    except ImportError as exc:
        raise ConfigError(
            f"the embedded cluster needs the extra 'local' ({exc.name} is missing): "
            "pip install 'backendai-sdk[local]'"
        ) from exc
    given: dict[str, Any] = {"release": release, "idle_timeout": idle_timeout}
    return LocalCluster(**{k: v for k, v in given.items() if v is not None})
