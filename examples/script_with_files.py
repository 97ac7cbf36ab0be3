"""A script with its data, run in a session; what it makes is brought back. On an embedded local cluster.

Run it with ``python examples/script_with_files.py``.  On a real cluster, write ``Session()`` instead of
``Session.local()``: nothing else changes.
"""

import tempfile
from pathlib import Path

from backendai_sdk import Session

SCRIPT = """
import csv, pathlib
rows = list(csv.reader(open("job/numbers.csv")))
total = sum(int(cell) for row in rows for cell in row)
pathlib.Path("out").mkdir()
pathlib.Path("out/total.txt").write_text(str(total))
pathlib.Path("out/large.bin").write_bytes(bytes(5_000_000))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Session.local() as api, api.create("python") as cs:
        job = Path(folder, "job")
        job.mkdir()
        (job / "script.py").write_text(SCRIPT)
        (job / "numbers.csv").write_text("1,2,3\n4,5,6\n")

        # An absolute path goes under its own name: job/script.py, job/numbers.csv.
        done = cs.upload(job)
        print(f"uploaded {done.files} files, {done.bytes} bytes")

        cs.execute_batch(exec="python job/script.py", check=True)
        for entry in cs.list_files("out"):
            print(f"{entry.mode} {entry.size:>8} {entry.path}")

        done = cs.download("out", to=folder)
        print(f"downloaded {done.files} files, {done.bytes} bytes")
        print("total:", Path(folder, "out/total.txt").read_text())


if __name__ == "__main__":
    main()
