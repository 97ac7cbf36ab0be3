"""The example notebooks and the how-to page run as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("examples/notebooks/*.ipynb"))
PAGE = ROOT / "docs/how-to/notebooks.md"

pytestmark = pytest.mark.timeout(150)


def executed(notebook: Any, environment: dict[str, str], folder: Path) -> Any:
    """Run a notebook with nbclient, as `jupyter execute` does, without settings of whoever runs the tests."""
    kept = {name: value for name, value in environment.items() if not name.startswith("BACKEND_")}
    manager = KernelManager(transport="ipc", connection_file=str(folder / "k.json"))
    client = NotebookClient(notebook, km=manager, timeout=100, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute(env=kept)
    finally:
        # A manager that is given to it, nbclient leaves as it is.
        if client.kc is not None:
            client.kc.stop_channels()
        manager.shutdown_kernel()
    return notebook


@pytest.fixture
def clean(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return environment | {"HOME": str(tmp_path), "BACKEND_CONFIG_FILE": str(tmp_path / "none.toml")}


def quickstart_shows(outputs: list[Any]) -> None:
    shown = printed(outputs)
    assert "step 1\nstep 2\nstep 3\n" in shown
    assert "5 points arrived" in shown
    bundles = [out["data"] for out in outputs if "data" in out]
    assert any("image/svg+xml" in bundle for bundle in bundles)
    assert any("16" in bundle["text/plain"] for bundle in bundles)
    assert [out["ename"] for out in outputs if out["output_type"] == "error"] == ["ExecutionFailed"]


def batch_results_shows(outputs: list[Any]) -> None:
    """Three runs that went well, the one that failed, and no session left."""
    assert printed(outputs) == "3 of 4 runs went well\n0 sessions left\n"
    shown = [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]
    *starts, table = shown
    assert len(starts) == 4
    assert all("</b>: running after" in start for start in starts), (
        "each session shows its start, in its place"
    )
    rows = [re.findall("<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert [row[:2] for row in rows] == [["2.8", "0"], ["3.2", "0"], ["3.9", "0"], ["4.2", "1"]]
    assert [row[2] for row in rows[:2]] == ["last size 0.643", "last size 0.513"]
    assert rows[3][2:] == ["out of bounds in year 0", "", ""]
    (picture,) = [out["data"]["image/svg+xml"] for out in outputs if "image/svg+xml" in out.get("data", {})]
    lines = [points.split() for points in re.findall('polyline points="(.*?)"', picture)]
    assert [len(points) for points in lines] == [40, 40, 40, 0]


SHOWS = {"quickstart.ipynb": quickstart_shows, "batch_results.ipynb": batch_results_shows}


def printed(outputs: list[Any]) -> str:
    return "".join(out.get("text", "") for out in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_an_example_notebook_runs(path: Path, clean: dict[str, str], tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    saved = [cell for cell in notebook.cells if cell.get("outputs")]
    assert not saved, "outputs are not checked in: they change with every run"
    executed(notebook, clean, tmp_path)
    SHOWS[path.name]([out for cell in notebook.cells for out in cell.get("outputs", [])])


def test_all_are_there() -> None:
    assert {path.name for path in NOTEBOOKS} == set(SHOWS)


def test_the_page_runs(clean: dict[str, str], tmp_path: Path) -> None:
    """Each ``ipython`` block is a cell; a ``text`` block after it is what it prints."""
    blocks = re.findall(r"^```(ipython|text)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    cells = [
        nbformat.v4.new_code_cell(text.rstrip("\n")) for language, text in blocks if language == "ipython"
    ]
    notebook = executed(nbformat.v4.new_notebook(cells=cells), clean, tmp_path)
    printed = iter(notebook.cells)
    cell: Any = None
    for language, text in blocks:
        if language == "ipython":
            cell = next(printed)
        else:
            assert "".join(out.get("text", "") for out in cell.outputs) == text
    assert sum(language == "text" for language, _ in blocks) == 3
