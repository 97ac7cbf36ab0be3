"""JupyterLab on loopback and Chromium before it, as its user has them; what was seen is kept as screenshots.

``--chromium /usr/bin/chromium`` says which browser, and asks for these tests; without it they are skipped. Settings,
kernels, the browser's profile and all temporary files are in folders of the test's own, and nothing leaves this
machine. A test waits for what a user would see, and never for a time. ``--screenshots FOLDER`` keeps the pictures;
``notebook-queued.png`` and ``notebook-input.png`` are copied to ``docs/how-to/images`` when what they show changes.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import re
import secrets
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import nbformat
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

REASON = "needs a browser: pip install --editable '.[browser]', then pass --chromium /usr/bin/chromium"
LIMIT = 60.0  # for one thing to be seen: loaded machines need many seconds to start a kernel

# As a user without a screen starts it; what talks to its maker is off, because that is not on this machine.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


# --- which browser --------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chromium", metavar="PATH", help="the Chromium that shows JupyterLab")
    parser.addoption("--screenshots", metavar="FOLDER", help="where pictures and logs are kept")


def pytest_configure(config: pytest.Config) -> None:
    # The options are unknown when this file is met only during collection: then nobody has given them.
    chromium = config.getoption("chromium", default=None)
    if chromium is None:
        return
    if not os.access(chromium, os.X_OK):
        raise pytest.UsageError(f"--chromium {chromium}: there is no such program")
    missing = [name for name in ("jupyterlab", "playwright") if find_spec(name) is None]
    if missing:
        raise pytest.UsageError(
            f"--chromium needs {' and '.join(missing)}: pip install --editable '.[browser]'"
        )


class Skipped(pytest.Module):
    """A module without a browser: one line in the summary, not one for each test."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    is_asked_for = parent.config.getoption("chromium", default=None) is not None
    return None if is_asked_for else Skipped.from_parent(parent, path=module_path)


# --- what is started, and ended -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for pictures and logs."""
    given = request.config.getoption("screenshots")
    folder = Path(given).absolute() if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything lives that is started here; the notebooks are in `work`."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("home", "work", "tmp", "profile"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """Of all that is started: nothing of whoever runs the tests. At the end, nothing runs with it any more."""
    mine = ("BACKEND_", "JUPYTER", "IPYTHON", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    yield kept | {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "BACKEND_CONFIG_FILE": str(folder / "none.toml"),
    }
    # A session's programs have an environment of their own, but TMPDIR goes on to them, too.
    assert left_of(f"TMPDIR={folder / 'tmp'}") == []


def left_of(variable: str) -> list[str]:
    """The command lines of the processes that have this variable and do not end."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() not in (process / "environ").read_bytes().split(b"\0"):
                continue
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            handle = os.pidfd_open(int(process.name))
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
        try:
            if not select.select([handle], [], [], LIMIT / 2)[0]:
                left.append(command)
        finally:
            os.close(handle)
    return left


def _end_with_parent() -> None:
    """A test process that is killed takes its server with it, and that its kernels."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@attrs.frozen
class Server:
    """A JupyterLab that answers."""

    url: str
    token: str


@pytest.fixture(scope="module")
def server(folder: Path, environment: dict[str, str], kept: Path) -> Iterator[Server]:
    config = folder / "home/.jupyter/labconfig"
    config.mkdir(parents=True)
    # News and newer versions are looked for on the internet, and would cover the notebook with questions.
    off = {"@jupyterlab/apputils-extension:announcements": True}
    (config / "page_config.json").write_text(json.dumps({"disabledExtensions": off}))
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": "0",
        "ServerApp.root_dir": str(folder / "work"),
        "ServerApp.jpserver_extensions": "{'jupyter_lsp': False, 'jupyter_server_terminals': False}",
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": "None",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    token = secrets.token_hex()
    with (
        (kept / "jupyterlab.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=folder / "work",
            env=environment | {"JUPYTER_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            preexec_fn=_end_with_parent,
        ) as process,
    ):
        urls: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            for line in process.stderr or ():
                log.write(line)
                log.flush()
                if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab", line):
                    urls.put(found[1])
            urls.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            url = urls.get(timeout=LIMIT)
            assert url is not None, f"JupyterLab has ended: {log.name}"
            yield Server(url, token)
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
            reader.join(LIMIT)


@pytest.fixture(scope="module")
def browser(
    request: pytest.FixtureRequest, folder: Path, environment: dict[str, str], server: Server
) -> Iterator[BrowserContext]:
    """Chromium with a new profile, which asks nobody but the server for anything."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=LIMIT * 1000)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=request.config.getoption("chromium"),
            args=FLAGS,
            env=dict(environment),
            viewport={"width": 800, "height": 1200},
            device_scale_factor=1.5,
            color_scheme="light",
        )
        asked: set[str] = set()
        context.on("request", lambda request: asked.add(request.url))
        context.set_default_timeout(LIMIT * 1000)
        try:
            yield context
        finally:
            context.close()
        ours = (server.url, "data:", "blob:")
        assert [url for url in asked if not url.startswith(ours)] == []


