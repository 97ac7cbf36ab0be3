"""Frames of terminals, and their sizes."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.terminal import ServerFrames, TtydFrames, size_argument
from backendai_sdk._wire.versions import terminal_takes_input
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.server import ServerInfo


@given(st.binary())
def test_what_is_typed(data: bytes):
    frame = json.loads(ServerFrames.stdin(data))
    assert frame["type"] == "stdin"
    assert base64.b64decode(frame["chars"]) == data
    assert TtydFrames.stdin(data) == b"0" + data


@given(st.binary())
def test_what_is_shown(data: bytes):
    frame = json.dumps({"type": "out", "data": base64.b64encode(data).decode()})
    assert ServerFrames.output(frame) == ServerFrames.output(frame.encode()) == data
    assert TtydFrames.output(b"0" + data) == data


@given(st.binary() | st.text())
def test_frames_of_other_kinds_show_nothing_and_break_nothing(frame):
    assert isinstance(ServerFrames.output(frame), bytes)
    assert isinstance(TtydFrames.output(frame), bytes)


@pytest.mark.parametrize(
    "frame", ["{}", '{"type": "out", "data": 7}', '{"type": "out", "data": "!"}', "[]", "", b"\xff"]
)
def test_no_output(frame):
    assert ServerFrames.output(frame) == b""


def test_sizes_on_the_wire():
    assert json.loads(ServerFrames.resize(24, 80)) == {"type": "resize", "rows": 24, "cols": 80}
    assert json.loads(TtydFrames.hello(24, 80)) == {"AuthToken": "", "columns": 80, "rows": 24}
    kind, size = TtydFrames.resize(30, 100)[:1], TtydFrames.resize(30, 100)[1:]
    assert (kind, json.loads(size)) == (b"1", {"columns": 100, "rows": 30})
    assert TtydFrames.output(b"1a title") == TtydFrames.output("2{}") == TtydFrames.output(b"") == b""


@pytest.mark.parametrize(
    ("rows", "cols"), [(0, 80), (24, 0), (24, 10_001), (True, 80), ("24", 80), (24, 1.5), (None, 1)]
)
def test_sizes_that_are_none(rows, cols):
    with pytest.raises(InvalidArgument, match="whole number"):
        size_argument(rows, cols)


@pytest.mark.parametrize(
    ("release", "works"),
    [
        ((23, 9, 10), False),
        ((25, 8, 1), False),
        ((25, 9, 1), True),
        ((25, 19, 0), False),
        ((26, 9, 6), False),
    ],
)
def test_releases_whose_own_terminal_works(release, works):
    server = ServerInfo(api_version="v9.20250722", server_version="v9.20250722", manager="", release=release)
    assert terminal_takes_input(server) is works
