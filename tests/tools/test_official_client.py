"""tools/official_client.py: what is complete stays, what is half-finished is made again. Nothing is downloaded here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from by_path import load

TOOL = Path(__file__).parents[2] / "tools" / "official_client.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool, with commands that are only noted, and leave a Python behind."""
    module = load("official_client", TOOL)
    module.commands = []

    def run(command: list[str], limit: float) -> None:
        module.commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)
            (Path(command[3]) / "bin" / "python").touch()

    monkeypatch.setattr(module, "_run", run)
    monkeypatch.setattr(module, "find_python", lambda version: f"python{version}")
    return module


def test_a_second_installation_does_nothing(tool: Any, tmp_path: Path) -> None:
    folder = tool.install("23.9.10", tmp_path)
    venv, pip, client = tool.commands
    assert venv == ["python3.11", "-m", "venv", str(folder)]
    assert pip[0] == str(folder / "bin" / "pip")
    assert pip[-2:] == ["backend.ai-client==23.9.10", "yarl<1.17"]
    assert client == [str(folder / "bin" / "backend.ai"), "--help"]
    assert tool.install("23.9.10", tmp_path) == folder
    assert len(tool.commands) == 3


@pytest.mark.parametrize("step", [1, 2])
def test_a_half_finished_installation_is_made_again(
    tool: Any, tmp_path: Path, monkeypatch: Any, step: int
) -> None:
    run = tool._run

    def fail(command: list[str], limit: float) -> None:
        run(command, limit)
        if len(tool.commands) == step + 1:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(tool, "_run", fail)
    with pytest.raises(subprocess.CalledProcessError):
        tool.install("23.9.10", tmp_path)
    left = tmp_path / "23.9.10" / "left-over"
    left.touch()
    monkeypatch.setattr(tool, "_run", run)
    tool.install("23.9.10", tmp_path)
    assert not left.exists()
    assert tool.is_complete(tmp_path / "23.9.10", "23.9.10")


def test_other_requirements_or_a_lost_python_are_no_complete_installation(
    tool: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tool.install("23.9.10", tmp_path)
    (folder / "bin" / "python").unlink()
    assert not tool.is_complete(folder, "23.9.10")
    tool.install("23.9.10", tmp_path)
    assert tool.is_complete(folder, "23.9.10")
    monkeypatch.setitem(tool.RELEASES, "23.9.10", tool.Release("3.11", ("backend.ai-client==23.9.10",)))
    assert not tool.is_complete(folder, "23.9.10")
    (folder / tool.MARKER).write_text("{")
    assert not tool.is_complete(folder, "23.9.10")


def test_the_cache_folder(tool: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tool.cache_folder() == tmp_path / "backendai_sdk" / "official-client"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert tool.cache_folder() == tmp_path / "home" / ".cache" / "backendai_sdk" / "official-client"


def test_a_python_that_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    module = load("official_client_itself", TOOL)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert module.find_python(here) == sys.executable
    with pytest.raises(SystemExit, match=r"needs Python 3\.99"):
        module.find_python("3.99")
