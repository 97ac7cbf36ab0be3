"""The notebook layer's decisions: what is carried, what is read off a line, what is completed, what is shown."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk import (
    ExecutionResult,
    InvalidArgument,
    Phase,
    RemoteError,
    SessionStatus,
    Stdout,
    UsageError,
)
from backendai_sdk.notebook import carrier
from backendai_sdk.notebook.arguments import COMMANDS, CellLine, Command, parse_cell, parse_command
from backendai_sdk.notebook.completing import Question, fitting, question, remote_texts
from backendai_sdk.notebook.phases import Step, in_html, in_text
from backendai_sdk.notebook.variables import LIMIT, checked_names, fetching_code, read_answer, sending_code

# --- variables ------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TOKEN = "<t>"


def carried(code: str, scope: dict[str, object], capsys: pytest.CaptureFixture[str]) -> ExecutionResult:
    """What the code prints in an interpreter of its own."""
    capsys.readouterr()
    exec(code, scope)
    return answered(capsys.readouterr().out)


def answered(stdout: str, error: RemoteError | None = None) -> ExecutionResult:
    return ExecutionResult(status="finished", exit_code=0, outputs=(Stdout(stdout),), error=error)


@given(st.dictionaries(st.sampled_from("abcd"), plain, min_size=1))
def test_json_comes_out_as_it_went_in(values):
    assert repr(carrier.unpack(carrier.pack(values, pickles=False, limit=LIMIT), pickles=False)) == repr(
        (values, {})
    )


def test_there_and_back(capsys):
    remote = {}
    answer = carried(sending_code({"a": [1, "ü"], "b": 2}, ["a"], TOKEN), remote, capsys)
    assert read_answer(answer, TOKEN, "s") == {}
    remote.pop("__builtins__")
    assert remote == {"a": [1, "ü"]}, "nothing else is left there"
    answer = carried(fetching_code(["a"], TOKEN), remote, capsys)
    answer = answered(f"before{answer.stdout}after")
    assert read_answer(answer, TOKEN, "s", ["a"]) == {"a": [1, "ü"]}


cyclic: list[object] = []
cyclic.append(cyclic)


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        {1: 2},
        {"a": (1,)},
        b"x",
        {1},
        1j,
        SessionStatus.RUNNING,
        object(),
        cyclic,
        type("S", (str,), {})("s"),
        10**5000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_change_is_refused(value):
    with pytest.raises(InvalidArgument, match="--in: a: "):
        sending_code({"a": value}, ["a"], TOKEN)


def test_pickles_need_both_ends(capsys):
    remote = {"b": {1, 2}}
    carried(sending_code({"a": (1, {2})}, ["a"], TOKEN, pickles=True), remote, capsys)
    assert remote["a"] == (1, {2})
    answer = carried(fetching_code(["b"], TOKEN, pickles=True), remote, capsys)
    assert read_answer(answer, TOKEN, "s", ["b"], pickles=True) == {"b": {1, 2}}
    # A session that sends a pickle although nobody asked for one: it is not read.
    with pytest.raises(UsageError, match="s: b: it came pickled, and nobody asked for that"):
        read_answer(answer, TOKEN, "s", ["c"])


def test_a_pickle_that_fails_here_sets_nothing_there(capsys):
    class Local:
        pass

    with pytest.raises(InvalidArgument, match="--in: a: .*Local"):
        sending_code({"a": Local(), "b": 1}, ["a", "b"], TOKEN, pickles=True)
    remote = {}
    text = carrier.pack({"a": 1}, pickles=False, limit=LIMIT)
    broken = carrier._word({"json": {"a": "1"}, "pickle": {"b": "gA=="}})
    refused = carrier.refusals(carrier.take(remote, broken, pickles=True))
    assert (list(refused), remote) == (["b"], {}), "all or none"
    carrier.take(remote, text, pickles=False)
    assert remote == {"a": 1}


def test_limits_and_missing_ones(capsys):
    with pytest.raises(InvalidArgument, match="a, b: .* more than the limit of 1048576. Use upload"):
        sending_code({"a": "x" * (LIMIT // 2), "b": "x" * (LIMIT // 2)}, ["a", "b"], TOKEN)
    with pytest.raises(InvalidArgument, match="--in: there is no variable 'c' here"):
        sending_code({}, ["c"], TOKEN)
    answer = carried(fetching_code(["c"], TOKEN), {}, capsys)
    with pytest.raises(UsageError, match="--out: of the session s: c: there is no such variable"):
        read_answer(answer, TOKEN, "s", ["c"])
    with pytest.raises(UsageError, match=r"--out: .* \(it did not answer\); only one that runs Python can"):
        read_answer(answered("bash: syntax error"), TOKEN, "s", ["c"])
    with pytest.raises(UsageError, match=r"--in: the session s could not carry them \(MemoryError: full\)"):
        read_answer(answered("", RemoteError("MemoryError", "full", "")), TOKEN, "s")


def test_answers_of_other_programs():
    other = f"{TOKEN}{carrier.pack({'exit': 1, 'a': 2}, pickles=False, limit=LIMIT)}{TOKEN}"
    assert read_answer(answered(other), TOKEN, "s", ["a"]) == {"a": 2}, "only what was asked for"
    for nonsense in ("", "eA==", "W10=", "eyJqc29uIjogMX0=", "abc", "eyJqc29uIjogeyJhIjogIngifX0="):
        with pytest.raises(UsageError, match="--out: the answer of the session s cannot be read"):
            read_answer(answered(f"{TOKEN}{nonsense}{TOKEN}"), TOKEN, "s", ["a"])


def test_what_runs_in_sessions_runs_on_old_pythons():
    ast.parse(Path(carrier.__file__).read_text("utf-8"), feature_version=(3, 6))


def test_names():
    assert checked_names(["a, b", "c,a,"], "--in") == ("a", "b", "c")
    for wrong in ("1a", "a.b", "a-b", "class", "a b"):
        with pytest.raises(InvalidArgument, match="is not the name of a variable") as error:
            checked_names([wrong], "--in")
        assert error.value.argument == "--in"


# --- lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command()),
        ("connect", Command(name="connect")),
        ("connect api", Command(name="connect", target="api")),
        (
            "connect --endpoint http://x --profile p",
            Command(name="connect", endpoint="http://x", profile="p"),
        ),
        ("local --release 23.09", Command(name="local", release="23.09")),
        ("sessions --status all", Command(name="sessions", status="all")),
        (
            "use lab1 --image python:3.11 --resources cpu=1 mem=1g",
            Command(name="use", target="lab1", image="python:3.11", resources="cpu=1 mem=1g"),
        ),
        ("use 'a b'", Command(name="use", target="a b")),
        ("destroy", Command(name="destroy")),
    ],
)
def test_commands(line, command):
    assert parse_command(line) == command


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("", CellLine()),
        ("lab1", CellLine(session="lab1")),
        (
            "lab1 --in a,b --in c --out d --pickle --transport websocket",
            CellLine(
                session="lab1", sent=("a", "b", "c"), fetched=("d",), pickles=True, transport="websocket"
            ),
        ),
        ("--out d lab1", CellLine(session="lab1", fetched=("d",))),
    ],
)
def test_cell_lines(line, read):
    assert parse_cell(line) == read


@pytest.mark.parametrize(
    "line", ["nonsense", "use", "connect --access-key k", "use a b", "sessions --stat all", "use 'a"]
)
def test_wrong_commands_are_told_what_there_is(line):
    with pytest.raises(InvalidArgument) as error:
        parse_command(line)
    assert "'a" in line or all(f"%backendai {name}" in str(error.value) for name in COMMANDS)


@given(st.text())
def test_any_line_is_read_or_refused(line):
    for parse in (parse_command, parse_cell):
        with contextlib.suppress(InvalidArgument):
            parse(line)


# --- completion -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "fragment"),
    [
        ("%backendai ", "given", ""),
        ("x = 1\n%backendai us", "given", "us"),
        ("rows = %backendai se", "given", "se"),
        ("%backendai destroy la", "session", "la"),
        ("%backendai use lab1 --i", "given", "--i"),
        ("%backendai connect ap", "here", "ap"),
        ("%%backendai la", "session", "la"),
        ("%%backendai --in a,b", "here", "b"),
        ("%%backendai lab1 --out c", "there", "c"),
        ("%%backendai --transport ", "given", ""),
        ("%%backendai lab1 ", "given", ""),
        ("%%backendai\nx = np.ar", "code", "np.ar"),
        ("%%backendai lab1\n", "code", ""),
    ],
)
def test_what_is_asked_for(text, kind, fragment):
    lines = text.split("\n")
    found = question(text, len(lines) - 1, len(lines[-1]))
    assert (found.kind, found.fragment) == (kind, fragment)


@pytest.mark.parametrize(
    "text", ["", "x", "%backendai", "%%backendai", "%%backendaix\ny", "%ls", "x\n%%backendai\ny"]
)
def test_other_places_are_none_of_our_business(text):
    lines = text.split("\n")
    assert question(text, len(lines) - 1, len(lines[-1])) is None
    assert question(text, len(lines), 0) is None


def test_the_cursor_in_the_code():
    found = question("%%backendai lab1 --in a\nx\nab.cd + y", 2, 5)
    assert found == Question(
        kind="code", fragment="ab.cd", line="lab1 --in a", code="x\nab.cd + y", row=1, col=5
    )
    assert question("%%backendai lab1 --out c", 0, 24).line == "lab1"
    assert question("%%backendai --out c", 0, 19).line == ""


def test_texts_that_fit():
    assert fitting(["ab", "b", "aa", "ab"], "a") == ["aa", "ab"]
    assert remote_texts(["np.array", "np.arange", "x"], "np.ar") == ["np.arange", "np.array"]
    assert remote_texts(["array", "zeros"], "np.ar") == ["np.array"], (
        "some runtimes give what follows the dot"
    )
    assert remote_texts(["print"], "") == ["print"]


@given(st.text(st.sampled_from("%backendai -in,out.\n x")), st.integers(-1, 4), st.integers(0, 30))
def test_every_place_has_an_answer(text, row, col):
    found = question(text, row, col)
    assert found is None or found.fragment in text


# --- phases ---------------------------------------------------------------------------------------------

QUEUED = Step(Phase.QUEUED, SessionStatus.PENDING, "", 0.5)
PULLING = Step(Phase.PULLING, SessionStatus.PULLING, "layer <1>", 2.0)
AGAIN = Step(Phase.QUEUED, SessionStatus.PENDING, "", 3.0)
RUNNING = Step(Phase.RUNNING, SessionStatus.RUNNING, "", 7.0)
ENDED = Step(Phase.ENDED, SessionStatus.CANCELLED, "no <agent>", 7.0)


@pytest.mark.parametrize(
    ("steps", "failure", "is_open", "headline", "rows", "text"),
    [
        ([], "", True, "asked for …", [], "lab: asked for"),
        ([QUEUED], "", True, "queued …", ["queued"], "lab: queued …"),
        (
            [QUEUED, PULLING, AGAIN],
            "",
            True,
            "queued …",
            ["queued", "pulling (1.0 s): layer <1>"],
            "lab: queued …, pulling 1.0 s",
        ),
        (
            [QUEUED, PULLING, AGAIN, RUNNING],
            "",
            False,
            "running after 7.0 s",
            ["queued (5.5 s)", "pulling (1.0 s): layer <1>"],
            "lab: queued 5.5 s, pulling 1.0 s, running",
        ),
        (
            [QUEUED, ENDED],
            "",
            True,
            "ended after 7.0 s: no <agent>",
            ["queued (6.5 s)"],
            "lab: queued 6.5 s, ended",
        ),
        ([QUEUED], "<no>", True, "failed: <no>", ["queued (6.5 s)"], "lab: queued 6.5 s, failed: <no>"),
    ],
)
def test_how_a_start_is_shown(steps, failure, is_open, headline, rows, text):
    html = in_html("lab", steps, 7.0, failure)
    details = ET.fromstring(html.replace("<details open>", '<details open="">'))
    assert ("open" in details.attrib) == is_open
    summary = details.find("summary")
    assert "".join(summary.itertext()) == f"lab: {headline}"
    assert summary.get("role") == "status", "what changes is read aloud"
    listed = list(details.iter("li"))
    assert [item.text for item in listed] == rows
    current = [item.text for item in listed if item.get("aria-current")]
    assert current == (["queued"] if headline.endswith("…") and steps else [])
    assert in_text("lab", steps, 7.0, failure) == text


# --- without IPython ------------------------------------------------------------------------------------


def test_without_ipython_it_says_what_to_install():
    code = (
        "import sys, importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'IPython' else find(name, *rest)\n"
        "import backendai_sdk\n"
        "backendai_sdk.Session\n"
        "assert 'IPython' not in sys.modules\n"
        "try:\n    import backendai_sdk.notebook\n"
        "except ModuleNotFoundError as error:\n    print(error.name, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout == "IPython backendai_sdk.notebook needs IPython: pip install 'backendai-sdk[notebook]'\n"
    )


def test_importing_it_does_not_import_ipython():
    code = "import sys, backendai_sdk.notebook; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
