"""What a user of JupyterLab sees and does: cells run in a session, start one, ask, and are stopped.

The cells work on an embedded cluster, which the notebook's kernel starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(140)

BEGIN = "%load_ext backendai_sdk.notebook\n%backendai local"
USE = "%backendai use lab1 --image python:3.11 --resources cpu=1 mem=1g"


def test_cells_run_as_if_they_ran_here(opened: Callable[..., Any]) -> None:
    notebook = opened(
        BEGIN,
        USE,
        "points = [[x, x * x] for x in range(6)]",
        "%%backendai --in points --out total\n"
        "class Drawing:\n"
        "    def _repr_svg_(self):\n"
        '        line = " ".join(f"{20 * x},{100 - 4 * y}" for x, y in points)\n'
        '        shape = f\'<polyline points="{line}" fill="none" stroke="teal" stroke-width="2"/>\'\n'
        '        return f\'<svg xmlns="http://www.w3.org/2000/svg" width="120" viewBox="0 0 100 100">{shape}</svg>\'\n'
        "\n"
        "total = sum(y for x, y in points)\n"
        'print("computed", "over there:", total)\n'
        "Drawing()",
        "print(total, 'is here')",
        "%%backendai\n1 / 0",
        "%backendai destroy",
    )
    first, use, here, there, back, wrong, destroy = notebook.cells
    expect(first.run()).to_contain_text("connected to http://127.0.0.1:")
    expect(use.run()).to_contain_text("Session lab1")
    here.run()
    expect(there.run()).to_contain_text("computed over there: 55")
    picture = there.output.get_by_role("img")
    expect(picture).to_be_visible()
    assert 'points="0,100 20,96 40,84 60,64 80,36 100,0"' in unquote(picture.get_attribute("src"))
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 120
    expect(back.run()).to_contain_text("55 is here")
    expect(wrong.run(fails=True)).to_contain_text(
        "ExecutionFailed: the code failed: ZeroDivisionError: division by zero"
    )
    expect(destroy.run()).to_contain_text("lab1: terminated")


def test_a_starting_session_is_seen_live(opened: Callable[..., Any]) -> None:
    """It waits for room, which a job has that ends when this test says so; then what was told folds away."""
    notebook = opened(
        "%load_ext backendai_sdk.notebook\n"
        "import os\n"
        "from backendai_sdk import Session\n\n"
        "os.mkfifo('go')\n"
        "api = Session.local()\n"
        "wait = f'read line < {os.getcwd()}/go'\n"
        "api.create('python', type='batch', startup_command=wait, resources='cpu=16 mem=1g')\n"
        "%backendai connect api",
        USE,
        "%backendai sessions",
    )
    first, use, sessions = notebook.cells
    expect(first.run()).to_contain_text("connected to http://127.0.0.1:")
    use.start()
    phases = use.output.locator("details")
    expect(phases.locator("summary")).to_have_text("lab1: queued …")
    current = phases.locator("li[aria-current=step]")
    expect(current).to_be_visible()
    expect(current).to_have_text(re.compile(r"^queued"))
    expect(use.prompt).to_have_text("[*]:")
    notebook.picture("notebook-queued", use)
    with open(os.path.join(notebook.folder, "go"), "w") as go:
        go.write("\n")
    use.end()
    expect(phases).to_have_count(1)  # it changed in its place
    expect(phases.locator("summary")).to_have_text(re.compile(r"^lab1: running after \d+\.\d s$"))
    steps = phases.locator("li")
    expect(steps.first).to_be_hidden()
    phases.locator("summary").click()
    expect(steps.first).to_be_visible()
    expect(steps.first).to_have_text(re.compile(r"^queued \(\d+\.\d s\)"))
    expect(phases.locator("li[aria-current=step]")).to_have_count(0)
    table = sessions.run().get_by_role("table", name="Rows 1 to 1 of 1")
    row = table.get_by_role("row").filter(has_text="lab1")
    expect(row).to_contain_text("RUNNING")
    notebook.picture("notebook-running", use)
    notebook.picture("notebook-sessions", sessions)


def test_the_cell_asks_what_the_code_asks(opened: Callable[..., Any]) -> None:
    notebook = opened(
        BEGIN,
        USE,
        "%%backendai\n"
        "import getpass\n"
        "\n"
        'name = input("Who are you? ")\n'
        'word = getpass.getpass("And the password? ")\n'
        'print(f"Hello {name}, your password has {len(word)} characters.")',
    )
    first, use, asking = notebook.cells
    first.run()
    use.run()
    asking.start()
    field = asking.output.locator(".jp-Stdin-input")
    expect(field).to_be_visible()
    expect(field).not_to_have_attribute("type", "password")
    expect(asking.output).to_contain_text("Who are you?")
    field.press_sequentially("Ada")
    notebook.picture("notebook-input", asking)
    field.press("Enter")
    hidden = asking.output.locator(".jp-Stdin-input[type=password]")
    expect(hidden).to_be_visible()
    expect(field).to_have_count(1)  # the other one has become text
    expect(asking.output).to_contain_text("And the password?")
    hidden.press_sequentially("secret-word")
    hidden.press("Enter")
    asking.end()
    expect(asking.output).to_contain_text("Hello Ada, your password has 11 characters.")
    expect(asking.output).not_to_contain_text("secret-word")


def test_the_stop_button_interrupts_the_code_in_the_session(opened: Callable[..., Any]) -> None:
    notebook = opened(
        BEGIN,
        USE,
        "%%backendai\n"
        "import time\n"
        "\n"
        'print("begun", flush=True)\n'
        "try:\n"
        "    time.sleep(600)\n"
        "finally:\n"
        "    stopped = 6 * 7\n"
        '    print("clean", "up", sep="-")',
        '%%backendai\nprint("still there:", stopped)',
    )
    first, use, sleeping, after = notebook.cells
    first.run()
    use.run()
    sleeping.start()
    expect(sleeping.output).to_contain_text("begun")
    expect(sleeping.prompt).to_have_text("[*]:")
    notebook.interrupt()
    sleeping.end()
    expect(sleeping.output).to_contain_text("clean-up")
    expect(sleeping.output).to_contain_text(
        "KeyboardInterrupt: the code in the session was interrupted; the session lives"
    )
    expect(after.run()).to_contain_text("still there: 42")
