"""The generator, on a package that has one of everything it translates (``fakepkg``)."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).parent / "fakepkg"


def generate(folder, *options):
    """Run the tool on the package in *folder*: its exit code, what it said, what it complained of."""
    command = [sys.executable, str(ROOT / "tools/gen_sync.py"), "--package=fakepkg", *options]
    command += [f"--src={folder}/fakepkg/_async", f"--dst={folder}/fakepkg/_sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(FAKE, folder / "fakepkg")
    assert generate(folder) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def fake(made):
    sys.path.insert(0, str(made))
    try:
        yield {name: importlib.import_module(f"fakepkg._sync.{name}") for name in ("store", "thing", "pager")}
    finally:
        sys.path.remove(str(made))
        for name in [name for name in sys.modules if name.partition(".")[0] == "fakepkg"]:
            del sys.modules[name]


@pytest.fixture
def store(fake):
    return fake["store"].Store()


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(FAKE, tmp_path / "fakepkg")
    return tmp_path


# --- what is generated ----------------------------------------------------------------------------------


def test_files_of_public_classes_only(made):
    files = {path.name for path in (made / "fakepkg/_sync").glob("*.py")}
    assert files == {"__init__.py", "pager.py", "store.py", "thing.py"}


def test_signatures_are_those_of_the_core(fake):
    core = importlib.import_module("fakepkg._async.thing").AsyncThing
    twin = fake["thing"].Thing
    for name in ("double", "read", "parts", "stream"):
        assert inspect.signature(getattr(core, name)).parameters.keys() == (
            inspect.signature(getattr(twin, name)).parameters.keys()
        )
    assert str(inspect.signature(twin.double)) == "(self, value: 'int', /, *, plus: 'int' = 10) -> 'int'"
    assert not hasattr(twin, "loop_thing")
    assert not hasattr(twin, "_private")


def test_default_values_keep_their_spelling(made):
    assert "plus: int = 2 * 5" in (made / "fakepkg/_sync/thing.py").read_text()


def test_documentation_is_translated(fake):
    doc = inspect.getdoc(fake["thing"].Thing)
    assert doc.startswith(r"A thing of a :class:`Store`; ``\n`` and ``thing.double(1)`` stay readable.")
    assert '    with store.make("x") as thing:\n        for event in thing.events():\n' in doc
    assert "print(thing.double(event))" in doc
    assert "a ``with`` block" in inspect.getdoc(fake["pager"].Pager)
    assert inspect.getdoc(fake["thing"].Thing.double).endswith('A number, "quoted"')


def test_modules_may_be_imported_in_any_order(made):
    for first in ("store", "thing", "pager"):
        code = f"import fakepkg._sync.{first}"
        env = os.environ | {"PYTHONPATH": f"{made}{os.pathsep}{ROOT}"}
        assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_the_output_is_formatted_and_has_no_lint(made):
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", f"--config={ROOT}/pyproject.toml"]
    command += ["--config=lint.isort.known-first-party=['fakepkg','backendai_sdk']"]
    done = subprocess.run(
        [*command, "--ignore=INP001,I001,D", str(made / "fakepkg/_sync")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(180)
def test_users_see_exact_types(made):
    pytest.importorskip("mypy")
    env = os.environ | {"MYPYPATH": f"{made}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={made}/cache"]
    targets = [str(path) for path in (*(made / "fakepkg/_sync").glob("*.py"), made / "fakepkg/use.py")]
    done = subprocess.run(
        [*command, *targets], env=env, cwd=made, capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stdout.splitlines() if "fakepkg/" in line or "_portal" in line]
    assert ours == [], "\n".join(ours)


# --- what it does ---------------------------------------------------------------------------------------


def test_plain_calls(store):
    thing = store.get("a")
    assert thing.double(2) == 14
    assert thing.double(2, plus=1) == 5
    assert thing.read() == "data"
    assert thing.read(mode="bytes") == b"data"
    assert thing.inherited(3) == 3
    assert thing.overridden() == "thing"
    assert len(thing) == 1
    assert thing._repr_html_() == "<b>a</b>"
    assert repr(thing) == "<Thing a>"


def test_attributes_and_properties(fake, store):
    thing = store.get("a")
    assert (thing.name, thing.size, thing.label, thing.LIMIT) == ("a", None, "[a]", 10)
    thing.label = "b"
    assert thing.name == "b"
    with pytest.raises(AttributeError):
        thing.name = "c"
    assert isinstance(thing.store, fake["store"].Store)
    assert thing.store == store
    assert store.box.ping() == "pong"
    assert (store.name, store.limit) == ("shop", 3)


def test_constructors(fake):
    cls = fake["store"].Store
    assert cls("x", limit=5).limit == 5
    assert cls.local().name == "local"
    assert cls.connect("far").name == "far"
    assert cls.version() == "1"
    assert fake["store"].Box().ping() == "pong"
    with pytest.raises(TypeError, match="not built"):
        fake["thing"].Thing()


def test_results_are_wrapped(fake, store):
    cls = fake["thing"].Thing
    assert store.find("") is None
    assert isinstance(store.find("a"), cls)
    assert [type(thing) for thing in store.several("a", "b")] == [cls, cls]
    assert [type(thing) for thing in store.all()] == [cls, cls]
    assert isinstance(store.all(), tuple)
    thing, number = store.fixed()
    assert (type(thing), number) == (cls, 1)
    assert {name: type(thing) for name, thing in store.by_name(["a"]).items()} == {"a": cls}
    assert store.view() == store


def test_blocks(fake):
    with fake["store"].Store() as store:
        with pytest.raises(ZeroDivisionError), store.make("x") as thing:
            thing.double(1 / 0)
        store.make("kept")
        assert store.log == ["enter x", "exit x ZeroDivisionError"]
        assert not store.closed
    assert store.closed


def test_streams(store):
    thing = store.get("a")
    for event in thing.events():
        assert event == 0
        break
    assert store.log == ["events closed"]
    assert [part.name for part in thing.parts(2)] == ["a.0", "a.1"]
    with thing.stream() as stream:
        assert iter(stream) is stream
        assert list(stream) == [1, 0]
    assert store.log[-1] == "stream closed"
    assert list(store.list()) == ["a", "b"]
    assert store.list().first() == ["a", "b"]


def test_arguments_are_unwrapped(store):
    thing, other = store.get("a"), store.get("b")
    assert store.drop(thing, "x", also=[other]) == ["a", "x", "b"]
    store.rename({"new": thing})
    assert thing.name == "new"


def test_callbacks_run_on_this_thread(fake, store):
    seen = []

    def work(thing):
        seen.append((type(thing), threading.get_ident()))
        return thing.double(1, plus=0)

    assert store.each(work, "a", "b") == [2, 2]
    assert seen == [(fake["thing"].Thing, threading.get_ident())] * 2
    names = []
    store.make("x", on_progress=lambda name: names.append((name, threading.get_ident())))
    assert names == [("x", threading.get_ident())]


@pytest.mark.filterwarnings("ignore:.* blocks the event loop:RuntimeWarning")
async def test_it_works_inside_a_running_loop(store):
    assert asyncio.get_running_loop().is_running()
    assert store.get("a").double(1) == 12


# --- --check --------------------------------------------------------------------------------------------


def test_check_is_content_with_what_was_written(made):
    assert generate(made, "--check") == (0, "", "")


def test_check_finds_what_is_stale_missing_or_orphaned(copied):
    assert generate(copied)[0] == 0
    folder = copied / "fakepkg/_sync"
    stale = (folder / "pager.py").read_text()
    (folder / "pager.py").write_text(stale.replace("The rows.", "The cows."))
    (folder / "store.py").unlink()
    (folder / "extra.py").write_text("x = 1\n")
    code, out, err = generate(copied, "--check")
    assert code == 1
    assert "run tools/gen_sync.py" in err
    assert "pager.py is stale" in out
    assert '-        """The cows."""\n+        """The rows."""' in out
    assert "store.py is missing" in out
    assert "extra.py is orphan" in out
    assert (folder / "extra.py").exists()
    assert generate(copied) == (0, "", "")
    assert not (folder / "extra.py").exists()
    assert generate(copied, "--check") == (0, "", "")


def test_rules_that_never_apply_are_told_on_demand(copied):
    code, _, err = generate(copied, "--strict-renames")
    assert code == 1
    assert "never applied" in err


# --- what it refuses ------------------------------------------------------------------------------------

HEAD = """
from __future__ import annotations
import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Generic, TypeVar
T = TypeVar("T")

