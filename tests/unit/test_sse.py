"""Server-sent events: the WHATWG's examples and corner cases, and a naive decoder that must always agree."""

from __future__ import annotations

import codecs
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backendai_sdk._wire.sse import ServerSentEvent, SSEDecoder
from backendai_sdk.errors import ProtocolError


def decode(*chunks: bytes, limit: int = 1 << 20) -> tuple[list[tuple[str, str, str]], str, int | None]:
    decoder = SSEDecoder(limit=limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [(e.name, e.data, e.id) for e in events], decoder.last_event_id, decoder.retry


def naive(body: bytes) -> tuple[list[tuple[str, str, str]], str, int | None]:
    """The standard's text, line by line and letter by letter."""
    text = codecs.decode(body, "utf-8", "replace")
    text = text.removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", text)[:-1]  # the last one was not ended
    events: list[tuple[str, str, str]] = []
    data = name = id_buffer = last_id = ""
    retry = None
    for line in lines:
        if line == "":
            last_id = id_buffer
            if data != "":
                events.append((name or "message", data[:-1], last_id))
            data = name = ""
            continue
        if line[0] == ":":
            continue
        if ":" in line:
            at = line.index(":")
            field, value = line[:at], line[at + 1 :]
            value = value.removeprefix(" ")
        else:
            field, value = line, ""
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]{1,18}", value):
            retry = int(value)
    return events, last_id, retry


@pytest.mark.parametrize(
    ("body", "events"),
    [
        # The standard's own examples.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                ("message", "first event", "1"),
                ("message", "second event", ""),
                ("message", " third event", ""),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
        (b"data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
        # Backend.AI's (PROTOCOL §5.1).
        (b'event: kernel_started\r\ndata: {"a":1}\r\n\r\n', [("kernel_started", '{"a":1}', "")]),
        (b": ping\r\n\r\n: ping\r\n\r\n", []),
        (b"event: server_close\ndata: {}\n\n", [("server_close", "{}", "")]),
        # Line ends.
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [("message", x, "") for x in "abc"]),
        (b"data: a\r\ndata: b\rdata: c\n\r", [("message", "a\nb\nc", "")]),
        (b"\n\n\n\r\n\rdata: a\n\n\n\n\n", [("message", "a", "")]),
        # No other character ends a line.
        ("data: a\u2028b\x0bc\x0c\x1c\x85\n\n".encode(), [("message", "a\u2028b\x0bc\x0c\x1c\x85", "")]),
        # BOM: one, at the very start.
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a", "")]),
        (b"event: a\ndata: \n\nevent: b\nid: 1\ndata: x\n\n", [("a", "", ""), ("b", "x", "1")]),
        (b"event: a\ndata: x\ndata: y\n\nevent: \ndata: x\n\n", [("a", "x\ny", ""), ("message", "x", "")]),
        # Fields.
        (b"event: x\n\ndata: a\n\n", [("message", "a", "")]),
        (b"event: x\nevent:\ndata: a\n\n", [("message", "a", "")]),
        (b"data : a\nDATA: a\n data: a\nother: a\n\n", []),
        (b"data:a:b: c\n\n", [("message", "a:b: c", "")]),
        (b"data:\ta\n\n", [("message", "\ta", "")]),
        (b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "1")]),
        (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
        # Not ended.
        (b"data: a", []),
        (b"data: a\n", []),
        (b"data: a\r", []),
        # Not UTF-8: a character of replacement each, and the lines stay.
        (b"data: \xff\xe2\x82\ndata: b\n\n", [("message", "\ufffd\ufffd\nb", "")]),
        ("data: 한글 🚀\n\n".encode(), [("message", "한글 🚀", "")]),
    ],
)
def test_by_the_standard(body, events):
    assert decode(body)[0] == events
    assert naive(body)[0] == events
    # Byte by byte, too.
    assert decode(*[body[i : i + 1] for i in range(len(body))])[0] == events


