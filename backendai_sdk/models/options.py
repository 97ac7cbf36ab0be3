"""The options of a new session, as a typed dictionary for the calls that pass them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

__all__ = ["CreateOptions"]


class CreateOptions(TypedDict, total=False):
    """What ``create()`` takes besides image, name and callbacks; see there."""

    resources: Mapping[str, object] | Sequence[str] | str | None
    resource_opts: Mapping[str, object] | None
    mounts: Mapping[str, str | None] | Sequence[str] | None
    env: Mapping[str, str] | None
    type: str
    startup_command: str | None
    bootstrap_script: str | None
    cluster_size: int
    cluster_mode: str
    scaling_group: str | None
    tag: str | None
    dependencies: Sequence[str] | None
    callback_url: str | None
    starts_at: datetime | str | None
    architecture: str | None
    domain: str | None
    project: str | None
    owner_access_key: str | None
    preopen_ports: Sequence[int] | None
    agents: Sequence[str] | None
    priority: int | None
    batch_timeout: float | timedelta | str | None
    max_wait: float | None