# --- a notebook -----------------------------------------------------------------------------------------


@attrs.frozen
class Cell:
    """A cell as it is seen."""

    page: Page
    all: Locator

    @property
    def output(self) -> Locator:
        return self.all.locator(".jp-Cell-outputArea")

    @property
    def prompt(self) -> Locator:
        """`[*]:` while it runs, a number afterwards."""
        return self.all.locator(".jp-InputArea-prompt")

    def start(self) -> None:
        """Run it, as its user does."""
        self.all.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def end(self) -> None:
        """Wait until it does not run any more."""
        from playwright.sync_api import expect

        expect(self.prompt).to_have_text(re.compile(r"^\[\d+\]:$"))

    def run(self, *, fails: bool = False) -> Locator:
        """Both; the output."""
        self.start()
        self.end()
        errors = self.output.locator(
            "[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type*=error]"
        )
        assert fails or not errors.count(), errors.all_inner_texts()
        return self.output


@attrs.frozen
class Notebook:
    """A notebook in the browser, with a kernel of its own."""

    page: Page
    cells: list[Cell]
    folder: Path
    """Where its kernel runs."""
    kept: Path

    def interrupt(self) -> None:
        """Press the stop button of the notebook's toolbar."""
        self.page.locator(".jp-NotebookPanel-toolbar [data-command='notebook:interrupt-kernel']").click()

    def picture(self, name: str, cell: Cell) -> None:
        """Keep how a cell looks, without the frame around the next one."""
        cell.all.scroll_into_view_if_needed()
        box = cell.all.bounding_box()
        assert box is not None
        box["height"] -= 3
        self.page.screenshot(path=self.kept / f"{name}.png", clip=box)


@pytest.fixture
def opened(
    browser: BrowserContext, server: Server, folder: Path, kept: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook of these cells. At the end a picture is kept of how it looks, and its kernel is ended."""
    from playwright.sync_api import expect

    pages: list[Page] = []

    def open_one(*codes: str) -> Notebook:
        name = f"{request.node.name}.ipynb"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        nbformat.write(notebook, folder / "work" / name)
        page = browser.new_page()
        pages.append(page)
        page.goto(f"{server.url}/doc/tree/{name}?token={server.token}")
        # Before it has its kernel, a notebook forgets that it was told to run a cell.
        expect(page.locator("#jp-main-statusbar")).to_contain_text("Python 3 (ipykernel) | Idle")
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        expect(cells).to_have_count(len(codes))
        each = [Cell(page, cells.nth(index)) for index in range(len(codes))]
        return Notebook(page, each, folder / "work", kept)

    yield open_one
    for page in pages:
        page.screenshot(path=kept / f"{request.node.name}.png")
        page.close()
    headers = {"Authorization": f"token {server.token}"}
    kernels: Any = browser.request.get(f"{server.url}/api/kernels", headers=headers).json()
    for kernel in kernels:
        assert browser.request.delete(f"{server.url}/api/kernels/{kernel['id']}", headers=headers).ok
