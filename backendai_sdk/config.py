"""Settings: where the server is, who asks, and how patient to be.

Each setting is taken from the first place that has it: an argument, a ``BACKEND_*`` environment variable, a
profile in the user's TOML file (PROTOCOL §1.7 for the variables).  A ``Config`` is complete and checked once
it exists.  Secrets are in no ``repr`` and in no pickle.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from backendai_sdk.errors import ConfigError
from backendai_sdk.retry import RetryPolicy

__all__ = ["Config", "Timeouts", "journal_file", "profile_file", "shown_progress"]

EndpointType = Literal["api", "session"]


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < math.inf):
        raise ConfigError(
            f"timeouts.{attribute.name}: {value!r} is not a number of seconds above 0 (None for no limit)"
        )


def _truth(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{attribute.name}: {value!r} is neither true nor false")


@attrs.frozen(kw_only=True)
class Timeouts:
    """The time limits, in seconds; ``None`` takes a limit away.

    Attributes:
        connect: to get a connection.
        request: one ordinary request, from sending to the last byte of its answer. Above the servers' own
            limit of 30 s for their agents, so that their answer arrives first.
        start: a new session, from the queue to running.
        run: a run of code.
        silence: a stream without a sign of life; servers send one every 15 s.
        cleanup: destroying what is left when a block ends or a call is cancelled.
    """

    connect: float | None = attrs.field(default=10.0, validator=_positive)
    request: float | None = attrs.field(default=60.0, validator=_positive)
    start: float | None = attrs.field(default=None, validator=_positive)
    run: float | None = attrs.field(default=None, validator=_positive)
    silence: float | None = attrs.field(default=45.0, validator=_positive)
    cleanup: float | None = attrs.field(default=30.0, validator=_positive)


_YES = re.compile(r"(?i)y|yes|t|true|1|on")
_NO = re.compile(r"(?i)n|no|f|false|0|off")


def _journal(given: bool | str | os.PathLike[str] | None) -> Path | None:
    """The journal's file; a relative path is one of the folder in which the settings were made."""
    if given is None or given is False:
        return None
    try:
        path = journal_file() if given is True else Path(given).expanduser()
        if path == Path() or "\0" in str(path):
            raise TypeError
        return path if path.is_absolute() else Path.cwd() / path
    except TypeError:
        raise ConfigError(f"journal: {given!r} is neither true, false nor the path of a file") from None
    except (OSError, RuntimeError) as exc:
        raise ConfigError(f"journal: {given!r} leads nowhere: {exc}") from None


def _endpoints(given: str | Sequence[str]) -> tuple[str, ...]:
    """Check addresses; a comma-separated string is several, as in ``BACKEND_ENDPOINT``."""
    parts = given.split(",") if isinstance(given, str) else list(given)
    found = tuple(_endpoint(part.strip()) for part in parts if part.strip())
    if not found:
        raise ConfigError("endpoint: no address was given, for example 'https://api.example.com'")
    return found


