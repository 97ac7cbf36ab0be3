"""Typed events out of bytes alone, without a connection, beside code that splits the bytes and decodes the JSON.

``--check`` fails if the typed ones come at less than 0.45 of the other's rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

EVENTS, BURST = 10_000, 100
LEAST = 0.45
_DATA = {
    "reason": "",
    "sessionName": "work",
    "ownerAccessKey": "AKIAIOSFODNN7EXAMPLE",
    "sessionId": "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11",
    "exitCode": None,
}


def chunks() -> list[bytes]:
    """The bytes of a stream, as many events in each as come together."""
    names = ("kernel_started", "kernel_creating", "session_started", "kernel_preparing")
    events = [
        f"event: {names[i % 4]}\r\ndata: {json.dumps(_DATA | {'reason': str(i)})}\r\n\r\n".encode()
        for i in range(EVENTS)
    ]
    return [b"".join(events[at : at + BURST]) for at in range(0, EVENTS, BURST)]


def typed(pieces: Sequence[bytes]) -> int:
    """As the SDK does it: by all rules of the format, into typed values."""
    from backendai_sdk._wire.events import EventDecoder

    decoder = EventDecoder()
    return sum(len(decoder.feed(piece)) for piece in pieces)


def bare(pieces: Sequence[bytes]) -> int:
    """As anybody would by hand, who knows how this server writes them: dictionaries."""
    count, buffer = 0, b""
    for piece in pieces:
        *blocks, buffer = (buffer + piece).split(b"\r\n\r\n")
        for block in blocks:
            _, _, data = block.partition(b"\r\ndata: ")
            json.loads(data)
            count += 1
    return count


def seconds(work: Callable[[Sequence[bytes]], int], pieces: Sequence[bytes]) -> float:
    began = time.perf_counter()
    assert work(pieces) == EVENTS
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    pieces = chunks()
    pairs = [(seconds(typed, pieces), seconds(bare, pieces)) for _ in range(options.rounds)]
    rate = statistics.median(b / t for t, b in pairs)
    best = [min(times) for times in zip(*pairs, strict=True)]
    for name, took in zip(("typed", "by hand"), best, strict=True):
        print(f"{name:10}{EVENTS / took:12,.0f} events/s in the best of {options.rounds} rounds")
    print(f"{rate:.2f} of the rate by hand (median of pairs); the goal of the project is 200,000 events/s")
    if options.check and max(rate, best[1] / best[0]) < LEAST:
        print(f"that is less than {LEAST}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
