"""One table of what the contract's scenarios came to on each server, and a verdict.

Reads the files that ``pytest tests/contract --contract-report FILE`` wrote, one for each server. Prints a row for
each scenario and a column for each server, then the notes, then how long it took. Fails if a scenario failed, or was
not run on a server although it was on another: nothing is left out silently.

    python tools/contract_matrix.py report-1.json report-2.json ...
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

WORDS = {"passed": "ok", "fault": "fault", "absent": "-", "failed": "FAILED", "missing": "NOT RUN"}
AGAIN = "failed at first, held when tried again alone"
# What a row of several cases comes to: the worst of them.
ORDER = ("failed", "missing", "fault", "absent", "passed")


class Cell(NamedTuple):
    """What a scenario came to on one server."""

    outcome: str
    notes: tuple[str, ...]
    seconds: float


class Report(NamedTuple):
    """One server's scenarios, by test id, and what stands for those that it does not have."""

    server: str
    cases: Mapping[str, Cell]
    missing: Cell = Cell("missing", (), 0.0)


def read(path: Path) -> Report:
    """Read one file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    in_order = sorted(
        told["scenarios"].items(), key=lambda item: (item[0].partition("::")[0], item[1]["line"])
    )
    cases = {name: Cell(row["outcome"], tuple(row["notes"]), row["seconds"]) for name, row in in_order}
    if reason := told.get("absent"):
        return Report(told["server"], cases, Cell("absent", (reason,), 0.0))
    return Report(told["server"], cases)


def failed_in(told: Mapping[str, Any]) -> list[str]:
    """The scenarios of a report that failed, by test id."""
    return [case for case, row in told["scenarios"].items() if row["outcome"] == "failed"]


def settled(first: Mapping[str, Any], again: Mapping[str, Any]) -> dict[str, Any]:
    """A report in which those that failed have what came of their second try, and a note that says so."""
    rows = dict(first["scenarios"])
    for case in failed_in(first):
        row = again["scenarios"].get(case)
        if row is not None and row["outcome"] != "failed":
            rows[case] = row | {"notes": [*row["notes"], AGAIN]}
    return {**first, "scenarios": rows}


def scenario(case: str) -> tuple[str, str]:
    """``test_list.py::test_each_field[id]`` is the scenario ``each field`` of ``list``."""
    file, _, name = case.partition("::")
    words = re.sub(r"\[.*\]$", "", name).removeprefix("test_").replace("_", " ")
    return file.removeprefix("test_").removesuffix(".py"), words


def worst(cells: Iterable[Cell]) -> Cell:
    """Several cases of one scenario, as one cell."""
    cells = list(cells)
    outcome = min((cell.outcome for cell in cells), key=ORDER.index)
    notes = tuple(dict.fromkeys(note for cell in cells for note in cell.notes))
    return Cell(outcome, notes, sum(cell.seconds for cell in cells))


def rows(reports: Sequence[Report]) -> dict[tuple[str, str], list[Cell]]:
    """Every scenario with a cell for each server; one that a server has not run is ``missing`` there."""
    cases: dict[tuple[str, str], set[str]] = {}
    for report in reports:
        for case in report.cases:
            cases.setdefault(scenario(case), set()).add(case)
    return {
        key: [worst(report.cases.get(case, report.missing) for case in ids) for report in reports]
        for key, ids in cases.items()
    }


def table(reports: Sequence[Report]) -> tuple[str, bool]:
    """The table as text, and whether the contract holds."""
    matrix = rows(reports)
    notes: list[str] = []
    width = max((len(name) for _, name in matrix), default=0) + 4
    columns = [max(len(report.server), 10) + 2 for report in reports]
    lines = [
        " " * width + "".join(report.server.ljust(w) for report, w in zip(reports, columns, strict=True))
    ]
    part = ""
    for (file, name), cells in matrix.items():
        if file != part:
            part = file
            lines += ["", file]
        shown = []
        for cell, w in zip(cells, columns, strict=True):
            marks = []
            for note in cell.notes:
                if note not in notes:
                    notes.append(note)
                marks.append(str(notes.index(note) + 1))
            shown.append((WORDS[cell.outcome] + (f" [{','.join(marks)}]" if marks else "")).ljust(w))
        lines.append(f"  {name}".ljust(width) + "".join(shown).rstrip())
    lines += ["", *(f"[{i}] {note}" for i, note in enumerate(notes, 1)), ""]
    for report in reports:
        total = sum(cell.seconds for cell in report.cases.values())
        slow = max(
            report.cases.items(), key=lambda item: item[1].seconds, default=("nothing", Cell("", (), 0))
        )
        lines.append(
            f"{report.server}: {len(report.cases)} cases, {total:.0f} s of tests, the longest "
            f"{slow[1].seconds:.0f} s ({slow[0]})"
        )
    bad = [
        (name, report.server, cell.outcome)
        for (_, name), cells in matrix.items()
        for report, cell in zip(reports, cells, strict=True)
        if cell.outcome in {"failed", "missing"}
    ]
    lines += ["", *(f"{WORDS[outcome]}: {name} on {server}" for name, server, outcome in bad)]
    lines.append(
        f"the contract {'does not hold' if bad else 'holds'}: {len(matrix)} scenarios on {len(reports)} servers"
    )
    return "\n".join(lines), not bad and bool(matrix)


def main(paths: Sequence[str]) -> int:
    """Print the table of the files given."""
    reports = [read(Path(path)) for path in paths]
    text, holds = table(reports)
    print(text)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