"""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("async def m(self) -> set[AsyncBad]: ...", "return type 'set[AsyncBad]' cannot be wrapped"),
        ("async def m(self) -> AsyncBad | int: ...", "return type 'AsyncBad | int' cannot be wrapped"),
        ("async def m(self): ...", "does not say what it returns"),
        ("def m(self) -> Awaitable[int]: ...", "a plain method returns an awaitable"),
        ("async def m(self) -> asyncio.Task[None]: ...", "cannot be wrapped"),
        ("async def m(self) -> AsyncOther: ...", "AsyncOther has no blocking twin"),
        ("async def m(self, x: Unknown) -> int: ...", "nothing in _async/bad.py defines 'Unknown'"),
        ("async def m(self, x: Alias) -> int: ...", "the alias Alias hides an async class"),
        ("async def m(self, x: AsyncIterable[int]) -> int: ...", "takes only an async iterable"),
        ("async def m(self, x: Sequence[Callable[[], int]]) -> int: ...", "the callback inside 'x'"),
        ("@asynccontextmanager\n    async def m(self) -> int: ...", "@asynccontextmanager is not translated"),
        ("@property\n    async def m(self) -> int: ...", "an async property"),
        ("def __missing__(self) -> int: ...", "no rule says what __missing__ becomes"),
        ("def __init__(self) -> None:\n        self.x = 1 + 1", "its type is not known"),
        ("class Inner: ...", "a class inside a class"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_a_sentence(tmp_path, body, problem):
    folder = tmp_path / "fakepkg/_async"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(f"{HEAD}Alias = int | 'AsyncBad'\n\nclass AsyncBad:\n    {body}\n")
    code, out, err = generate(tmp_path)
    assert code == 1
    assert out == ""
    assert err.startswith("gen_sync: _async/bad.py: AsyncBad")
    assert problem in err
    assert ";" in err  # and what to do about it
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("bases", "problem"),
    [("(Exception)", "is not a class of this package"), ("(Awaitable[T])", "it is generic through")],
)
def test_bases_that_cannot_be_followed_are_refused(tmp_path, bases, problem):
    folder = tmp_path / "fakepkg/_async"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(f"{HEAD}class AsyncBad{bases}:\n    async def m(self) -> int: ...\n")
    code, _, err = generate(tmp_path)
    assert code == 1
    assert problem in err


# --- the real cores -------------------------------------------------------------------------------------


def test_the_checked_in_twins_are_up_to_date():
    command = [sys.executable, str(ROOT / "tools/gen_sync.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
