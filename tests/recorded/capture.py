"""What real servers were asked and what they answered, read from the files in ``wire/``.

Each file is one exchange: notes (``# …``), ``>>>``, the request as it was sent, ``<<<``, the answer as it came.
Heads have CRLF line ends, bodies are raw bytes; a chunked body still has its chunk sizes, because how an event
stream is cut is part of the truth. After ``101 Switching Protocols`` comes one line for each WebSocket frame: who
sent it, its kind, and its payload as JSON. Where no answer came before the recorder gave up, there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

WIRE = Path(__file__).with_name("wire")
RELEASES = ("23.9.10", "26.9.6")

Headers = CIMultiDictProxy[str]


@attrs.frozen
class Frame:
    """One WebSocket message, or the end of the connection (``eof``: without a closing frame)."""

    sender: Literal["client", "server"]
    kind: Literal["text", "binary", "close", "eof"]
    payload: Any

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


@attrs.frozen
class Sent:
    """A request as it was sent."""

    method: str
    target: str
    headers: Headers
    body: bytes = attrs.field(repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Answer:
    """An answer as it came. ``chunks`` are those of a chunked body, ``body`` is all of it without their sizes."""

    status: int
    headers: Headers
    body: bytes = attrs.field(repr=False)
    chunks: tuple[bytes, ...] = ()
    frames: tuple[Frame, ...] = ()

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0]

    @property
    def is_json(self) -> bool:
        return self.content_type in {"application/json", "application/problem+json"} and bool(self.body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Capture:
    """One exchange with a real server of `release`."""

    release: str
    name: str  # the file's, without its ending
    notes: tuple[str, ...]
    sent: Sent
    answer: Answer | None
    raw_answer: bytes = attrs.field(repr=False)  # as it came over the wire

    def __str__(self) -> str:
        return f"{self.release}/{self.name}"

    @property
    def number(self) -> str:
        """The beginning of the name that tells captures of one release apart: ``docker-07``, ``44b``."""
        head, _, rest = self.name.partition("-")
        return f"{head}-{rest.partition('-')[0]}" if head.isalpha() else self.name

    @property
    def family(self) -> str:
        """What was recorded in one go."""
        return self.name.partition("-")[0] if self.release == "23.9.10" else "all"

    @property
    def date(self) -> str:
        """The request's date, as it was sent."""
        return self.sent.headers.get("Date", "")

    @property
    def skew(self) -> timedelta:
        """How far the request's date was from the server's, where that was on purpose."""
        if not self.date or self.answered_at is None:
            return timedelta()
        skew = datetime.fromisoformat(self.date) - self.answered_at
        return skew if abs(skew) > timedelta(minutes=5) else timedelta()

    @property
    def moment(self) -> str:
        """When it was sent by the server's clock, as a text that sorts."""
        return (datetime.fromisoformat(self.date) - self.skew).isoformat() if self.date else ""

    @property
    def answered_at(self) -> datetime | None:
        text = None if self.answer is None else self.answer.headers.get("Date")
        return None if text is None else parsedate_to_datetime(text)

    @property
    def answer_events(self) -> list[tuple[str, Any]]:
        """The events of an event stream, read line by line as they look: `(name, data)`."""
        return list(_events(self.answer.body if self.answer else b""))


def captures() -> list[Capture]:
    """Every capture, by release and name."""
    return [read(path) for release in RELEASES for path in sorted((WIRE / release).glob("*.txt"))]


def read(path: Path) -> Capture:
    """Read one file."""
    notes, _, rest = path.read_bytes().partition(b">>>\n")
    request, marker, answer = rest.partition(b"\n<<<\n")
    assert marker, f"{path.name} has no answer's place"
    line, headers, body = _message(request)
    method, target, _version = line.split(" ")
    return Capture(
        release=path.parent.name,
        name=path.stem,
        notes=tuple(note.removeprefix("# ") for note in notes.decode().splitlines()),
        sent=Sent(method, target, headers, body),
        answer=_answer(answer) if answer else None,
        raw_answer=answer,
    )


def _answer(raw: bytes) -> Answer:
    line, headers, body = _message(raw)
    status = int(line.split(" ")[1])
    if status == 101:
        return Answer(status, headers, b"", frames=tuple(_frames(body)))
    if headers.get("Transfer-Encoding") == "chunked":
        chunks = tuple(_chunks(body))
        return Answer(status, headers, b"".join(chunks), chunks)
    return Answer(status, headers, body)


def _message(raw: bytes) -> tuple[str, Headers, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers: CIMultiDict[str] = CIMultiDict()
    for field in fields:
        name, _, value = field.partition(": ")
        headers.add(name, value)
    return line, CIMultiDictProxy(headers), body


def _chunks(body: bytes) -> Iterator[bytes]:
    """The chunks of a body that may end anywhere between two of them: the recorder hung up."""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert body == b"\r\n"
            return
        chunk, end, body = body[:length], body[length : length + 2], body[length + 2 :]
        assert len(chunk) == length and end == b"\r\n", "a chunk is cut"
        yield chunk


def _frames(body: bytes) -> Iterator[Frame]:
    for line in body.decode().splitlines():
        sender, kind, payload = line.split(" ", 2)
        yield Frame(sender, kind, json.loads(payload))  # type: ignore[arg-type]


def _events(body: bytes) -> Iterator[tuple[str, Any]]:
    for block in body.decode().split("\r\n\r\n"):
        fields: Mapping[str, str] = dict(line.split(": ", 1) for line in block.split("\r\n") if line)
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])
