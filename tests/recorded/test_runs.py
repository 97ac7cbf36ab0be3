"""Captured answers of running code, and captured event streams, as the SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from recorded.capture import Capture
from recorded.reading import BY_KIND, CAPTURES, VERSION, json_from, of

from backendai_sdk import errors
from backendai_sdk._wire.batch import BatchSteps
from backendai_sdk._wire.execute import Next, RunMachine
from backendai_sdk._wire.run_frames import read_frame
from backendai_sdk._wire.run_requests import result_of
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.structure import structure
from backendai_sdk._wire.tracebacks import remote_error
from backendai_sdk._wire.versions import batch_steps_lose_output, negotiate
from backendai_sdk.models.event import SessionEvent
from backendai_sdk.models.run import Finished, InputRequest, RunItem, Stderr, Stdout, StepFinished


def check_items(items: Sequence[RunItem], result: Mapping[str, Any]) -> None:
    """Hold the items of one answer against it."""
    read = [(type(i).__name__.lower(), i.text) for i in items if isinstance(i, Stdout | Stderr)]
    assert read == [tuple(record) for record in result["console"]]
    rest = [i for i in items if not isinstance(i, Stdout | Stderr)]
    match result["status"]:
        case "continued":
            assert rest == []
        case "waiting-input":
            assert rest == [InputRequest(is_password=result["options"]["is_password"])]
        case "finished":
            assert rest == [Finished(result["exitCode"])]
        case step:
            assert rest == [StepFinished(step.removesuffix("-finished"), result["exitCode"])]


def machine_for(answers: Sequence[Mapping[str, Any]]) -> RunMachine:
    """The machine of a run with those answers: of one with steps, if they tell of one."""
    steps = any(answer["status"].endswith("-finished") for answer in answers)
    return RunMachine(batch=BatchSteps(None, "*", "*") if steps else None)


@of("run")
def test_run(capture: Capture) -> None:
    answer = json_from(capture)
    machine = machine_for([answer["result"]])
    check_items(machine.receive(result_of(answer)), answer["result"])
    status = answer["result"]["status"]
    expected = {"finished": Next.NOTHING, "waiting-input": Next.INPUT}.get(status, Next.POLL)
    assert machine.next is expected


def _runs() -> dict[str, list[Capture]]:
    """The answers of each run, in the order in which they came."""
    found: dict[str, list[Capture]] = {}
    for capture in sorted(BY_KIND["run"], key=lambda c: c.moment):
        assert capture.answer is not None
        run_id = capture.answer.json["result"]["runId"]
        found.setdefault(f"{capture.sent.path.removeprefix('/session/')}/{run_id}", []).append(capture)
    return {name: parts for name, parts in found.items() if len(parts) > 1}


@pytest.mark.parametrize("name", _runs())
def test_whole_run(name: str) -> None:
    parts = _runs()[name]
    answers = [result_of(json_from(capture)) for capture in parts]
    machine = machine_for(answers)
    items: list[RunItem] = []
    for answer in answers:
        assert machine.next is not Next.NOTHING
        items += machine.receive(answer)
    assert machine.next is Next.NOTHING
    assert parts[-1].answer is not None
    assert machine.exit_code == parts[-1].answer.json["result"]["exitCode"]
    text = "".join(item.text for item in items if isinstance(item, Stdout))
    assert (name.partition("/")[2], text) in {
        ("runinput", "who? hi wire\n"),
        ("runslow", "0\n1\n2\n3\n"),
        ("runbatch", "main ['main.py']\n"),
        ("runbatch2", "main ['main.py', 'a', 'b']\n"),
        ("runint", ""),
        ("run-in-1", "name? hi bob\n"),
        ("run-c-1", "0\n1\n2\n3\n"),
    }


def items_of(capture: Capture) -> Sequence[RunItem]:
    answer = result_of(json_from(capture))
    return machine_for([answer]).receive(answer)


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        ("docker-12", "ZeroDivisionError", "division by zero"),
        ("docker-51", "KeyboardInterrupt", ""),
        ("04j-execute-exception", "ZeroDivisionError", "division by zero"),
    ],
)
def test_exception_of_a_run(number: str, name: str, message: str) -> None:
    (capture,) = [c for c in CAPTURES if c.number == number]
    found = remote_error(items_of(capture))
    assert found is not None
    assert (found.name, found.message) == (name, message)


def test_no_other_run_ended_with_an_exception() -> None:
    ended = [c.number for c in BY_KIND["run"] if remote_error(items_of(c))]
    assert ended == ["docker-12", "docker-51", "04j-execute-exception"]


@of("run over WebSocket")
def test_frames_are_answers_without_a_run_id(capture: Capture) -> None:
    assert capture.answer is not None
    frames = [f.json for f in capture.answer.frames if f.sender == "server" and f.kind == "text"]
    machine = machine_for(frames)
    for frame in frames:
        if frame["status"] == "error":
            with pytest.raises(errors.BadRequest, match="mode has an invalid value|JSONDecodeError"):
                read_frame(json.dumps(frame))
            assert set(frame) == {"status", "msg"}
            assert len(frames) == 1
        else:
            assert set(frame) == {"status", "console", "exitCode", "options", "files"}
            check_items(machine.receive(read_frame(json.dumps(frame))), frame)
    assert machine.next is Next.NOTHING or frames[0]["status"] == "error"


@of("no answer")
def test_runs_without_an_end_are_those_that_the_sdk_sends_differently(capture: Capture) -> None:
    assert capture.sent.json["run_id"] == "rb3"
    assert capture.notes == ("no answer came before the recorder gave up",)
    server = negotiate(json_from(VERSION[capture.release]))
    assert batch_steps_lose_output(server)


@of("events")
@pytest.mark.parametrize("cut", ["as it came", 1, 7, 1000, 1_000_000])
def test_events(capture: Capture, cut: str | int) -> None:
    assert capture.answer is not None
    body = capture.answer.body
    chunks = (
        list(capture.answer.chunks)
        if isinstance(cut, str)
        else [body[i : i + cut] for i in range(0, len(body), cut)]
    )
    decoder = SSEDecoder()
    read = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert [(event.name, json.loads(event.data)) for event in read] == capture.answer_events
    for event in read:
        data = json.loads(event.data)
        found = structure(SessionEvent, {"name": event.name} | data)
        assert found.name == event.name
        assert (found.session_id, found.session_name) == (data["sessionId"], data["sessionName"])
        assert (found.reason, found.exit_code) == (data["reason"], data["exitCode"])
        assert (found.access_key, found.kernel_id) == (data["ownerAccessKey"], data.get("kernelId"))
        assert set(found.extra) == set(data) & {"clusterRole", "clusterIdx"}
        assert found.is_final == (event.name in {"session_terminated", "session_cancelled"})


def test_there_are_events() -> None:
    counts = {c.number: len(c.answer_events) for c in BY_KIND["events"]}
    silent = {number for number, count in counts.items() if not count}
    assert silent == {"app-17", "app-19", "app-20", "docker-55"}
    assert sum(counts.values()) > 90
