"""Life-cycle events, typed, beside bare aiohttp that splits the bytes and decodes the JSON."""

from __future__ import annotations

from paired import Case, main

EVENTS = 10_000
CASES = [
    Case("100 events in a chunk", "events", size=EVENTS, times=1, least=0.3, session=100),
    Case("a chunk for each event", "events", size=EVENTS, times=1, least=0.3, session=1),
]

if __name__ == "__main__":
    raise SystemExit(main(__doc__, CASES, events=EVENTS, goal="the goal of the project is 200,000 events/s"))
