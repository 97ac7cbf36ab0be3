"""Batch steps as one command: the marks come out wherever the output is cut, and no text is lost or doubled."""

from __future__ import annotations

import shutil
import signal
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.batch import BatchSteps, OneCommand, steps_for
from backendai_sdk._wire.execute import RunMachine
from backendai_sdk.errors import NotSupported
from backendai_sdk.models.run import Finished, InputRequest, Stderr, Stdout, StepFinished

MARK = "\x1e"
# The mark's own character, and words that look like a mark, are the interesting text.
PROGRAM = st.text(st.sampled_from("ab \n" + MARK) | st.characters(exclude_categories=["Cs"]), max_size=12)


def steps_and_output(one, said):
    clean, build, rest = said
    return f"{clean}{MARK}{one._token} clean 0{MARK}{build}{MARK}{one._token} build 3{MARK}{rest}"


def joined(items):
    """Neighbouring pieces of text as one: how the text was cut is the network's business."""
    found = []
    for item in items:
        if isinstance(item, Stdout) and found and isinstance(found[-1], Stdout):
            found[-1] = Stdout(found[-1].text + item.text)
        else:
            found.append(item)
    return found


def pieces(text, cuts):
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(st.tuples(PROGRAM, PROGRAM, PROGRAM), st.lists(st.integers(0, 10_000), max_size=30))
def test_any_split_gives_the_same_items(said, cuts):
    one = OneCommand("c", "b", "e")
    text = steps_and_output(one, said)
    found = [item for piece in pieces(text, cuts) for item in one.read([Stdout(piece)])]
    found += one.read([Finished(0)])
    wanted = [
        Stdout(said[0]),
        StepFinished("clean", 0),
        Stdout(said[1]),
        StepFinished("build", 3),
        Stdout(said[2]),
    ]
    assert joined(found) == [i for i in wanted if i != Stdout("")] + [Finished(0)]


def test_one_character_at_a_time():
    one = OneCommand("c", "b", "e")
    text = steps_and_output(one, ("x" + MARK, MARK + "y", "z" + MARK))
    found = [item for char in text for item in one.read([Stdout(char)])] + one.read([Finished(0)])
    assert [i for i in found if isinstance(i, StepFinished)] == [
        StepFinished("clean", 0),
        StepFinished("build", 3),
    ]
    assert "".join(i.text for i in found if isinstance(i, Stdout)) == "x" + MARK + MARK + "yz" + MARK


@pytest.mark.parametrize("end", [Finished(0), InputRequest()])
def test_what_only_looks_like_a_mark_comes_before_the_end(end):
    one = OneCommand(None, None, "e")
    assert one.read([Stdout("a" + MARK)]) == [Stdout("a")]
    assert one.read([end]) == [Stdout(MARK), end]
    assert one.read([Stdout("b")]) == [Stdout("b")]


def test_other_items_pass():
    one = OneCommand(None, None, "e")
    items = [Stderr(f"{MARK}{one._token} clean 0{MARK}"), InputRequest(), StepFinished("clean", 0)]
    assert one.read(items) == items[:2]


def test_steps_of_a_run_machine():
    run = RunMachine(batch=(one := OneCommand("c", None, "e")))
    text = steps_and_output(one, ("", "", "out"))
    answer = {"status": "finished", "exitCode": 127, "console": [["stdout", text]]}
    items = run.receive(answer)
    assert items == [StepFinished("clean", 0), StepFinished("build", 3), Stdout("out"), Finished(127)]
    assert run.steps == {"clean": 0, "build": 3, "exec": 127}


def test_as_servers_know_them():
    steps = BatchSteps("c", None, "*")
    assert steps.options == {"clean": "c", "build": None, "exec": "*"}
    items = [Stdout(MARK), StepFinished("clean", 0), Finished(1)]
    assert steps.read(iter(items)) == items


