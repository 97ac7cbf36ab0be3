"""Following a log by readings of the whole: nothing twice, nothing left out while the readings overlap."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.logs import LogFollower


def follow(*readings: str) -> list[str]:
    follower = LogFollower()
    return [follower.feed(reading) for reading in readings]


def test_a_log_that_grows():
    assert follow("", "one\n", "one\ntwo\n", "one\ntwo\n", "one\ntwo\nthree") == [
        "",
        "one\n",
        "two\n",
        "",
        "three",
    ]


def test_a_log_that_is_cut_at_its_beginning():
    lines = [f"line {n} of the log\n" for n in range(100)]
    first, second = "".join(lines[:50]), "".join(lines[30:60])
    assert follow(first, second) == [first, "".join(lines[50:60])]


def test_only_a_small_piece_is_left_of_the_old_text():
    old = "x" * 1000 + "the last line of the old text\n"
    new = "the last line of the old text\nand something new\n"
    assert follow(old, new) == [old, "and something new\n"]


def test_a_log_that_was_replaced():
    assert follow("the old log\n" * 3, "another one\n") == ["the old log\n" * 3, "another one\n"]


def test_a_common_character_is_no_overlap():
    assert follow("ends with a line feed\n", "\nbegins with one") == [
        "ends with a line feed\n",
        "\nbegins with one",
    ]


def test_an_older_or_empty_reading_is_left_alone():
    assert follow("one\ntwo\n", "one\n", "", "one\ntwo\nthree\n") == ["one\ntwo\n", "", "", "three\n"]


def test_a_log_that_repeats_itself_gives_too_little_rather_than_something_twice():
    assert follow("tick\n" * 100, "tick\n" * 100) == ["tick\n" * 100, ""]
    cut = "start\n" + "tick\n" * 100
    assert follow(cut, "tick\n" * 101) == [cut, "tick\n"]


LINES = st.lists(st.text(alphabet="ab\n", max_size=30).map(lambda text: text + "\n"), max_size=60)


@given(LINES, st.integers(1, 400), st.integers(1, 10))
def test_nothing_is_invented(lines: list[str], limit: int, step: int):
    """Whatever is read: all that is given comes from the readings, in their order, and ends as they do."""
    follower, given_out, log = LogFollower(), "", ""
    for start in range(0, len(lines), step):
        log = (log + "".join(lines[start : start + step]))[-limit:]
        piece = follower.feed(log)
        assert log.endswith(piece)
        given_out += piece
    assert "".join(lines).endswith(given_out[-min(limit, 1) :] if given_out else "")


@given(st.integers(17, 300), st.lists(st.integers(0, 12), max_size=40))
def test_numbered_lines_are_given_once_each(limit: int, growth: list[int]):
    """As long as each reading overlaps the one before by a line, no line is lost and none comes twice."""
    written, follower, given_out = "", LogFollower(), ""
    for count in growth:
        added = "".join(f"{len(written) + n:020}\n" for n in range(count))
        buffer = limit + len(added) + 21
        written += added
        given_out += follower.feed(written[-buffer:])
    assert given_out == written


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a" * 400_000 + "b", "a" * 400_000 + "c"),
        ("ab" * 300_000 + "!", "ba" * 300_000 + "?"),
        ("\r 50%" * 100_000, "\r 50%" * 100_000 + "\r 51%" + "\r 50%" * 10),
    ],
)
def test_texts_without_an_end_in_sight_cost_little(old: str, new: str):
    began = time.process_time()
    follow(old, new)
    assert time.process_time() - began < 5  # a comparison of everything with everything takes hours
