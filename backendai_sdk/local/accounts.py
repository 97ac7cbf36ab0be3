"""Users and their key pairs: who may sign a request, and as whom.

Assumes one domain and one project, both called `default`, and one active key pair per user; keys and
passwords are random for each cluster and their `repr` hides them.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .clock import Clock

__all__ = ["DOMAIN", "GROUP", "SCALING_GROUP", "Account", "Accounts", "Keypair"]

DOMAIN: Final = "default"
GROUP: Final = "default"
SCALING_GROUP: Final = "default"


@attrs.frozen
class Keypair:
    """What a person needs to use the cluster: for signing (`api`) and for logging in (`session`)."""

    email: str
    access_key: str
    secret_key: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)
    admin: bool = False


@attrs.frozen
class Account:
    """A user as the server keeps it."""

    user_id: uuid.UUID
    keypair: Keypair
    created_at: datetime

    @property
    def access_key(self) -> str:
        return self.keypair.access_key

    @property
    def email(self) -> str:
        return self.keypair.email

    @property
    def is_admin(self) -> bool:
        return self.keypair.admin

    @property
    def role(self) -> str:
        return "superadmin" if self.is_admin else "user"


class Accounts:
    """Every account, by access key."""

    def __init__(self, clock: Clock) -> None:
        self.group_id = uuid.uuid4()
        self._clock = clock
        self._by_key: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._by_key.values()))

    def add(self, email: str | None = None, *, admin: bool = False) -> Account:
        """A new user with a key pair of its own."""
        if email is None:
            email = f"user{len(self._by_key) + 1}@local.test"
        if any(account.email == email for account in self):
            raise ValueError(f"there is a user {email!r} already")
        keypair = Keypair(
            email=email,
            access_key="AKLOCAL" + secrets.token_hex(7).upper()[:13],
            secret_key=secrets.token_urlsafe(30),
            password=secrets.token_urlsafe(12),
            admin=admin,
        )
        account = Account(uuid.uuid4(), keypair, self._clock.now())
        self._by_key[keypair.access_key] = account
        return account

    def by_access_key(self, access_key: str) -> Account | None:
        return self._by_key.get(access_key)

    def by_login(self, email: str, password: str) -> Account | None:
        """The account with this e-mail address, if the password is its password."""
        for account in self:
            matches = secrets.compare_digest(account.keypair.password.encode(), password.encode())
            if account.email == email and matches:
                return account
        return None
