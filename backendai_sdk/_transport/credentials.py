"""How a request proves who asks: a signature for managers, a signed-in cookie for web servers.

Both are asked for headers once for each attempt, so that a repeated request carries a fresh date
(PROTOCOL §1.1, §1.6).
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

from backendai_sdk._version import __version__
from backendai_sdk._wire.request import Request
from backendai_sdk._wire.sign import date_header, sign
from backendai_sdk.config import Config
from backendai_sdk.errors import ConfigError

__all__ = ["KeyPair", "WebLogin", "credentials_of", "host_of"]

_USER_AGENT = f"backendai_sdk/{__version__}"


class KeyPair:
    """Signs requests with a key pair, for endpoints of type ``api``."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def target(self, request: Request) -> str:
        return request.path

    def headers(
        self, request: Request, endpoint: str, target: str, *, now: datetime, version: str
    ) -> dict[str, str]:
        host, prefix = _host_and_prefix(endpoint)
        headers = _common(request, host, version)
        if not request.signed:
            return headers
        date, day = date_header(now)
        headers["Date"] = date
        headers["Authorization"] = sign(
            method=request.method,
            path_qs=prefix + target,
            host=host,
            date=date,
            day=day,
            content_type=request.content_type,
            version=version,
            access_key=self._config.access_key,
            secret_key=self._config.secret_key,
            hash_name=self._config.hash_name,
        )
        return headers


class WebLogin:
    """Nothing to sign: the web server knows the cookie of who signed in, for endpoints of type ``session``."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def target(self, request: Request) -> str:
        return request.path if request.site else "/func" + request.path

    def headers(
        self,
        request: Request,
        endpoint: str,
        target: str,  # noqa: ARG002 - asked as KeyPair is
        *,
        now: datetime,  # noqa: ARG002
        version: str,
    ) -> dict[str, str]:
        return _common(request, host_of(endpoint), version)

    @property
    def username(self) -> str:
        """Who signs in."""
        return self._config.username

    def login(self) -> Request:
        """The request that signs in."""
        body = {"username": self._config.username, "password": self._config.password}
        return Request(method="POST", path="/server/login", json=body, site=True, signed=False)


def credentials_of(config: Config) -> KeyPair | WebLogin:
    """The way that *config* asks for.

    Raises:
        ConfigError: the secret is missing: the settings came out of a pickle.
    """
    secret = "secret_key" if config.endpoint_type == "api" else "password"
    if not getattr(config, secret):
        raise ConfigError(
            f"{secret}: missing, because these settings came out of a pickle, which carries no secrets: use "
            f"attrs.evolve(config, {secret}=...)"
        )
    return KeyPair(config) if config.endpoint_type == "api" else WebLogin(config)


def host_of(endpoint: str) -> str:
    """The ``Host`` header for *endpoint*: what is signed must be what is sent, so both come from here.

    A scheme's own port is left out, as HTTP libraries and proxies do (PROTOCOL §1.2).
    """
    return _host_and_prefix(endpoint)[0]


# A client session has one or a few; taking them apart for each request would cost as much as signing it.
@lru_cache(maxsize=64)
def _host_and_prefix(endpoint: str) -> tuple[str, str]:
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if ":" in host:
        host = f"[{host}]"
    default = 443 if parts.scheme == "https" else 80
    return host if parts.port in {None, default} else f"{host}:{parts.port}", parts.path


def _common(request: Request, host: str, version: str) -> dict[str, str]:
    headers = {"Host": host, "User-Agent": _USER_AGENT, "Accept": request.accept}
    if request.json is not None and not request.files:
        headers["Content-Type"] = "application/json"
    if version:
        headers["X-BackendAI-Version"] = version
    return headers