@pytest.mark.parametrize(
    ("body", "last_id", "retry"),
    [
        (b"id: 1\nretry: 5\n\n", "1", 5),
        # An id counts when its event has ended, a retry at once.
        (b"id: 1\n\nid: 2\nretry: 7\n", "1", 7),
        (b"retry: 7", "", None),
        (b"\xef\xbb\xbfretry: 7\n", "", 7),
        (b"retry: 7\nretry: 8s\nretry: -1\nretry:\nretry: \xd9\xa3\nretry:  9\n\n", "", 7),
        (b"retry: " + b"9" * 5000 + b"\n\n", "", None),
        (b"retry: 0\n\n", "", 0),
        (b"id: 1\n\nid\n\n", "", None),
    ],
)
def test_what_is_kept_for_the_next_connection(body, last_id, retry):
    assert decode(body)[1:] == (last_id, retry)
    assert naive(body)[1:] == (last_id, retry)


def test_a_carriage_return_ends_an_event_at_once():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\n\r") == [ServerSentEvent("message", "a", "")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\r\n") == [ServerSentEvent("message", "b", "")]


def test_goes_on_from_an_earlier_connection():
    decoder = SSEDecoder(last_event_id="5")
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent("message", "a", "5")]


pieces = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"\xef\xbb\xbf",
        b"\x00",
        b"5",
        b"x",
        b"\xe2\x82",
        b"\xff",
        "é€🚀".encode(),
        "\u2028\x85\x0b".encode(),
    ]
)
bodies = st.lists(pieces | st.just(b"event: x\ndata: y") | st.binary(max_size=4), max_size=40).map(b"".join)


def cut(body: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({min(i, len(body)) for i in at} | {0, len(body)})
    return [body[a:b] for a, b in itertools.pairwise(ends)]


@given(bodies, st.lists(st.integers(0, 120), max_size=12))
@example(b"data: a\r\n\r\n", [8, 9, 10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
@example(b"event: a\ndata: b\n\nxevent: c\ndata: d\n\n", [])
@example(b"event: a\ndata: b\n\n\nevent: c\ndata: d\n\n", [])
@example(b"event: a\ndata: b\nid: 1\n\nevent: c\ndata: d\n\n", [])
def test_any_cut_gives_what_the_naive_decoder_gives(body, at):
    assert decode(*cut(body, at)) == naive(body)


@given(bodies, st.lists(st.integers(0, 120), max_size=12), st.integers(0, 20))
def test_the_limit_does_not_depend_on_the_cut(body, at, limit):
    body = body.removeprefix(codecs.BOM_UTF8) + b"\n\n"

    def outcome(chunks: list[bytes]) -> tuple[list[ServerSentEvent], bool]:
        decoder = SSEDecoder(limit=limit)
        events = []
        try:
            for chunk in [*chunks, b": end of all\n\n"[:1]]:
                events += decoder.feed(chunk)
        except ProtocolError:
            return events, True
        return events, False

    assert outcome(cut(body, at)) == outcome([body])


@pytest.mark.parametrize("ended", [b"", b"\n", b"\n\n", b"\r\n\r\n"])
def test_an_oversized_event_is_an_error_and_stays_one(ended):
    decoder = SSEDecoder(limit=100)
    assert decoder.feed(b"data: " + b"x" * 94 + b"\n\n")
    before = decoder.feed(b"data: before\n\ndata: " + b"x" * 96 + ended)
    assert before == [ServerSentEvent("message", "before", "")]
    for _ in range(2):
        with pytest.raises(ProtocolError, match="more than 100 bytes"):
            decoder.feed(b"data: after\n\n")


def test_an_oversized_event_in_small_chunks():
    decoder = SSEDecoder(limit=100)
    for _ in range(100):
        assert decoder.feed(b"x") == []
    with pytest.raises(ProtocolError):
        decoder.feed(b"x")


def test_small_chunks_of_a_large_event_take_linear_time():
    body = b"data: " + b"x" * 400_000 + b"\n\n"
    decoder = SSEDecoder()
    events = [event for i in range(0, len(body), 4) for event in decoder.feed(body[i : i + 4])]
    assert len(events[0].data) == 400_000


@pytest.mark.parametrize("text", [b"event: ", b"event: x\n", b"event: x\ndata: ", b"event: x\ndata: y\n"])
def test_what_is_almost_an_event_takes_linear_time(text):
    # Looked for from everywhere, or with going back, it would take hours.
    assert len(SSEDecoder().feed(text * (4_000_000 // len(text)) + b"\n\n")) <= 1
