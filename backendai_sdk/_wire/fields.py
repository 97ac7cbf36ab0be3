"""What ``fields=`` means: names, presets and their GraphQL selections (DESIGN §2, PROTOCOL §2.5)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from backendai_sdk.errors import InvalidArgument

__all__ = ["FIELDS", "PRESETS", "select", "selection"]

# A plain name selects itself; the others need a selection of their own (a bare `dependencies` is refused).
FIELDS: dict[str, str] = {
    name: name
    for name in [
        "id",
        "main_kernel_id",
        "tag",
        "name",
        "type",
        "image",
        "registry",
        "cluster_template",
        "cluster_mode",
        "cluster_size",
        "domain_name",
        "group_name",
        "group_id",
        "agent_ids",
        "user_email",
        "user_id",
        "access_key",
        "status",
        "status_info",
        "status_changed",
        "created_at",
        "terminated_at",
        "starts_at",
        "scheduled_at",
        "startup_command",
        "result",
        "resource_opts",
        "scaling_group",
        "service_ports",
        "mounts",
        "occupying_slots",
        "dependencies",
        "abusing_reports",
        "idle_checks",
    ]
}
FIELDS["dependencies"] = "dependencies { id name }"

_ALIASES = {"session_id": "id", "project": "group_name", "group": "group_name"}

_DEFAULT = (
    "name",
    "access_key",
    "id",
    "group_name",
    "main_kernel_id",
    "image",
    "type",
    "status",
    "status_info",
    "status_changed",
    "result",
)

PRESETS: dict[str, tuple[str, ...]] = {
    "default": _DEFAULT,
    "name": ("name",),
    "detail": (*_DEFAULT, "tag", "created_at", "occupying_slots"),
    "all": tuple(FIELDS),
}


def select(fields: str | Iterable[str]) -> tuple[str, ...]:
    """The field names that *fields* stands for, each once, in the order given.

    Raises:
        InvalidArgument: a name is neither a preset nor a field; the nearest spelling is offered.
    """
    names = fields.replace(",", " ").split() if isinstance(fields, str) else list(fields)
    if not names:
        raise InvalidArgument("fields: nothing was given; use 'default' or field names", argument="fields")
    found: dict[str, None] = {}
    for given in names:
        name = _ALIASES.get(given, given)
        # A preset and a field may share a word ("name"): they mean the same then.
        if name in PRESETS:
            found.update(dict.fromkeys(PRESETS[name]))
        elif name in FIELDS:
            found[name] = None
        else:
            words = [*FIELDS, *_ALIASES, *PRESETS]
            near = get_close_matches(str(given), words, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise InvalidArgument(
                f"fields: {given!r} is not a field of a session{hint} Allowed: {', '.join(words)}",
                argument="fields",
            )
    return tuple(found)


def selection(names: Iterable[str]) -> str:
    """The GraphQL selection of *names*, which are fields or names of the SDK's own choosing."""
    return " ".join(FIELDS.get(name, name) for name in names)