def _endpoint(text: str) -> str:
    if "://" not in text:
        raise ConfigError(
            f"endpoint: {text!r} has no scheme; write 'https://{text}', or 'http://{text}' without TLS"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"endpoint: {text!r} is not an address: {exc}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(f"endpoint: {text!r} is not an http:// or https:// address with a host name")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError("endpoint: an address may have a path, but no user name, query or fragment")
    if not parts.path.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise ConfigError(f"endpoint: {text!r} has spaces or letters in it that must be percent-encoded")
    return text.rstrip("/")


@attrs.frozen(kw_only=True)
class Config:
    """All settings of a client session.

    Attributes:
        endpoint: the manager's address (or the web server's); several for failover, in order of preference.
        access_key, secret_key: the key pair that signs requests, for ``endpoint_type="api"``.
        username, password: the sign-in at the web server, for ``endpoint_type="session"``.
        domain, project: where new sessions belong.
        timeouts: time limits.
        retry: how failed requests are repeated.
        api_version: leave out to have it negotiated.
        verify_ssl: check certificates; false only for a server that you trust for other reasons.
        hash_name: the hash that signs, ``"sha256"`` or ``"sha512"``.
        journal: the file in which new sessions are written down, so that ``reap()`` finds what a killed process
            left; true for the one in the user's state folder, false (the default) for none.
        show_progress: whether sessions show in a notebook's cell how far they are while they start; nothing is
            shown anywhere else.

    Raises:
        ConfigError: something is missing, malformed or contradictory.
    """

    endpoint: tuple[str, ...] = attrs.field(converter=_endpoints)
    access_key: str = ""
    secret_key: str = attrs.field(default="", repr=False)
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    domain: str = "default"
    project: str = "default"
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    api_version: str | None = None
    endpoint_type: EndpointType = "api"
    verify_ssl: bool = True
    hash_name: str = "sha256"
    journal: Path | None = attrs.field(default=None, converter=_journal)
    show_progress: bool = attrs.field(default=True, validator=_truth)

    def __attrs_post_init__(self) -> None:
        if self.endpoint_type not in {"api", "session"}:
            raise ConfigError(
                f"endpoint_type: {self.endpoint_type!r} is not known; use 'api' (a manager, with keys) "
                "or 'session' (a web server, with user name and password)"
            )
        if self.api_version is not None and not re.fullmatch(r"v\d{1,9}\.\d{8}", self.api_version):
            raise ConfigError(
                f"api_version: {self.api_version!r} is not of the form 'v7.20230615'; leave it out to have it negotiated"
            )
        if self.hash_name not in {"sha256", "sha512"}:
            raise ConfigError(f"hash_name: {self.hash_name!r} cannot sign; use 'sha256' or 'sha512'")
        if self.endpoint_type == "api" and not (self.access_key and self.secret_key):
            missing = " and ".join(n for n in ("access_key", "secret_key") if not getattr(self, n))
            raise ConfigError(
                f"no credentials: {missing} missing. Pass access_key= and secret_key=, set BACKEND_ACCESS_KEY "
                f"and BACKEND_SECRET_KEY, or write a profile in {profile_file()}; with no cluster at hand, "
                "use Session.local()"
            )
        if self.endpoint_type == "session" and not (self.username and self.password):
            raise ConfigError(
                "no credentials: a web server (endpoint_type='session') needs username= and password=, or "
                "BACKEND_USER and BACKEND_PASSWORD"
            )

    @classmethod
    def load(cls, *, profile: str | None = None, **given: object) -> Config:
        """Put together the settings from arguments, then environment variables, then a profile.

        Args:
            profile: the profile's name; default ``$BACKEND_PROFILE``, then ``"default"`` if there is one.
            given: settings that win over everything else; ``None`` stands for "not given".
        """
        settings = _from_profile(profile or os.environ.get("BACKEND_PROFILE"))
        settings |= _from_environ(os.environ)
        settings |= {k: v for k, v in given.items() if v is not None}
        if "endpoint" not in settings:
            raise ConfigError(
                "no endpoint: pass endpoint=, set BACKEND_ENDPOINT, or write a profile in "
                f"{profile_file()}; with no cluster at hand, use Session.local()"
            )
        return cls(**settings)  # type: ignore[arg-type]

    @classmethod
    def from_env(cls) -> Config:
        """The settings of the ``BACKEND_*`` environment variables alone."""
        settings = _from_environ(os.environ)
        if "endpoint" not in settings:
            raise ConfigError("no endpoint: BACKEND_ENDPOINT is not set")
        return cls(**settings)  # type: ignore[arg-type]

    @classmethod
    def from_profile(cls, name: str = "default") -> Config:
        """The settings of one profile of the user's TOML file alone."""
        settings = _from_profile(name)
        if "endpoint" not in settings:
            raise ConfigError(f"the profile {name!r} in {profile_file()} has no endpoint")
        return cls(**settings)  # type: ignore[arg-type]

    def __copy__(self) -> Config:
        return self  # frozen; a copy is no pickle, and keeps its secrets

    def __deepcopy__(self, memo: object) -> Config:
        return self

    def __getstate__(self) -> dict[str, object]:
        state: dict[str, object] = {a.name: getattr(self, a.name) for a in attrs.fields(Config)}
        # A pickle is written to files and queues: it carries no secret.
        return {**state, "secret_key": "", "password": ""}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def profile_file() -> Path:
    """Where profiles are kept: ``backendai_sdk/config.toml`` in the user's settings folder."""
    if given := os.environ.get("BACKEND_CONFIG_FILE"):
        return Path(given)
    windows, others = ("APPDATA", "AppData/Roaming"), ("XDG_CONFIG_HOME", ".config")
    return _user_folder(windows=windows, others=others) / "config.toml"


def journal_file() -> Path:
    """Where the journal is kept unless a path is given: in the user's state folder."""
    windows, others = ("LOCALAPPDATA", "AppData/Local"), ("XDG_STATE_HOME", ".local/state")
    return _user_folder(windows=windows, others=others) / "journal.sqlite3"


def _user_folder(*, windows: tuple[str, str], others: tuple[str, str]) -> Path:
    """Our folder among the user's: where a variable says, or else at a place under the home folder."""
    if sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        variable, place = windows if sys.platform == "win32" else others
        base = Path(os.environ.get(variable) or Path.home() / place)
    return base / "backendai_sdk"


_VARIABLES = {
    "BACKEND_ENDPOINT": "endpoint",
    "BACKEND_ENDPOINT_TYPE": "endpoint_type",
    "BACKEND_ACCESS_KEY": "access_key",
    "BACKEND_SECRET_KEY": "secret_key",
    "BACKEND_USER": "username",
    "BACKEND_PASSWORD": "password",
    "BACKEND_DOMAIN": "domain",
    "BACKEND_GROUP": "project",
    "BACKEND_API_VERSION": "api_version",
}


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {
        setting: environ[variable] for variable, setting in _VARIABLES.items() if environ.get(variable)
    }
    if skip := environ.get("BACKEND_SKIP_SSLCERT_VALIDATION"):
        found["verify_ssl"] = not _YES.fullmatch(skip)
    if journal := environ.get("BACKEND_JOURNAL"):
        found["journal"] = bool(_YES.fullmatch(journal)) or (not _NO.fullmatch(journal) and journal)
    found |= shown_progress(environ)
    limits = {
        "connect": environ.get("BACKEND_CONNECTION_TIMEOUT"),
        "request": environ.get("BACKEND_READ_TIMEOUT"),
    }
    seconds = {name: _seconds(name, value) for name, value in limits.items() if value}
    # "0" means "no limit" to the official client; here every request has one, so it means the default.
    if seconds := {name: value for name, value in seconds.items() if value > 0}:
        found["timeouts"] = Timeouts(**seconds)
    return found


def shown_progress(environ: Mapping[str, str]) -> dict[str, bool]:
    """The one setting of the environment that holds for embedded clusters, too.

    Raises:
        ConfigError: it is neither yes nor no.
    """
    given = environ.get("BACKEND_SHOW_PROGRESS")
    if not given:
        return {}
    if not (_YES.fullmatch(given) or _NO.fullmatch(given)):
        raise ConfigError(f"BACKEND_SHOW_PROGRESS: {given!r} is neither 1 nor 0")
    return {"show_progress": bool(_YES.fullmatch(given))}


def _seconds(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        variable = "BACKEND_CONNECTION_TIMEOUT" if name == "connect" else "BACKEND_READ_TIMEOUT"
        raise ConfigError(f"{variable}: {value!r} is not a number of seconds")
    return number


_PROFILE_KEYS = {a.name for a in attrs.fields(Config)} - {"retry"}


def _from_profile(name: str | None) -> dict[str, object]:
    """A profile's settings; ``{}`` if none was asked for and there is no ``default``."""
    file = profile_file()
    profiles: dict[str, object]
    try:
        profiles = tomllib.loads(file.read_text("utf-8")).get("profiles", {})
    except FileNotFoundError:
        profiles = {}
    except (OSError, ValueError) as exc:
        raise ConfigError(f"cannot read the profiles in {file}: {exc}") from None
    if name is None and "default" not in profiles:
        return {}
    found = profiles.get(name or "default")
    if not isinstance(found, dict):
        known = ", ".join(profiles) or "none"
        raise ConfigError(f"there is no profile {name!r} in {file} (profiles there: {known})")
    settings = {str(key): value for key, value in found.items()}
    if unknown := settings.keys() - _PROFILE_KEYS:
        raise ConfigError(
            f"the profile {name or 'default'!r} in {file} has unknown settings: {sorted(unknown)}"
        )
    if isinstance(limits := settings.get("timeouts"), dict):
        try:
            settings["timeouts"] = Timeouts(**limits)
        except TypeError as exc:
            raise ConfigError(f"timeouts of the profile {name or 'default'!r} in {file}: {exc}") from None
    return settings
