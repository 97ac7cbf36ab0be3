"""Try the tests that have just failed once more, alone: ``python tools/again.py``, in the folder in which pytest ran.

For gates on machines that others use, too: one of ten thousand tests that meet real threads, signals and sockets may
fail for what the machine did.  What holds only now is named, loudly, because it is a defect of the test all the same;
what fails twice has failed, and so have more than a few at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 3
FAILED = Path(".pytest_cache/v/cache/lastfailed")  # where pytest notes it, relative to its root folder


def failed() -> list[str]:
    """The tests that failed when they were last run."""
    if not FAILED.exists():
        return []
    return sorted(json.loads(FAILED.read_text(encoding="utf-8")))


def main() -> int:
    tests = failed()
    if not tests:
        print("again: pytest noted no test that failed, so something else did", file=sys.stderr)
        return 1
    if len(tests) > FEW:
        print(f"again: {len(tests)} tests failed, which is no accident", file=sys.stderr)
        return 1
    code = subprocess.run([sys.executable, "-m", "pytest", "--quiet", *tests], check=False).returncode
    if code == 0:
        print(f"\n=== FLAKY, to be mended: passed only when tried again, alone: {', '.join(tests)}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
