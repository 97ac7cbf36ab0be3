"""Events of background tasks, as captured and as described."""

from __future__ import annotations

import json

import pytest

from backendai_sdk._wire.tasks import read_progress, task_id_of
from backendai_sdk.enums import TaskStatus
from backendai_sdk.errors import WireError


def read(name, **data):
    return read_progress(name, json.dumps(data), task_id="t-1")


def test_a_report():
    report = read("bgtask_updated", task_id="t-1", message="half", current_progress=1, total_progress=2)
    assert report is not None
    assert (report.status, report.message, report.current, report.total) == ("updated", "half", 1.0, 2.0)
    assert report.fraction == 0.5
    assert not report.is_final


def test_the_end():
    report = read("bgtask_done", task_id="t-1", message="fine")
    assert report is not None
    assert report.is_final
    assert report.status is TaskStatus.DONE
    assert report.status.is_success
    assert report.fraction is None


def test_a_task_that_had_ended_tells_numbers_as_text():
    report = read(
        "bgtask_failed",
        task_id="t-1",
        status="failed",
        current_progress="1",
        total_progress="4",
        message=None,
    )
    assert report is not None
    assert (report.status, report.fraction, report.message) == ("failed", 0.25, None)
    assert not report.status.is_success


def test_nothing_said_as_26_9_says_it():
    report = read("bgtask_done", message="None")
    assert report is not None
    assert report.message is None


def test_a_word_of_the_future():
    report = read("bgtask_paused", message="x")
    assert report is not None
    assert (report.task_id, report.status, report.status.is_known) == ("t-1", "paused", False)


def test_other_events_tell_nothing():
    assert read_progress("message", "{}", task_id="t-1") is None


@pytest.mark.parametrize("data", ["", "[]", "{", "null"])
def test_an_event_that_cannot_be_read(data):
    with pytest.raises(WireError, match="t-1"):
        read_progress("bgtask_done", data, task_id="t-1")


def test_ids():
    assert task_id_of({"bgtask_id": "a", "kernel": "k"}) == "a"
    assert task_id_of({"task_id": "b"}) == "b"
    for odd in (None, {}, {"task_id": None}):
        with pytest.raises(WireError):
            task_id_of(odd)
