"""The faults of one cluster: set from any thread, before or while it runs.

Assumes that the server asks here about each request, connection and event as it comes. Nothing here does anything to
them: it only decides, in an order and with a luck that a seed repeats.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from .fault import AnswerFault, EventFault, Fault, NetworkFault
from .injection import Hit, Injection
from .pattern import CONNECT, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Faults"]


class Faults:
    """What is to go wrong, and what did."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise TypeError(f"faults_seed={seed!r}: a whole number is expected")
        self._seed = random.randrange(2**32) if seed is None else seed
        self._changed = threading.Condition(threading.RLock())
        self._set: list[Injection] = []
        self._hits: list[Hit] = []
        self._made = 0

    def __repr__(self) -> str:
        return f"<Faults seed={self._seed} active={len(self.active)} hits={len(self.hits)}>"

    @property
    def seed(self) -> int:
        """What all luck comes from. A cluster that is given this seed, these faults and these requests fails alike."""
        return self._seed

    @property
    def active(self) -> tuple[Injection, ...]:
        """What is set now, in the order it was set."""
        with self._changed:
            return tuple(self._set)

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Everything that was injected since the start or the last `clear()`, in order."""
        with self._changed:
            return tuple(self._hits)

    def add(
        self,
        fault: Fault,
        on: str = "*",
        *,
        times: int | None = None,
        probability: float = 1.0,
        skip: int = 0,
    ) -> Injection:
        """Set a fault, until it is removed.

        `on` says where: for faults of the network and of answers requests such as `"POST /session*"`, by default all;
        for faults of the network also `"connect"`, new connections as wholes; for faults of events their names.
        Of what matches, the first `skip` are spared, the others are struck with the given `probability`, at most
        `times` times. Several faults may strike one request; of faults of answers, the first that does.

        Raises:
            ValueError, TypeError: an argument is not one of these; nothing has been set.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"fault={fault!r}: expected a fault, such as Latency(0.2)")
        if not isinstance(on, str):
            raise TypeError(f"on={on!r}: a text is expected")
        if isinstance(fault, EventFault):
            pattern = Pattern.for_events(on)
        else:
            pattern = Pattern.for_requests(on, connections=isinstance(fault, NetworkFault))
        _check_count("times", times, 1, optional=True)
        _check_count("skip", skip, 0)
        if isinstance(probability, bool) or not isinstance(probability, int | float):
            raise TypeError(f"probability={probability!r}: a number is expected")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability={probability!r}: 0 to 1 is expected")
        with self._changed:
            self._made += 1
            injection = Injection(
                fault,
                pattern,
                times=times,
                probability=probability,
                skip=skip,
                seed=f"{self._seed}:{self._made}",
                changed=self._changed,
                forget=self._forget,
                note=self._hits.append,
            )
            self._set.append(injection)
            return injection

    def script(self, on: str, *faults: Fault | None) -> tuple[Injection, ...]:
        """What becomes of the first, second, ... of what matches `on`; `None` lets one pass.

        Raises:
            ValueError, TypeError: as `add()` does; nothing has been set.
        """
        made: list[Injection] = []
        try:
            for number, fault in enumerate(faults):
                if fault is not None:
                    made.append(self.add(fault, on, times=1, skip=number))
        except BaseException:
            for injection in made:
                injection.remove()
            raise
        return tuple(made)

    def clear(self) -> None:
        """Inject nothing any more, and forget what was: the same faults, set again, strike the same again.

        What was done to a connection stays done.
        """
        with self._changed:
            self._set.clear()
            self._hits.clear()
            self._made = 0

    def _forget(self, injection: Injection) -> None:
        with self._changed:
            if injection in self._set:
                self._set.remove(injection)

    # --- for the server -----------------------------------------------------------------------------------

    def for_request(self, target: str) -> tuple[list[Injection], Injection | None]:
        """What is to be injected into a request: into its connection, and into its answer."""
        network: list[Injection] = []
        answer: Injection | None = None
        for injection in self._relevant():
            if isinstance(injection.fault, NetworkFault):
                if injection.take(target):
                    network.append(injection)
            elif isinstance(injection.fault, AnswerFault) and injection.take(target, wanted=answer is None):
                answer = injection
        return network, answer

    def for_connection(self) -> list[Injection]:
        """What is to be injected into a new connection."""
        relevant = self._relevant()
        return [i for i in relevant if isinstance(i.fault, NetworkFault) and i.take(CONNECT)]

    def for_event(self, name: str) -> Injection | None:
        """What is to be injected into an event: the first fault that strikes."""
        struck: Injection | None = None
        for injection in self._relevant():
            if isinstance(injection.fault, EventFault) and injection.take(name, wanted=struck is None):
                struck = injection
        return struck

    def _relevant(self) -> Iterable[Injection]:
        # Read without the lock first: a server without faults must not pay for them.
        return self.active if self._set else ()


def _check_count(name: str, value: int | None, low: int, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: a whole number is expected")
    if value < low:
        raise ValueError(f"{name}={value!r}: at least {low} is expected")
