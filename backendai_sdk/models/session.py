"""What the servers tell of a compute session: one row of a listing (PROTOCOL §2.5).

Inert values: the handle that acts on a session is ``AsyncComputeSession``.  A row holds the fields that
were asked for, typed; the others are ``UNSET``; keys that this SDK does not know are kept in ``extra``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import attrs

from backendai_sdk.enums import ClusterMode, SessionResult, SessionStatus, SessionType
from backendai_sdk.models._html import value_table
from backendai_sdk.models.markers import Decoded
from backendai_sdk.models.slots import ResourceSlots
from backendai_sdk.models.unset import UNSET

__all__ = ["SessionInfo", "SessionRef"]

# Attributes of a row that are no fields of a listing.
_NO_FIELDS = ("extra", "errors")


@attrs.frozen(kw_only=True)
class SessionRef:
    """Another session, as named by a listing: a dependency or a match."""

    id: str
    name: str | None = None
    status: SessionStatus = UNSET
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True, repr=False)
class SessionInfo:
    """One row of ``AsyncSession.list``.

    Fields that were not asked for are ``UNSET`` (never ``None``, which is the server's "nothing").
    Times are aware; ``occupying_slots`` are counts as ``Decimal`` and ``mem`` in bytes.

    Attributes:
        errors: fields that were asked for and that the server failed to tell, with its words; they are ``UNSET``.
            All releases that were tried fail to tell ``dependencies`` of a session that has some.
        extra: what the server told besides, by key.
    """

    id: str = UNSET
    main_kernel_id: str | None = UNSET
    tag: str | None = UNSET
    name: str = UNSET
    type: SessionType = UNSET
    image: str | None = UNSET
    registry: str | None = UNSET
    cluster_template: str | None = UNSET
    cluster_mode: ClusterMode | None = UNSET
    cluster_size: int | None = UNSET
    domain_name: str | None = UNSET
    group_name: str | None = UNSET
    group_id: str | None = UNSET
    agent_ids: tuple[str, ...] | None = UNSET
    user_email: str | None = UNSET
    user_id: str | None = UNSET
    access_key: str | None = UNSET
    status: SessionStatus = UNSET
    status_info: str | None = UNSET
    status_changed: datetime | None = UNSET
    created_at: datetime | None = UNSET
    terminated_at: datetime | None = UNSET
    starts_at: datetime | None = UNSET
    scheduled_at: datetime | None = UNSET
    startup_command: str | None = UNSET
    result: SessionResult = UNSET
    resource_opts: Annotated[Mapping[str, object] | None, Decoded()] = UNSET
    scaling_group: str | None = UNSET
    service_ports: Annotated[tuple[Mapping[str, object], ...] | None, Decoded()] = UNSET
    mounts: tuple[str, ...] | None = UNSET
    occupying_slots: ResourceSlots | None = UNSET
    dependencies: tuple[SessionRef, ...] | None = UNSET
    abusing_reports: tuple[object, ...] | None = UNSET
    idle_checks: Annotated[Mapping[str, object] | None, Decoded()] = UNSET
    extra: Mapping[str, object] = attrs.field(factory=dict, eq=False)
    errors: Mapping[str, str] = attrs.field(factory=dict, eq=False)

    @property
    def session_id(self) -> str:
        """The same as ``id``."""
        return self.id

    @property
    def project(self) -> str | None:
        """The same as ``group_name``: newer servers call a group a project."""
        return self.group_name

    @property
    def group(self) -> str | None:
        """The same as ``group_name``."""
        return self.group_name

    def items(self) -> list[tuple[str, object]]:
        """The fields that were asked for, as ``(name, value)``, in the order of the protocol."""
        named = (
            (a.name, getattr(self, a.name)) for a in attrs.fields(SessionInfo) if a.name not in _NO_FIELDS
        )
        return [(name, value) for name, value in named if value is not UNSET]

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.items()]
        shown += [f"{name}={dict(more)!r}" for name in _NO_FIELDS if (more := getattr(self, name))]
        return f"SessionInfo({', '.join(shown)})"

    def _repr_html_(self) -> str:
        named = self.name or self.id
        values = [*self.items(), *((k, dict(more)) for k in _NO_FIELDS if (more := getattr(self, k)))]
        return value_table(f"Session {named}" if named else "Session", values)
