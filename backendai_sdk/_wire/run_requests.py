"""A run over REST: the bodies of its requests, and where in an answer the result is (PROTOCOL §4.1).

The run id is chosen here, before anything is sent, so that a run can be interrupted and gone on with by
whoever knows it.  It is sent under both names, because releases 25.6 to 26.8 read ``run_id`` and the others
``runId``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from backendai_sdk._wire.scalars import excerpt
from backendai_sdk.errors import WireError

__all__ = ["RunRequests", "goes_on", "new_run_id", "result_of"]

_GOES_ON = frozenset({"continued", "clean-finished", "build-finished"})


def new_run_id() -> str:
    """A run id as agents make them: 32 hexadecimal digits."""
    return secrets.token_hex(16)


class RunRequests:
    """The bodies of one run's requests."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def first(self, mode: str, code: str, options: Mapping[str, object]) -> dict[str, object]:
        """The body that starts the run. Options go only with this one."""
        return self._body(mode, code, options)

    def poll(self) -> dict[str, object]:
        """The body that asks for more."""
        return self._body("continue", "", {})

    def answer(self, text: str) -> dict[str, object]:
        """The body that answers an ``InputRequest``; the server adds no newline."""
        return self._body("input", text, {})

    def _body(self, mode: str, code: str, options: Mapping[str, object]) -> dict[str, object]:
        return {
            "mode": mode,
            "code": code,
            "runId": self.run_id,
            "run_id": self.run_id,
            "options": dict(options),
        }


def result_of(answer: object) -> Mapping[str, object]:
    """The result within a decoded answer.

    Raises:
        WireError: there is none.
    """
    if isinstance(answer, dict):
        result = answer.get("result")
        if isinstance(result, dict) and isinstance(result.get("status"), str):
            return result
    raise WireError(f"the answer to an execution has no result: {excerpt(answer)}")


def goes_on(result: Mapping[str, object]) -> bool:
    """Whether more of the run is there for the asking, without anything from its user."""
    return result["status"] in _GOES_ON
