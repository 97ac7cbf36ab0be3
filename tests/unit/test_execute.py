"""The run loop without I/O: what is sent, what answers come to, and that odd answers are typed errors."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.batch import BatchSteps, OneCommand
from backendai_sdk._wire.console import read_console
from backendai_sdk._wire.execute import Next, RunMachine
from backendai_sdk._wire.run_frames import first_frame, read_frame
from backendai_sdk._wire.run_requests import RunRequests, new_run_id, result_of
from backendai_sdk._wire.tracebacks import remote_error
from backendai_sdk.errors import (
    AgentError,
    APIError,
    BadRequest,
    ServerError,
    SessionNotFound,
    StreamInterrupted,
    WireError,
)
from backendai_sdk.models.run import (
    Finished,
    Html,
    InputRequest,
    Log,
    Media,
    RemoteError,
    Stderr,
    Stdout,
    StepFinished,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
STATUSES = ["continued", "finished", "waiting-input", "clean-finished", "build-finished", "exec-timeout"]


def result(status, *console, exit_code=None, options=None):
    return {
        "status": status,
        "runId": "r",
        "exitCode": exit_code,
        "options": options,
        "files": [],
        "console": [list(record) for record in console],
    }


def over_rest(answer):
    return result_of(json.loads(json.dumps({"result": answer})))


def over_websocket(answer):
    return read_frame(json.dumps({key: value for key, value in answer.items() if key != "runId"}))


TRANSPORTS = {"rest": over_rest, "websocket": over_websocket}


def test_the_bodies_of_a_run():
    run = RunRequests("r" * 32)
    assert run.first("query", "x = input()", {}) == {
        "mode": "query",
        "code": "x = input()",
        "runId": "r" * 32,
        "run_id": "r" * 32,
        "options": {},
    }
    assert run.poll() == run.first("continue", "", {})
    assert run.answer("me") == run.poll() | {"mode": "input", "code": "me"}
    assert run.first("batch", "", {"exec": "ls"})["options"] == {"exec": "ls"}


def test_the_frames_of_a_run():
    frame = json.loads(first_frame("batch", "é", {"exec": "ls"}))
    assert frame == {"mode": "batch", "code": "é", "options": {"exec": "ls"}}


def test_a_query_from_first_to_last():
    run = RunMachine()
    assert run.receive(result("continued")) == []
    assert run.next is Next.POLL
    asked = run.receive(result("waiting-input", ("stdout", "who? "), options={"is_password": True}))
    assert asked == [Stdout("who? "), InputRequest(is_password=True)]
    assert run.next is Next.INPUT
    assert run.receive(result("finished", ("stdout", "me"), exit_code=0)) == [Stdout("me"), Finished(0)]
    assert (run.next, run.status, run.exit_code, run.steps) == (Next.NOTHING, "finished", 0, {})


def test_a_batch_from_first_to_last():
    run = RunMachine(batch=BatchSteps("rm x", None, "ls"))
    assert run.receive(result("clean-finished", exit_code=0)) == [StepFinished("clean", 0)]
    assert run.receive(result("build-finished", exit_code=2)) == [StepFinished("build", 2)]
    assert run.next is Next.POLL
    assert run.receive(result("finished", exit_code=127)) == [Finished(127)]
    assert run.steps == {"clean": 0, "build": 2, "exec": 127}


def test_what_a_server_owes():
    """Only while a command may be under way is it free to say nothing."""
    run = RunMachine()
    run.receive(result("continued"))
    assert not run.owed
    run = RunMachine(batch=BatchSteps("c", "b", None))
    assert not run.owed
    run.receive(result("clean-finished", exit_code=0))
    assert not run.owed
    run.receive(result("build-finished", exit_code=0))
    assert run.owed
    run.receive(result("waiting-input"))
    assert not run.owed  # it is our turn
    run = RunMachine(batch=BatchSteps("c", None, "e"))
    run.receive(result("build-finished", exit_code=0))
    assert not run.owed  # silent, as long computations are


def test_what_a_server_owes_when_all_steps_are_one_command():
    run = RunMachine(batch=(one := OneCommand("c", "b", "e")))

    def say(mark):
        run.receive(result("continued", ("stdout", f"\x1e{one._token} {mark}\x1e")))

    run.receive(result("build-finished", exit_code=0))  # the server's own, of a step that it was told to skip
    assert run.owed
    say("begin 0")
    assert not run.owed
    say("build 0")
    assert not run.owed
    run = RunMachine(batch=(one := OneCommand("c", "b", "e")))
    say("begin 0")
    say("build 1")
    assert run.owed
    run = RunMachine(batch=(one := OneCommand("c", "b", None)))
    say("build 0")
    assert run.owed
    run = RunMachine(batch=(one := OneCommand("c", "b", "e")))
    say("exec 3")
    assert run.owed


def test_a_run_that_the_server_does_not_know_is_no_finished_run():
    lost = result("finished", exit_code=130, options={})
    with pytest.raises(StreamInterrupted, match="does not know the run"):
        RunMachine().receive(lost)
    # Ends that programs come to by themselves: of Ctrl-C in a shell, and with output.
    assert RunMachine().receive(lost | {"options": None}) == [Finished(130)]
    assert RunMachine().receive(lost | {"console": [["stdout", "x"]]}) == [Stdout("x"), Finished(130)]


@pytest.mark.parametrize(
    ("options", "password"), [(None, False), ({}, False), ({"is_password": False}, False), ("odd", False)]
)
def test_an_input_that_is_no_password(options, password):
    items = RunMachine().receive(result("waiting-input", options=options))
    assert items == [InputRequest(is_password=password)]


def test_a_watchdog_ends_the_run():
    run = RunMachine()
    assert run.receive(result("exec-timeout")) == [Finished(None)]
    assert (run.next, run.status) == (Next.NOTHING, "exec-timeout")


def test_the_console():
    png = base64.b64encode(b"\x89PNG").decode()
    console = [
        ["stdout", "a"],
        ["stderr", "b"],
        ["html", "<b>"],
        ["log", "l"],
        ["completion", {"x": 1}],
        ["of-the-future", "text"],
        ["media", ["image/png", f"data:image/png;base64,{png}"]],
        ["media", ["image/svg+xml", "<svg/>"]],
        ["media", ["image/png", "data:image/png;base64,%%é"]],
        ["media", ["image/png", "data:image/png;base64,A"]],
        ["media", ["text/plain", "\ud800"]],
    ]
    assert list(read_console(console)) == [
        Stdout("a"),
        Stderr("b"),
        Html("<b>"),
        Log("l"),
        Log("{'x': 1}"),
        Log("text"),
        Media("image/png", b"\x89PNG"),
        Media("image/svg+xml", b"<svg/>"),
        Media("image/png", "data:image/png;base64,%%é".encode()),
        Media("image/png", b"data:image/png;base64,A"),
        Media("text/plain", b"?"),
    ]
    assert list(read_console(None)) == []


@pytest.mark.parametrize("console", ["text", 5, {"stdout": "a"}, [["stdout"]], ["stdout"], [None], [[1, 2]]])
def test_a_console_without_its_shape(console):
    with pytest.raises(WireError, match="console"):
        list(read_console(console))


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"result": None}, {"result": {}}, {"result": {"status": 5}}, {"status": "finished"}],
)
def test_answers_of_something_else(answer):
    with pytest.raises(WireError, match="has no result"):
        result_of(answer)


@pytest.mark.parametrize("frame", ["", "finished", "[]", "{}", '{"status": 5}', "1", b"\xff", "[" * 5000])
def test_frames_of_something_else(frame):
    with pytest.raises(WireError, match="is not JSON|has no status"):
        read_frame(frame)


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        ("Invalid API parameters: JSONDecodeError('x')", BadRequest, 400),
        ("BackendError: <InvalidStreamMode(400): Invalid. (mode has an invalid value.)>", BadRequest, 400),
        ("BackendError: <KernelExecutionFailed(500): agent-timeout>", AgentError, 500),
        ("BackendError: <SessionNotFound(404): No such session.>", SessionNotFound, 404),
        ("BackendError: <InternalServerError(500): x>", ServerError, 500),
        ("who knows", ServerError, 500),
        (None, ServerError, 500),
    ],
)
def test_frames_that_say_no(said, kind, status):
    with pytest.raises(kind, match="could not run the code") as caught:
        read_frame(json.dumps({"status": "error", "msg": said}))
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_a_server_that_restarts():
    with pytest.raises(StreamInterrupted, match="the server ends the stream: in a minute"):
        read_frame('{"status": "server-restarting", "msg": "in a minute"}')


# --- any run that the protocol allows -------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
RECORD = st.one_of(
    st.tuples(st.sampled_from(["stdout", "stderr"]), TEXT),
    st.tuples(st.just("html"), TEXT),
    st.tuples(st.just("media"), st.tuples(st.just("image/svg+xml"), TEXT).map(list)),
)
# What the program does: it writes, asks, and (in a batch) ends steps.
DEEDS = st.lists(RECORD | st.just("ask"), max_size=12)


def answers_for(deeds, cuts):
    """The answers of a server that cuts what it has wherever *cuts* says; a status always ends an answer."""
    console = []
    for number, deed in enumerate(deeds):
        match deed:
            case "ask":
                yield result("waiting-input", *console, options={"is_password": False})
            case ("step", step, code):
                yield result(f"{step}-finished", *console, exit_code=code)
            case ("end", code):
                yield result("finished", *console, exit_code=code)
                return
            case _:
                console.append(deed)
                if number in cuts:
                    yield result("continued", *console)
                    console = []
                continue
        console = []
        if number in cuts:
            yield result("continued")


def follow(run, answers, read):
    items = []
    for answer in answers:
        assert run.next is not Next.NOTHING
        items += run.receive(read(answer))
    return items


@given(DEEDS, st.sets(st.integers(0, 15)), st.integers(-1, 255))
@pytest.mark.parametrize("read", TRANSPORTS.values(), ids=TRANSPORTS)
def test_however_a_query_is_cut_it_is_the_same(read, deeds, cuts, code):
    deeds = [*deeds, ("end", code)]
    run = RunMachine()
    found = follow(run, answers_for(deeds, cuts), read)
    assert found == follow(RunMachine(), answers_for(deeds, set()), over_rest)
    assert [i for i in found if isinstance(i, InputRequest)] == [InputRequest()] * deeds.count("ask")
    assert "".join(i.text for i in found if isinstance(i, Stdout)) == "".join(
        d[1] for d in deeds if d[0] == "stdout"
    )
    assert (run.next, run.exit_code, found[-1]) == (Next.NOTHING, code, Finished(code))


@given(DEEDS, DEEDS, DEEDS, st.sets(st.integers(0, 40)), st.tuples(*[st.integers(0, 255)] * 3))
@pytest.mark.parametrize("read", TRANSPORTS.values(), ids=TRANSPORTS)
def test_however_a_batch_is_cut_it_is_the_same(read, clean, build, rest, cuts, codes):
    deeds = [
        *clean,
        ("step", "clean", codes[0]),
        *build,
        ("step", "build", codes[1]),
        *rest,
        ("end", codes[2]),
    ]
    run = RunMachine(batch=BatchSteps("c", "b", "e"))
    found = follow(run, answers_for(deeds, cuts), read)
    assert found == follow(RunMachine(batch=BatchSteps("c", "b", "e")), answers_for(deeds, set()), over_rest)
    assert run.steps == dict(zip(["clean", "build", "exec"], codes, strict=True))
    assert run.next is Next.NOTHING


# Answers that may come nowhere in a query, or not after its end.
NEVER = [
    result("clean-finished", exit_code=0),
    result("build-finished", exit_code=0),
    result("dancing"),
    result("finished") | {"console": "text"},
    result("continued") | {"console": [["stdout"]]},
    {"status": None},
    {},
    result("finished", exit_code=130, options={}),
]


@given(DEEDS, st.integers(0, 15), st.sampled_from([*NEVER, "end twice"]))
@pytest.mark.parametrize("read", TRANSPORTS.values(), ids=TRANSPORTS)
def test_an_answer_outside_the_protocol_is_a_typed_error_wherever_it_comes(read, deeds, place, odd):
    answers = list(answers_for([*deeds, ("end", 0)], set()))
    if odd == "end twice":
        answers.append(answers[-1])
    else:
        answers.insert(place % len(answers), odd)
    run = RunMachine()
    with pytest.raises((WireError, StreamInterrupted)):
        follow_blindly(run, answers, read)


def follow_blindly(run, answers, read):
    for answer in answers:
        run.receive(read(answer))


@pytest.mark.parametrize(
    "steps", [["clean", "clean"], ["build", "clean"], ["build", "build"], ["clean", "build", "clean"]]
)
def test_steps_out_of_order(steps):
    run = RunMachine(batch=BatchSteps("c", "b", "e"))
    with pytest.raises(WireError, match="out of its order"):
        follow_blindly(run, [result(f"{step}-finished", exit_code=0) for step in steps], over_rest)


@given(
    JSON
    | st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES) | JSON},
        optional={
            "console": st.lists(st.tuples(st.sampled_from(["stdout", "media", "html", "x"]), JSON).map(list))
            | JSON,
            "exitCode": JSON,
            "options": JSON,
        },
    )
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_any_json_is_items_or_a_typed_error(transport, answer):
    run = RunMachine()
    try:
        read = result_of({"result": answer}) if transport == "rest" else read_frame(json.dumps(answer))
        items = run.receive(read)
    except (WireError, StreamInterrupted, APIError):
        return
    assert run.status in STATUSES
    assert (run.next is Next.NOTHING) == any(isinstance(item, Finished) for item in items)


@given(st.text())
def test_media_text_is_never_lost(text):
    (item,) = read_console([["media", ["text/x", text]]])
    if not text.startswith("data:"):
        assert item.data == text.encode("utf-8", "replace")


def test_run_ids_are_32_digits_and_differ():
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(i) == 32 and set(i) <= set("0123456789abcdef") for i in ids)


ZERO = (
    "\x1b[0;31m---\x1b[0m\n\x1b[0;31mZeroDivisionError\x1b[0m             Traceback (most recent call last)\n"
    "Cell In[1], line 1\n----> 1 1/0\n\n\x1b[0;31mZeroDivisionError\x1b[0m: division by zero\n"
)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (ZERO, "ZeroDivisionError", "division by zero"),
        ("KeyError   Traceback (most recent call last)\nCell\n\nKeyError: 'a\nb'\n", "KeyError", "'a\nb'"),
        ("x.y.E   Traceback (most recent call last)\nCell\n\nx.y.E\n", "x.y.E", ""),
        (
            "  Cell In[2], line 1\n    a b\n    ^\nSyntaxError: invalid syntax\n",
            "SyntaxError",
            "invalid syntax",
        ),
    ],
)
def test_the_exception_that_ended_the_code(text, name, message):
    assert remote_error([Stdout("x"), Stderr(text), Stdout("y")]) == RemoteError(name, message, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "warning: careful\n",
        "Traceback (most recent call last):\n  File x\nValueError: printed by the program\n",
        "ValueError: printed\n",
    ],
)
def test_what_a_program_prints_is_no_exception(text):
    assert remote_error([Stderr(text)]) is None
    assert remote_error([Stdout(ZERO)]) is None


@given(st.text())
def test_any_text_can_be_looked_through(text):
    found = remote_error([Stderr(text)])
    assert found is None or found.traceback == text
