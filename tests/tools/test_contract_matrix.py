"""The contract's table: what it shows, and that it never passes over a gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from by_path import load

matrix = load("contract_matrix", Path(__file__).parents[2] / "tools" / "contract_matrix.py")


def report(folder: Path, server: str, **outcomes: str) -> str:
    scenarios = {
        f"test_life.py::test_{name}": {"outcome": outcome, "seconds": 1.0, "notes": [], "line": line}
        for line, (name, outcome) in enumerate(outcomes.items())
    }
    path = folder / f"{server}.json"
    path.write_text(json.dumps({"server": server, "scenarios": scenarios}))
    return str(path)


@pytest.mark.parametrize("outcome", ["passed", "fault", "absent"])
def test_holds(tmp_path: Path, outcome: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        report(tmp_path, "a", one="passed", two=outcome),
        report(tmp_path, "b", two="passed", one=outcome),
    ]
    assert matrix.main(files) == 0
    said = capsys.readouterr().out
    assert "2 scenarios on 2 servers" in said
    assert said.index("  one") < said.index("  two")


def test_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [report(tmp_path, "a", one="passed"), report(tmp_path, "b", one="failed")]
    assert matrix.main(files) == 1
    assert "FAILED: one on b" in capsys.readouterr().out


def test_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [report(tmp_path, "a", one="passed", two="passed"), report(tmp_path, "b", one="passed")]
    assert matrix.main(files) == 1
    assert "NOT RUN: two on b" in capsys.readouterr().out


def test_nothing_was_run(tmp_path: Path) -> None:
    assert matrix.main([report(tmp_path, "a")]) == 1


def test_cases_of_one_scenario_share_a_row() -> None:
    good, bad = (matrix.Cell(outcome, ("why",), 1.0) for outcome in ("passed", "failed"))
    one = matrix.Report(
        "a", {"test_list.py::test_each_field[id]": good, "test_list.py::test_each_field[tag]": bad}
    )
    assert matrix.rows([one]) == {("list", "each field"): [matrix.Cell("failed", ("why",), 2.0)]}


@pytest.mark.parametrize(("reason", "code", "word"), [("no Docker here", 0, "-"), ("", 1, "NOT RUN")])
def test_a_server_that_did_not_come_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str, code: int, word: str
) -> None:
    """With a reason it is absent; without one, everything is missing there."""
    down = tmp_path / "down.json"
    down.write_text(json.dumps({"server": "b", "scenarios": {}, "absent": reason}))
    assert matrix.main([report(tmp_path, "a", one="passed"), str(down)]) == code
    said = capsys.readouterr().out
    assert word in said
    assert reason in said


def test_what_held_only_when_tried_again_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(Path(report(tmp_path, "a", one="failed", two="passed", three="failed")).read_text())
    assert matrix.failed_in(first) == ["test_life.py::test_one", "test_life.py::test_three"]
    again = json.loads(Path(report(tmp_path, "b", one="passed", three="failed")).read_text())
    told = matrix.settled(first, again)
    assert matrix.failed_in(told) == ["test_life.py::test_three"]
    assert matrix.failed_in(matrix.settled(first, {"scenarios": {}})) == matrix.failed_in(first)
    file = tmp_path / "told.json"
    file.write_text(json.dumps(told))
    assert matrix.main([str(file)]) == 1
    said = capsys.readouterr().out
    assert "[1] failed at first, held when tried again alone" in said
    assert said.count("[1]") == 2, "one row and the note"
