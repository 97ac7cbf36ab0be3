"""Every capture is of exactly one kind, whole, and names no machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recorded.capture import WIRE, Capture
from recorded.kinds import KINDS, kind_of, kinds_of
from recorded.reading import BY_KIND, CAPTURES, VERSION, json_from


@pytest.mark.parametrize("capture", CAPTURES, ids=str)
def test_each_capture_is_of_exactly_one_kind(capture: Capture) -> None:
    assert len(kinds_of(capture)) == 1, [kind.name for kind in kinds_of(capture)]


def test_each_kind_has_captures_and_a_reader() -> None:
    assert all(BY_KIND.values()), [name for name, found in BY_KIND.items() if not found]
    source = "".join(f.read_text("utf-8") for f in Path(__file__).parent.glob("test_*.py"))
    for kind in KINDS:
        if not kind.unused:
            assert f'@of("{kind.name}")' in source, f"nothing reads {kind.name}"


def test_all_captures_are_there() -> None:
    assert {release: sum(c.release == release for c in CAPTURES) for release in VERSION} == {
        "23.9.10": 268,
        "26.9.6": 88,
    }
    assert sum(f.stat().st_size for f in WIRE.rglob("*")) < 2_000_000


def test_captures_name_no_machine() -> None:
    for file in WIRE.rglob("*.txt"):
        text = file.read_text("latin-1")
        assert not re.search(r"(?<!home)/(?:home/(?!work)\w|root/|Users/|work/)", text), file


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.answer and c.sent.method != "HEAD"], ids=str)
def test_captures_are_whole(capture: Capture) -> None:
    assert capture.answer is not None
    length = capture.answer.headers.get("Content-Length")
    assert length is None or int(length) == len(capture.answer.body)


UNUSED = [c for c in CAPTURES if kind_of(c).unused]


@pytest.mark.parametrize("capture", UNUSED, ids=str)
def test_unused(capture: Capture) -> None:
    """An answer that nothing reads: JSON where it says so, and a success."""
    if capture.answer is None:
        return
    assert capture.answer.status < 400
    if capture.answer.content_type == "application/json" and capture.answer.body:
        assert json_from(capture) == capture.answer.json
