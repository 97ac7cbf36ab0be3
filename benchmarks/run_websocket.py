"""Runs of code over a WebSocket beside bare aiohttp reading the same frames."""

from __future__ import annotations

from paired import Case, main

CASES = [
    Case("execute, 1 answer", "run_websocket", size=1, times=25, least=0.5),
    Case("execute, 5,000 answers", "run_websocket", size=5000, times=1, least=0.3),
    Case("stream, 5,000 answers", "stream_websocket", size=5000, times=1, least=0.3),
]

if __name__ == "__main__":
    raise SystemExit(main(__doc__, CASES))
