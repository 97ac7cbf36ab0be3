"""Installed size beside the bare dependencies: two fresh virtual environments.

``--check`` fails if the SDK brings in more than its four dependencies do, itself aside, or is larger than them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CASES = {
    "bare dependencies": ["aiohttp", "attrs", "yarl", "multidict"],
    "backendai_sdk": [str(ROOT)],
    "backendai_sdk[local]": [f"{ROOT}[local]"],
}


def measure(folder: Path, packages: list[str]) -> tuple[int, float]:
    """How many distributions, and how many MiB without byte code."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-compile", *packages], check=True)
    subprocess.run([*pip, "uninstall", "--yes", "setuptools"], check=True)
    site = next(folder.rglob("site-packages"))
    installed = {p for p in site.iterdir() if not p.name.startswith("pip")}
    distributions = [p for p in installed if p.name.endswith(".dist-info")]
    files = [f for p in installed for f in ([p] if p.is_file() else p.rglob("*"))]
    size = sum(f.stat().st_size for f in files if f.is_file() and "__pycache__" not in f.parts)
    return len(distributions), size / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, packages) in enumerate(CASES.items()):
            found[name] = measure(Path(folder) / str(number), packages)
    bare_count, bare_size = found["bare dependencies"]
    print(f"{'':24}{'distributions':>14}{'MiB':>8}{'over bare':>11}")
    for name, (count, size) in found.items():
        print(f"{name:24}{count:14}{size:8.1f}{size / bare_size:11.2f}")
    count, size = found["backendai_sdk"]
    if options.check and (count > bare_count + 1 or size > 2 * bare_size):
        print("the SDK brings in more than its four dependencies, or is larger than them")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
