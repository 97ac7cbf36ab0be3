"""The accounts of a cluster, with keys and passwords made to be thrown away, and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
# 26.9.6 counts idle time from the end of the first run only: a session that never ran ends by its age.
IDLE_SECONDS = 30
LIFETIME_SECONDS = 60


@dataclass(frozen=True)
class Policy:
    """What a keypair may use; ``idle_seconds`` and ``lifetime_seconds`` 0 are no limit."""

    name: str
    sessions: int
    slots: dict[str, str]
    idle_seconds: int = 0
    lifetime_seconds: int = 0
    folder_permissions: tuple[str, ...] = (
        "create-vfolder",
        "modify-vfolder",
        "delete-vfolder",
        "mount-in-session",
        "upload-file",
        "download-file",
        "invite-others",
        "set-user-specific-permission",
    )

    @property
    def unspecified(self) -> str:
        return "LIMITED" if self.slots else "UNLIMITED"

    def row(self, storage_host: str) -> dict[str, Any]:
        """What every release has of it in its table of policies."""
        return {
            "name": self.name,
            "default_for_unspecified": self.unspecified,
            "total_resource_slots": self.slots,
            "max_session_lifetime": self.lifetime_seconds,
            "max_concurrent_sessions": self.sessions,
            "idle_timeout": self.idle_seconds,
            "allowed_vfolder_hosts": {storage_host: list(self.folder_permissions)},
        }


ROOMY = Policy("roomy", 30, {})
TIGHT = Policy(
    "tight",
    1,
    {"cpu": "1", "mem": str(1024 * MIB)},
    folder_permissions=("create-vfolder", "mount-in-session"),
)
IDLE = Policy("idle", 30, {}, IDLE_SECONDS, LIFETIME_SECONDS)
POLICIES = (ROOMY, TIGHT, IDLE)


@dataclass(frozen=True)
class Account:
    """A user with one keypair; ``tag`` names the release, so that keys of one are strangers to another."""

    name: str
    tag: str
    number: int
    policy: Policy = ROOMY

    @property
    def is_admin(self) -> bool:
        return self.name == "admin"

    @property
    def email(self) -> str:
        return f"{self.name}@real{self.tag}.test"

    @property
    def password(self) -> str:
        return f"{self.name}-real{self.tag}-Pw1"

    @property
    def access_key(self) -> str:
        # 20 characters is what the column takes, and what real ones have.
        return f"AKREAL{self.tag}{self.name.upper()}".ljust(19, "0") + str(self.number)

    @property
    def secret_key(self) -> str:
        return f"real{self.tag}-{self.name}-throw-away-secret-".ljust(40, "0")

    @property
    def uuid(self) -> str:
        return f"a0000000-0000-4000-8000-{self.number:012d}"

    def user_row(self) -> dict[str, Any]:
        """What every release has of it in its table of users."""
        return {
            "uuid": self.uuid,
            "username": self.name,
            "email": self.email,
            "password": self.password,
            "need_password_change": False,
            "full_name": self.name.title(),
            "description": "",
            "status": "active",
            "status_info": "admin-requested",
            "domain_name": "default",
            "role": "superadmin" if self.is_admin else "user",
        }

    def keypair_row(self) -> dict[str, Any]:
        """What every release has of it in its table of keypairs."""
        return {
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "is_active": True,
            "is_admin": self.is_admin,
            "resource_policy": self.policy.name,
            "rate_limit": 100000,
            "num_queries": 0,
            "user": self.uuid,
        }


def accounts(tag: str) -> list[Account]:
    """Every account of the release that ``tag`` names; the first is the superadmin."""
    names = {"admin": ROOMY, "user": ROOMY, "other": ROOMY, "tight": TIGHT, "idle": IDLE}
    return [Account(name, tag, number, policy) for number, (name, policy) in enumerate(names.items(), 1)]
