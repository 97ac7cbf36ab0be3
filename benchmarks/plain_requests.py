"""Single requests beside bare aiohttp sending the same ones: without a body, and pages of a listing, which become rows."""

from __future__ import annotations

from paired import Case, main

CASES = [
    Case("interrupt", "request", size=100, times=1, least=0.65),
    Case("list, 1 row", "page", size=1, times=100, least=0.5),
    Case("list, 100 rows", "page", size=100, times=20, least=0.2),
]

if __name__ == "__main__":
    raise SystemExit(main(__doc__, CASES))
