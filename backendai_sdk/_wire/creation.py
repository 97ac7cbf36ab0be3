"""What is asked for when a session is created: checked values, and the body for a given server.

The body differs between releases: older servers refuse keys that they do not know (with 500 for those
under ``config`` on 23.09), so keys go in only when they say something and the server has them
(PROTOCOL §2.2, §9.8-10).
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from backendai_sdk._wire.batch import startup
from backendai_sdk._wire.versions import batch_steps_lose_output, require
from backendai_sdk.enums import ClusterMode, SessionType
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.models.slots import ResourceSlots, split_resources

__all__ = ["CreateSpec", "create_body", "is_random_name", "random_name", "valid_name"]

_NAME = re.compile(r"(?=.{4,64}\Z)[A-Za-z0-9_][A-Za-z0-9_.-]*[A-Za-z0-9_]\Z")
_RANDOM = re.compile(r"bsdk-[0-9a-f]{20}")
_RESERVED_NAMES = frozenset({"from-template"})


def random_name() -> str:
    """A name that nobody else has: 80 random bits, so that it can serve as the key of one creation."""
    return f"bsdk-{secrets.token_hex(10)}"


def is_random_name(name: str) -> bool:
    """Whether :func:`random_name` made it: nobody chooses such a name, and nobody uses it again."""
    return _RANDOM.fullmatch(name) is not None


def valid_name(name: str, *, argument: str = "name") -> str:
    """Check a session name by the servers' rule (PROTOCOL §2.2).

    Raises:
        InvalidArgument: the server would refuse the name.
    """
    if not isinstance(name, str) or not _NAME.match(name) or name in _RESERVED_NAMES:
        raise InvalidArgument(
            f"{argument}: {name!r} cannot name a session: use 4 to 64 ASCII letters, digits, '_', '-' or '.', "
            "beginning and ending with a letter, digit or '_' ('from-template' is reserved)",
            argument=argument,
        )
    return name


@attrs.frozen(kw_only=True)
class CreateSpec:
    """A session to create, checked: nothing that a server is known to refuse gets this far."""

    image: str
    name: str
    type: SessionType
    resources: ResourceSlots | None
    resource_opts: Mapping[str, object]
    mounts: Mapping[str, str | None]
    env: Mapping[str, str]
    startup_command: str | None
    bootstrap_script: str | None
    cluster_size: int
    cluster_mode: ClusterMode
    scaling_group: str | None
    tag: str | None
    dependencies: Sequence[str]
    callback_url: str | None
    starts_at: str | None
    architecture: str | None
    domain: str
    project: str
    owner_access_key: str | None
    preopen_ports: Sequence[int]
    agents: Sequence[str]
    priority: int | None
    batch_timeout: str | None

    @classmethod
    def checked(
        cls,
        image: str,
        *,
        name: str | None,
        resources: Mapping[str, object] | Sequence[str] | str | None,
        resource_opts: Mapping[str, object] | None,
        mounts: Mapping[str, str | None] | Sequence[str] | None,
        env: Mapping[str, str] | None,
        type: str,
        startup_command: str | None,
        bootstrap_script: str | None,
        cluster_size: int,
        cluster_mode: str,
        scaling_group: str | None,
        tag: str | None,
        dependencies: Sequence[str] | None,
        callback_url: str | None,
        starts_at: datetime | str | None,
        architecture: str | None,
        domain: str,
        project: str,
        owner_access_key: str | None,
        preopen_ports: Sequence[int] | None,
        agents: Sequence[str] | None,
        priority: int | None,
        batch_timeout: float | timedelta | str | None,
    ) -> CreateSpec:
        """Check all arguments of ``create()``.

        Raises:
            InvalidArgument: which argument, what was wrong, what is allowed.
        """
        kind = _session_type(type, startup_command, starts_at, batch_timeout)
        slots, opts = None, dict(resource_opts or {})
        if resources is not None:
            slots, opts = split_resources(ResourceSlots.parse(resources), opts)
        return cls(
            image=_text(image, "image", "an image name or alias, for example 'python:3.11'"),
            name=random_name() if name is None else valid_name(name),
            type=kind,
            resources=slots,
            resource_opts=opts,
            mounts=_mounts(mounts),
            env=_environ(env),
            startup_command=startup_command,
            bootstrap_script=bootstrap_script,
            cluster_size=_whole(cluster_size, "cluster_size", 1, 10_000),
            cluster_mode=_cluster_mode(cluster_mode),
            scaling_group=_optional(scaling_group, "scaling_group"),
            tag=_tag(tag),
            dependencies=_several(dependencies, "dependencies"),
            callback_url=_callback(callback_url),
            starts_at=_moment(starts_at),
            architecture=_optional(architecture, "architecture"),
            domain=domain,
            project=project,
            owner_access_key=_optional(owner_access_key, "owner_access_key"),
            preopen_ports=tuple(_whole(p, "preopen_ports", 1024, 65535) for p in preopen_ports or ()),
            agents=_several(agents, "agents"),
            priority=None if priority is None else _whole(priority, "priority", 0, 100),
            batch_timeout=_duration(batch_timeout),
        )


def create_body(spec: CreateSpec, server: ServerInfo, *, reuse: bool) -> dict[str, object]:
    """The body of ``POST /session``. It always enqueues only: waiting is done by events and polls.

    Raises:
        NotSupported: the server is older than something that *spec* asks for.
    """
    config: dict[str, object] = {
        "mounts": list(spec.mounts),
        "mount_map": {k: v for k, v in spec.mounts.items() if v is not None},
        "environ": dict(spec.env),
        "resource_opts": dict(spec.resource_opts),
    }
    if spec.resources is not None:
        config["resources"] = spec.resources.to_wire()
    if spec.scaling_group is not None:
        config["scalingGroup"] = spec.scaling_group
    if spec.preopen_ports:
        config["preopen_ports"] = list(spec.preopen_ports)
    if spec.agents:
        config["agentList"] = list(spec.agents)
    optional: dict[str, object] = {
        "tag": spec.tag,
        "startupCommand": _startup(spec, server),
        # As it is: PROTOCOL says base64, but real servers put what comes into the file (seen on 23.09 and 26.9).
        "bootstrap_script": spec.bootstrap_script,
        "dependencies": list(spec.dependencies) or None,
        "callback_url": spec.callback_url,
        "starts_at": spec.starts_at,
        "architecture": spec.architecture,
        "owner_access_key": spec.owner_access_key,
    }
    for feature in ("priority", "batch_timeout"):
        if (value := getattr(spec, feature)) is not None:
            require(feature, server)
            optional[feature] = value
    return {
        "name": spec.name,
        "image": spec.image,
        "type": spec.type.value,
        "group": spec.project,
        "domain": spec.domain,
        "clusterSize": spec.cluster_size,
        "clusterMode": spec.cluster_mode.value,
        "enqueueOnly": True,
        "maxWaitSeconds": 0,
        "reuseIfExists": reuse,
        "config": config,
        **{k: v for k, v in optional.items() if v is not None and v != ""},  # blank texts are refused
    }


def _startup(spec: CreateSpec, server: ServerInfo) -> str | None:
    if spec.startup_command is None or spec.type is not SessionType.BATCH:
        return spec.startup_command
    return startup(spec.startup_command, loses=batch_steps_lose_output(server))


def _session_type(given: str, command: str | None, starts_at: object, batch_timeout: object) -> SessionType:
    kind = SessionType(given if isinstance(given, str) else "")
    if not kind.is_known or kind is SessionType.SYSTEM:
        raise InvalidArgument(
            f"type: {given!r} is not a session type; allowed: 'interactive', 'batch', 'inference'",
            argument="type",
        )
    if kind is SessionType.BATCH:
        if not (command and command.strip()):
            raise InvalidArgument(
                "startup_command: a session of type 'batch' needs the command that it is to run",
                argument="startup_command",
            )
    else:
        for name, value in (("starts_at", starts_at), ("batch_timeout", batch_timeout)):
            if value is not None:
                raise InvalidArgument(f"{name}: only for sessions of type='batch'", argument=name)
    return kind


def _cluster_mode(given: str) -> ClusterMode:
    mode = ClusterMode(given if isinstance(given, str) else "")
    if not mode.is_known:
        raise InvalidArgument(
            f"cluster_mode: {given!r} is not known; allowed: 'single-node', 'multi-node'",
            argument="cluster_mode",
        )
    return mode


def _text(value: str, argument: str, allowed: str) -> str:
    if not isinstance(value, str) or not value.strip() or any(ord(c) < 32 for c in value):
        raise InvalidArgument(f"{argument}: {value!r} is not {allowed}", argument=argument)
    return value.strip()


def _optional(value: str | None, argument: str) -> str | None:
    return None if value is None else _text(value, argument, "a name; leave it out for the default")


def _several(values: Sequence[str] | None, argument: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidArgument(f"{argument}: give a list, for example [{values!r}]", argument=argument)
    return tuple(values or ())


def _moment(value: datetime | str | None) -> str | None:
    if not isinstance(value, datetime):
        return value
    if value.utcoffset() is None:
        raise InvalidArgument(
            f"starts_at: {value.isoformat()} has no time zone, which servers take for UTC; use "
            "datetime.now().astimezone() or datetime.now(UTC)",
            argument="starts_at",
        )
    return value.isoformat()


def _tag(value: str | None) -> str | None:
    if value is not None and (not value.strip() or len(value) > 64):
        raise InvalidArgument("tag: use 1 to 64 characters, or leave it out", argument="tag")
    return value


def _whole(value: int, argument: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgument(
            f"{argument}: {value!r} is not a whole number from {low} to {high}", argument=argument
        )
    return value


def _environ(env: Mapping[str, str] | None) -> dict[str, str]:
    for key, value in (env or {}).items():
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise InvalidArgument(f"env: {key!r} cannot name an environment variable", argument="env")
        if not isinstance(value, str):
            raise InvalidArgument(
                f"env: the value of {key} is {value!r}; environment variables are strings", argument="env"
            )
    return dict(env or {})


def _mounts(mounts: Mapping[str, str | None] | Sequence[str] | None) -> dict[str, str | None]:
    """``{"folder": "/path"}``, or ``["folder", "folder2:/path", "folder3=/path"]``."""
    if mounts is None:
        return {}
    if isinstance(mounts, Mapping):
        return {_text(k, "mounts", "a folder's name"): v for k, v in mounts.items()}
    if isinstance(mounts, str):
        raise InvalidArgument(
            f"mounts: give a list, for example [{mounts!r}], or a mapping from folder to path",
            argument="mounts",
        )
    found: dict[str, str | None] = {}
    for item in mounts:
        name, sep, target = re.match(r"([^:=]*)([:=]?)(.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]
        found[_text(name, "mounts", "a folder's name")] = target if sep else None
    return found


def _callback(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise InvalidArgument(
            f"callback_url: {url!r} is not a URL that begins with http:// or https://",
            argument="callback_url",
        )
    return url


def _duration(value: float | timedelta | str | None) -> str | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-6 <= value < math.inf:
        raise InvalidArgument(
            f"batch_timeout: {value!r} is not a number of seconds, a timedelta or a text as '2h'",
            argument="batch_timeout",
        )
    # As exact digits: `1e+06` is a number to some servers only.
    return f"{value:.6f}".rstrip("0").rstrip(".") + "s"
