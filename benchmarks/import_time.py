"""Import time beside bare aiohttp: fresh interpreters in turn, medians of ratios.

``--check`` fails if ``import backendai_sdk`` takes 0.4 of ``import aiohttp`` or more.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROMISED = 0.4
CASES = {
    "import aiohttp": "import aiohttp",
    "import backendai_sdk": "import backendai_sdk",
    "client class loaded": "from backendai_sdk import AsyncSession",
    "blocking class loaded": "from backendai_sdk import Session",
}


def measure(statement: str) -> tuple[float, int]:
    """Seconds and modules of one statement in a fresh interpreter."""
    code = (
        "import sys, time; before = len(sys.modules); began = time.perf_counter(); "
        f"{statement}; print(time.perf_counter() - began, len(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for statement in CASES.values():
        measure(statement)  # warms the disk cache and writes byte code
    rounds = [{name: measure(statement) for name, statement in CASES.items()} for _ in range(options.rounds)]
    print(f"{'':24}{'median ms':>10}{'modules':>9}{'over aiohttp':>14}")
    ratios = {}
    for name in CASES:
        ratios[name] = statistics.median(r[name][0] / r["import aiohttp"][0] for r in rounds)
        milliseconds = statistics.median(r[name][0] for r in rounds) * 1000
        print(f"{name:24}{milliseconds:10.1f}{rounds[0][name][1]:9}{ratios[name]:14.3f}")
    if options.check and ratios["import backendai_sdk"] >= PROMISED:
        print(f"import backendai_sdk takes {PROMISED} of import aiohttp or more")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
