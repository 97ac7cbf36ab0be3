"""Print one of the README's commands, so that what users type and what is tested cannot differ.

``python tools/readme_commands.py 1`` prints the first ``sh`` block: it runs the SDK; ``2`` the second: it tests it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def main() -> int:
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    print(blocks[int(sys.argv[1]) - 1].strip())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
