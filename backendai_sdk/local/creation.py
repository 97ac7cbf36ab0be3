"""From the parameters of a create request to a session record, with every check on the way.

Assumes the real server's order of checks, because programs see the first error only. Where `cpu` or `mem` is
missing or zero, the cluster fills in 1 CPU and 1 GiB (a real one takes the image's minimum, too little for Python).
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from . import slots
from .accounts import DOMAIN, GROUP, SCALING_GROUP
from .auth import parse_date
from .images import MIB, as_reference
from .params import (
    Field,
    anything,
    boolean,
    check,
    integer,
    list_of,
    mapping,
    member,
    nullable,
    refuse,
    string,
)
from .problems import Problem
from .records import KernelRecord, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .accounts import Account
    from .images import Image
    from .releases import Release
    from .server import ServerState
    from .slots import Slots

__all__ = ["NAME_PATTERN", "Existing", "create_fields", "new_session", "session_name_field"]

NAME_PATTERN: Final = r"^(?=.{4,64}$)\w[\w.-]*\w$"
_DEFAULT_MEM: Final = 1024 * MIB
_DURATION: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s*(yr|mo|w|days?|d|hours?|hr?s?|h|minutes?|min|m|seconds?|sec|s)?", re.IGNORECASE
)
_SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


class Existing(Exception):
    """A live session of this name may be used instead."""

    def __init__(self, session: SessionRecord) -> None:
        super().__init__(session.name)
        self.session = session


def session_name_field(release: Release) -> Field:
    pattern = NAME_PATTERN if release.name_pattern else None
    return Field(("session_name", "name", "clientSessionToken"), string(pattern=pattern))


def create_fields(release: Release) -> list[Field]:
    """The top-level parameters of a create request."""
    types = ("interactive", "batch", "inference", "system")
    optional_text = nullable(string())
    loose = release.typed_sources  # newer releases take the snake_case names too

    def names(*plain: str, snake: str) -> tuple[str, ...]:
        return (snake, *plain) if loose else plain

    fields = [
        session_name_field(release),
        Field(("image", "lang"), string()),
        Field(("architecture", "arch"), nullable(_architecture), None),
        Field(
            names("type", "sessionType", snake="session_type"), member("SessionTypes", types), "interactive"
        ),
        Field(("group", "groupName", "group_name"), string(), GROUP),
        Field(("domain", "domainName", "domain_name"), string(), DOMAIN),
        Field(("cluster_size", "clusterSize"), integer(least=1), 1),
        Field(
            ("cluster_mode", "clusterMode"),
            member("ClusterMode", ("single-node", "multi-node"), any_case=release.cluster_mode_any_case),
            "single-node",
        ),
        Field(("config",), mapping(), {}),
        Field(("tag",), nullable(string(blank=loose)), None),
        Field(names("enqueueOnly", snake="enqueue_only"), boolean, default=False),
        Field(names("maxWaitSeconds", snake="max_wait_seconds"), integer(least=0), 0),
        Field(("starts_at", "startsAt"), optional_text, None),
        Field(names("reuseIfExists", snake="reuse"), boolean, default=True),
        Field(names("startupCommand", snake="startup_command"), nullable(string(blank=True)), None),
        Field(("bootstrap_script", "bootstrapScript"), nullable(string(blank=True)), None),
        Field(("dependencies",), nullable(list_of(string())), None),
        Field(("callback_url", "callbackUrl", "callbackURL"), optional_text, None),
        Field(("owner_access_key",), optional_text, None),
    ]
    if release.priority:
        fields.append(Field(("priority",), integer(least=0, most=100), 10))
        fields.append(Field(("batch_timeout", "batchTimeout"), nullable(anything), None))
    return fields


def _architecture(value: Any) -> str:
    text = str(value).lower()
    known = {"arm64": "aarch64", "amd64": "x86_64", "x64": "x86_64", "i686": "x86", "x32": "x86"}
    return known.get(text, text)


_CONFIG_FIELDS: Final = (
    Field(("mounts",), nullable(list_of(string())), None),
    Field(("mount_map", "mountMap"), nullable(mapping(string())), None),
    Field(("environ",), nullable(mapping(string(blank=True))), None),
    Field(("scaling_group", "scalingGroup"), nullable(string()), None),
    Field(("resources",), nullable(mapping()), None),
    Field(("resource_opts", "resourceOpts"), nullable(mapping()), None),
    Field(("preopen_ports", "preopenPorts"), nullable(list_of(integer(least=1024, most=65535))), None),
)
_NEWER_CONFIG: Final = (
    Field(("agent_list", "agentList"), nullable(list_of(string())), None),
    Field(("mount_options", "mountOptions"), nullable(mapping()), None),
    Field(("attach_network", "attachNetwork"), nullable(string()), None),
    Field(("mount_ids",), nullable(list_of(string())), None),
    Field(("mount_id_map", "mountIdMap"), nullable(mapping(string())), None),
)


def new_session(
    state: ServerState, requester: Account, params: Mapping[str, Any], api_version: str
) -> SessionRecord:
    """The record of a session that may be queued; raises the first problem, or `Existing`."""
    release = state.release
    value = _by_first_name(create_fields(release), params)
    config = _config(value("config"), release)
    if release.bad_config_500 and int(api_version[1:].partition(".")[0]) < 6:
        raise Problem.internal()  # the config of API v5 lacks a key that the server then reads
    owner = state.act_for(requester, value("owner_access_key"))
    name: str = value("session_name")
    if name == "from-template":
        raise Problem.invalid_params("Requested session ID is reserved word")
    wanted = _requested(config["resources"], state)
    image = state.images.find(value("image"))
    if image is None:
        raise _no_image(value("image"), value("architecture"), release)
    existing = state.live_named(name, owner.access_key)
    if existing is not None:
        if existing.image != image or not value("reuseIfExists"):
            raise Problem.session_exists(str(existing.id))
        raise Existing(existing)
    now = state.clock.now()
    session_type: str = value("type")
    command: str | None = value("startupCommand")
    starts_at = _starts_at(value("starts_at"), now)
    if session_type == "batch" and not (command or "").strip():
        raise Problem.invalid_params("Batch sessions must have a non-empty startup command.")
    if session_type != "batch" and starts_at is not None:
        raise Problem.invalid_params("Parameter starts_at should be used only for batch sessions")
    batch_timeout = value("batch_timeout") if release.priority else None
    if session_type != "batch" and batch_timeout is not None:
        raise Problem.invalid_params("Parameter batch_timeout should be used only for batch sessions")
    if value("domain") != DOMAIN:
        raise Problem.invalid_params("You can only set the domain to your domain.")
    if value("group") != GROUP:
        raise Problem.invalid_params("Invalid group")
    size: int = value("cluster_size")
    if size > state.max_containers:
        raise Problem.quota_exceeded(
            f"You cannot create session with more than {state.max_containers} containers.", release
        )
    _check_scaling_group(config["scaling_group"], release)
    agent_list = _agent_list(config.get("agent_list"), size, value("cluster_mode"), requester, release)
    if config["mounts"] or config["mount_map"] or config.get("mount_ids") or config.get("mount_id_map"):
        raise Problem.not_found(
            "virtual folder", "There is no accessible vfolders at all.", code="vfolder_read_not-found"
        )
    shmem = _shmem(config["resource_opts"], image, release)
    kernel_slots = _fill(wanted, image, shmem, release)
    session_id = uuid.uuid4()
    return SessionRecord(
        id=session_id,
        name=name,
        event_name=name,
        owner=owner,
        image=image,
        type=session_type,
        created_at=now,
        status_changed=now,
        kernels=_kernels(size, kernel_slots, shmem, now),
        domain=DOMAIN,
        group=GROUP,
        group_id=state.accounts.group_id,
        scaling_group=SCALING_GROUP,
        work_dir=state.work_dir / session_id.hex,
        architecture=image.architecture,
        cluster_mode=value("cluster_mode"),
        tag=value("tag"),
        priority=value("priority") if release.priority else 10,
        environ=config["environ"] or {},
        preopen_ports=config["preopen_ports"] or [],
        agent_list=agent_list,
        startup_command=command,
        bootstrap_script=value("bootstrap_script"),
        batch_timeout=None if batch_timeout is None else _seconds(batch_timeout),
        dependencies=_dependencies(value("dependencies"), owner, state),
        starts_at=starts_at,
    )


def _by_first_name(fields: list[Field], params: Mapping[str, Any]) -> Callable[[str], Any]:
    """Values by any of their names: which one is canonical differs between releases."""
    canonical = {name: field.names[0] for field in fields for name in field.names}
    return lambda name: params[canonical[name]]


def _config(given: dict[str, Any], release: Release) -> dict[str, Any]:
    newer = [f for f in _NEWER_CONFIG if f.names[0] in release.config_keys]
    values, errors = check((*_CONFIG_FIELDS, *newer), given, strict=release.strict_keys)
    if errors:
        raise Problem.internal() if release.bad_config_500 else refuse(errors, release)
    return values


def _requested(given: dict[str, Any] | None, state: ServerState) -> Slots:
    known = state.agents.slot_types
    wanted: Slots = {}
    for name, amount in (given or {}).items():
        if amount is None:
            continue
        if name not in known:
            text = f"Unknown slot type: {name!r}"
            if state.release.resource_group_words:
                title, code = "Unknown resource slot type.", "backendai_parsing_not-found"
                raise Problem(400, "unknown-resource-slot-type", title, text, code=code)
            if name == "shmem":
                text += (
                    " (Put it at the 'resource_opts' field in API, or use '--resource-opts shmem=...' in CLI)"
                )
            raise Problem.invalid_params(f"Invalid resource allocation: {text}")
        try:
            wanted[name] = slots.parse_amount(name, amount)
        except ValueError:
            text = f"Cannot convert the slot {name!r} to decimal: {amount!r}"
            raise Problem.invalid_params(f"Invalid resource allocation: {text}") from None
    return wanted


def _no_image(text: str, architecture: str | None, release: Release) -> Problem:
    if release.typed_sources:
        msg = f"Unknown image reference: {text} ({architecture or 'x86_64'})"
    else:
        msg = f"Unknown image references: ref:'{as_reference(text)}', alias:'{text}'"
    return Problem.not_found("environment image", msg, code="image_read_not-found")


def _check_scaling_group(name: str | None, release: Release) -> None:
    if name in {None, SCALING_GROUP}:
        return
    if release.resource_group_words:
        raise Problem.not_found("resource group", name, code="resource-group_read_not-found")
    msg = (
        f"The scaling group '{name}' does not exist or you do not have access to the scaling group '{name}'."
    )
    raise Problem.not_found("scaling group", msg, code="scaling-group_read_not-found")


def _agent_list(
    given: list[str] | None, size: int, mode: str, requester: Account, release: Release
) -> list[str] | None:
    if given is None:
        return None
    if not requester.is_admin and not release.agent_list_for_all:
        raise Problem.insufficient_privilege(
            "You are not allowed to manually assign agents for your session."
        )
    expected = size if mode == "multi-node" else 1
    if len(given) != expected:
        raise Problem.invalid_params(f"The number of agents must be {expected}.")
    return given


def _shmem(options: dict[str, Any] | None, image: Image, release: Release) -> int:
    given = (options or {}).get("shmem")
    if given is None:
        return image.shmem
    try:
        return int(slots.parse_size(given))
    except (ValueError, OverflowError):
        raise (
            Problem.internal() if release.bad_config_500 else refuse({"shmem": "not a size"}, release)
        ) from None


def _fill(wanted: Slots, image: Image, shmem: int, release: Release) -> Slots:
    least_mem = Decimal(image.min_mem + shmem)
    filled = {
        "cpu": wanted.get("cpu") or Decimal(image.min_cpu),
        "mem": wanted.get("mem") or max(Decimal(_DEFAULT_MEM), least_mem),
    }
    filled |= {name: amount for name, amount in wanted.items() if name not in filled and amount}
    if filled["cpu"] < image.min_cpu or filled["mem"] < least_mem:
        if release.resource_group_words:
            least = slots.humanize({"mem": least_mem, "cpu": Decimal(image.min_cpu)})
            raise Problem.invalid_params(
                f"kernel_specs[0] resource request is smaller than the image minimum ({least})."
            )
        least = slots.humanize({"cpu": Decimal(image.min_cpu), "mem": least_mem})
        raise Problem.invalid_params(
            f"Your resource request is smaller than the minimum required by the image. ({least})",
        )
    return filled


def _kernels(size: int, kernel_slots: Slots, shmem: int, now: datetime) -> list[KernelRecord]:
    return [
        KernelRecord(
            id=uuid.uuid4(),
            role="sub" if rank else "main",
            idx=rank or 1,
            local_rank=rank,
            slots=dict(kernel_slots),
            shmem=shmem,
            status_changed=now,
            created_at=now,
        )
        for rank in range(size)
    ]


def _dependencies(given: list[str] | None, owner: Account, state: ServerState) -> list[uuid.UUID]:
    found: list[uuid.UUID] = []
    for reference in given or []:
        matches = state.matches(reference, owner.access_key, dead=True)
        if not matches:
            msg = "Unknown session ID or name in the dependency list"
            raise Problem.invalid_params(msg, {"session_ref": reference})
        found.append(matches[0].id)
    return found


def _seconds(value: object) -> float:
    """Seconds in `90`, `"90"`, `"30min"` or `"1d1hr"`."""
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip()
    pieces = list(_DURATION.finditer(text))
    if not pieces or "".join(p[0] for p in pieces).replace(" ", "") != text.replace(" ", ""):
        raise Problem.invalid_params("Invalid duration", {"value": text})
    return sum(float(p[1]) * _SECONDS.get((p[2] or "s").lower()[0], 1) for p in pieces)


def _starts_at(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    return parse_date(text) or now + timedelta(seconds=_seconds(text))
