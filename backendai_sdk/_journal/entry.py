"""One line of the journal: a session that some process is about to make, has made, or could not destroy."""

from __future__ import annotations

from enum import StrEnum
from uuid import uuid4

import attrs

from backendai_sdk._journal.owner import Owner

__all__ = ["Entry", "State"]


class State(StrEnum):
    """How far a session is, as its owner knows."""

    INTENDED = "intended"  # written before the request: there may be a session of that name
    LIVE = "live"  # the reply came: its id is known
    ABANDONED = "abandoned"  # the owner tried to destroy it and gave up: whoever comes may


@attrs.frozen(kw_only=True)
class Entry:
    """A session as the journal knows it. No secret is in it.

    Attributes:
        endpoint: the servers that it is on: addresses, joined by commas.
        account: who asked for it: an access key, or a user name at a web server.
        access_key: whose session it is, if that is known: names are unique for each key.
        name: its name, chosen before it was asked for.
        session_id: its id, or ``""`` until the reply has come.
        asked_at: when it was asked for, by the server's clock, in seconds since the epoch.
        key: what the entry itself is called.
    """

    endpoint: str
    account: str
    access_key: str
    name: str
    session_id: str = ""
    asked_at: float
    state: State = State.INTENDED
    owner: Owner
    key: str = attrs.field(factory=lambda: uuid4().hex)

    def is_of(self, endpoints: tuple[str, ...], account: str) -> bool:
        """Whether it is about a session on one of *endpoints* that *account* has asked for."""
        return self.account == account and not set(endpoints).isdisjoint(self.endpoint.split(","))
