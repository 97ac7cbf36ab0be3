"""One captured answer against the local cluster's: status, headers, body, frames, events."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

from .capture import Answer, Capture, Frame
from .replay import Stage, join_console
from .shapes import Difference, differences
from .streams import Stream

_SAME_HEADERS = ("Content-Type", "Allow", "Cache-Control", "X-Accel-Buffering", "Server", "Transfer-Encoding")
_BOTH_HAVE = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Window",
    "X-BackendAI-SessionID",
    "Set-Cookie",
)
_RUN_KEYS = {"status", "console", "exitCode", "options", "files"}
_BOUNDARY = re.compile(r"; ?boundary=.*")


def compare(capture: Capture, local: Answer, stage: Stage) -> list[Difference]:
    """Every difference; event streams are compared at the end, by :func:`compare_events`."""
    real = capture.answer
    assert real is not None
    if real.status != local.status:
        return [("status", f"{real.status} ≠ {local.status}: {local.body[:200]!r}")]
    return [*_headers(real, local), *_bodies(real, local, stage)]


def _headers(real: Answer, local: Answer) -> Iterator[Difference]:
    for name in _SAME_HEADERS:
        if real.status == 101 and name == "Content-Type":
            continue  # a handshake has no body: what is said of its type means nothing
        one, other = (_BOUNDARY.sub("", a.headers.get(name, "absent")) for a in (real, local))
        if one != other:
            yield f"header {name}", f"{one} ≠ {other}"
    for name in _BOTH_HAVE:
        if (name in real.headers) != (name in local.headers):
            one, other = ("there" if name in a.headers else "absent" for a in (real, local))
            yield f"header {name}", f"{one} ≠ {other}"


def _bodies(real: Answer, local: Answer, stage: Stage) -> Iterator[Difference]:
    if real.frames:
        yield from _frames(real.frames, local.frames, stage)
    elif real.content_type == "text/event-stream":
        return
    elif real.is_json and local.is_json:
        if _has_blanks(real.body) != _has_blanks(local.body):
            yield "blanks", f"{real.body[:40]!r} ≠ {local.body[:40]!r}"
        yield from differences(json.loads(stage.localised(real.body.decode())), local.json)
    elif real.content_type.startswith("multipart/"):
        yield from differences(_parts(real), _parts(local), "parts")
    elif real.body != local.body:
        yield "body", f"{real.body[:100]!r} ≠ {local.body[:100]!r}"


def _has_blanks(body: bytes) -> bool:
    """Whether there are blanks after colons: some answers have them, some have not."""
    return b'": ' in body


def _parts(answer: Answer) -> list[Any]:
    """The parts of a multipart answer: their headers, and the names in the archives."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + answer.body)
    return [_part(part) for part in message.walk() if not part.is_multipart()]


def _part(part: Message) -> dict[str, Any]:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    names: list[str] = []
    if content.strip():
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            names = archive.getnames()
    headers = {name: "…" if name == "Content-Length" else value for name, value in part.items()}
    return {"headers": headers, "message": json.dumps(names)}


def _frames(real: tuple[Frame, ...], local: tuple[Frame, ...], stage: Stage) -> Iterator[Difference]:
    one, other = _said(real), _said(local)
    if [f.kind for f in one] != [f.kind for f in other]:
        yield "frames", f"{one} ≠ {other}"
        return
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        if a.kind == "text":
            yield from differences(json.loads(stage.localised(a.payload)), b.json, f"frames[{i}]")
        else:
            yield from differences(a.payload, b.payload, f"frames[{i}]")


def _said(frames: tuple[Frame, ...]) -> list[Frame]:
    """What the server said. What a run has written before "go on" counts as written with what comes next."""
    said: list[Frame] = []
    written: list[list[str]] = []
    for frame in (f for f in frames if f.sender == "server"):
        if frame.kind == "text" and frame.json["status"] == "continued":
            assert set(frame.json) == _RUN_KEYS
            written += frame.json["console"]
        elif frame.kind == "text" and "console" in frame.json:
            whole = frame.json | {"console": join_console(written + frame.json["console"])}
            said.append(Frame("server", "text", json.dumps(whole)))
            written = []
        elif frame.kind != "eof" or not said or said[-1].kind != "close":
            said.append(frame)  # after the closing frame the end of the connection says nothing new
    return said


def compare_events(capture: Capture, stream: Stream, stage: Stage) -> Iterator[Difference]:
    """What a stream told of each session, in order."""
    real, local = _by_session(capture.answer_events), _by_session(stream.events)
    for there, events in real.items():
        name = events[0][1]["sessionName"]
        here = stage.substitute.get(there, "")
        told = local.pop(here, [])
        if (one := _names(events)) != (other := _names(told)):
            yield f"events of {name}", f"{one} ≠ {other}"
        for event, data, same in _pairs(events, told):
            real_data = json.loads(stage.localised(json.dumps(data)))
            yield from differences(real_data, same, f"{event} of {name}")
    for events in local.values():
        name = events[0][1]["sessionName"]
        yield f"events of {name}", f"[] ≠ {[e for e, _ in events]}"
    if capture.answer is not None and (b": ping" in capture.answer.body) > (b": ping\r\n\r\n" in stream.raw):
        yield "comments", "ping ≠ none"


def _names(events: list[tuple[str, Any]]) -> list[str]:
    """In order, but with the end of each container once: how often and how late it is told again is chance.

    So is which of a session's containers comes first.
    """
    told: list[str] = []
    for name, data in events:
        about = f"{name} {data.get('clusterRole', '')}{data.get('clusterIdx', '')}".rstrip()
        if name == "kernel_terminated" and about in told:
            continue
        at = len(told)
        while at and told[at - 1].partition(" ")[0] == name and told[at - 1] > about:
            at -= 1
        told.insert(at, about)
    return told


def _by_session(events: list[tuple[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, data in events:
        found.setdefault(data["sessionId"], []).append((name, data))
    return found


def _pairs(real: list[tuple[str, Any]], local: list[tuple[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Events of one name, the first with the first; of those that one side told more often, the last."""
    seen: dict[str, int] = {}
    for name, data in real:
        about = f"{name} {data.get('clusterRole')}"
        others = [d for n, d in local if f"{n} {d.get('clusterRole')}" == about]
        if others:
            at = seen[about] = seen.get(about, -1) + 1
            yield name, data, others[min(at, len(others) - 1)]
