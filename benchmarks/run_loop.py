"""Runs of code over REST beside bare aiohttp sending the same signed requests: one for each answer."""

from __future__ import annotations

from paired import Case, main

CASES = [
    Case("execute, 1 answer", "run", size=1, times=100, least=0.5),
    Case("execute, 50 answers", "run", size=50, times=2, least=0.7),
    Case("stream, 100 answers", "stream", size=100, times=1, least=0.7),
]

if __name__ == "__main__":
    raise SystemExit(main(__doc__, CASES, goal="the goal of the project is 0.95 of bare aiohttp"))