@pytest.mark.parametrize("name", ["clean", "build", "exec"])
def test_a_star_is_refused_with_advice(name):
    with pytest.raises(NotSupported, match=rf"{name}='\*' would never end.*write the command out"):
        steps_for(**({"clean": None, "build": None, "exec": None} | {name: "*"}), loses=True)
    steps = steps_for(**({"clean": None, "build": None, "exec": None} | {name: "*"}), loses=False)
    assert type(steps) is BatchSteps
    assert steps.options[name] == "*"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
@pytest.mark.parametrize("bash", [True, False])
@pytest.mark.parametrize(
    ("clean", "build", "exec_", "out", "steps", "code"),
    [
        ("echo c", "echo b", "echo 'it''s' \"$0\"; exit 5", "c\nb\nits sh\n", {"clean": 0, "build": 0}, 5),
        ("exit 3", None, "echo e", "e\n", {"clean": 3, "build": 0}, 0),
        (None, "echo b; exit 4", "echo e", "b\n", {"clean": 0, "build": 4}, 127),
        (None, "true", None, "", {"clean": 0, "build": 0}, 0),
    ],
)
def test_the_command_in_a_real_shell(tmp_path, bash, clean, build, exec_, out, steps, code):
    one = OneCommand(clean, build, exec_)
    assert one.options.keys() == {"clean", "build", "exec"}
    assert one.options["clean"] is None
    assert one.options["build"] is None
    ran = subprocess.run(
        ["sh", "-c", one.options["exec"]],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path, bash=bash),
    )
    items = one.read([Stdout(ran.stdout), Finished(ran.returncode)])
    assert "".join(i.text for i in items if isinstance(i, Stdout)) == out
    assert {i.step: i.exit_code for i in items if isinstance(i, StepFinished)} == steps
    assert (ran.returncode, ran.stderr) == (code, "")
    assert not one.busy(0)


def environment(tmp_path, *, bash):
    """A path with a shell and little else."""
    for name in ("sh", "sleep", "cat", *(["bash"] if bash else [])):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"needs {name}")
        (tmp_path / name).symlink_to(found)
    return {"PATH": str(tmp_path)}


@pytest.mark.parametrize("build", [False, True], ids=["exec", "build"])
def test_an_interrupt_of_the_outer_shell_reaches_what_runs(tmp_path, build):
    """As agents interrupt: the one process that they have started."""
    # Between two commands a shell would begin the next one before it heeds the interrupt: here there is no between.
    long = "sh -c 'echo go; exec sleep 20'; echo never"
    one = OneCommand(None, long if build else None, "echo too late" if build else long)
    with subprocess.Popen(
        ["sh", "-c", one.options["exec"]], stdout=subprocess.PIPE, env=environment(tmp_path, bash=True)
    ) as ran:
        assert ran.stdout is not None
        seen = b""
        while not seen.endswith(b"go\n"):
            seen += ran.stdout.read(1)
        ran.send_signal(signal.SIGINT)
        assert ran.stdout.read() == b""
    assert ran.returncode == 130


def test_input_is_passed_on(tmp_path):
    one = OneCommand(None, None, "cat")
    ran = subprocess.run(
        ["sh", "-c", one.options["exec"]],
        input="text",
        capture_output=True,
        text=True,
        check=True,
        env=environment(tmp_path, bash=True),
    )
    assert one.read([Stdout(ran.stdout), Finished(0)])[-2:] == [Stdout("text"), Finished(0)]


def test_only_where_it_is_needed_it_begins_slowly():
    assert steps_for(None, None, "ls", loses=True).options["exec"].startswith("sleep 1\n")
    assert steps_for(None, None, "ls", loses=False).options["exec"].startswith("command -v bash")


def test_with_a_head_start_it_has_begun_when_a_mark_was_heard():
    slow, fast = OneCommand(None, None, "e", head_start=True), OneCommand(None, None, "e")
    assert (slow.begun, fast.begun, BatchSteps(None, None, "*").begun) == (False, True, True)
    slow.read([Stdout("text"), Stdout(f"{MARK}{slow._token} be")])
    assert not slow.begun
    slow.read([Stdout(f"gin 0{MARK}")])
    assert slow.begun


def test_marks_are_not_to_be_guessed():
    assert OneCommand(None, None, "e")._token != OneCommand(None, None, "e")._token
