"""Feed the decoders what no server should send: nothing but typed errors may come out.

    python tools/fuzz.py [--count 100000] [--seed N] [decoder ...]

Inputs are captured answers of real servers (``tests/recorded/wire``), cut, repeated, swapped and garbled, and values
of JSON put in each other's place.  A decoder may read an input, or refuse it with a ``BackendAIError``; anything else
is a defect, and is printed with its input.  The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import re
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import aiohttp
import attrs
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict

from backendai_sdk._disk.unpack import FolderSink, Spool, make_link
from backendai_sdk._transport.parts import PartStream
from backendai_sdk._wire.apps import read_access, read_apps
from backendai_sdk._wire.batch import OneCommand
from backendai_sdk._wire.completion import read_completions
from backendai_sdk._wire.events import EventDecoder
from backendai_sdk._wire.execute import RunMachine
from backendai_sdk._wire.files import entries, packed_entries
from backendai_sdk._wire.gql import data_of, read_page
from backendai_sdk._wire.history import read_graph, read_history, read_listed_history
from backendai_sdk._wire.problems import error_of, json_of
from backendai_sdk._wire.request import Request, Response
from backendai_sdk._wire.run_frames import read_frame
from backendai_sdk._wire.run_requests import result_of
from backendai_sdk._wire.situation import read_agents, read_key, read_limits, read_policy
from backendai_sdk._wire.sse import SSEDecoder
from backendai_sdk._wire.tasks import read_progress, task_id_of
from backendai_sdk._wire.terminal import ServerFrames, TtydFrames
from backendai_sdk._wire.versions import negotiate
from backendai_sdk.errors import BackendAIError

CAPTURED = Path(__file__).parents[1] / "tests" / "recorded" / "wire"
_STREAM = re.compile(rb"^event: .*\r\n(?:.+\r\n)*", re.MULTILINE)

Decode: TypeAlias = Callable[[random.Random], bytes]
"""Makes one input, has it decoded, and returns it; raises ``Defect`` if more than an error of ours came out."""


class Defect(Exception):
    """A decoder let something else out than a value or a ``BackendAIError``."""

    def __init__(self, said: BaseException | str, given: bytes) -> None:
        super().__init__(said, given)
        self.said, self.given = said, given


# --- material --------------------------------------------------------------------------------------------


class Material:
    """What real servers have answered, and how it is spoilt."""

    def __init__(self, folder: Path) -> None:
        texts = [path.read_bytes() for path in sorted(folder.rglob("*.txt"))]
        lines = [line for text in texts for line in text.splitlines() if line[:1] in {b"{", b"["}]
        self.values = [value for line in lines if (value := _json(line)) is not None]
        self.lines = [line for line in lines if len(line) < 20_000]
        self.events = [event + b"\r\n" for text in texts for event in _STREAM.findall(text)]
        if not (self.values and self.events):
            raise SystemExit(f"there are no captured answers in {folder}")
        self._atoms = [atom for value in self.values[:50] for atom in _atoms(value)]

    def garbled(self, data: bytes, rng: random.Random) -> bytes:
        """*data* with a few bytes cut, changed, repeated or put in."""
        out = bytearray(data)
        for _ in range(rng.randint(0, 4)):
            at = rng.randrange(len(out) + 1)
            match rng.randrange(5):
                case 0:
                    del out[at : at + rng.choice((1, 2, 8, 64, len(out)))]
                case 1:
                    out[at:at] = rng.randbytes(rng.randint(1, 8))
                case 2 if at < len(out):
                    out[at] ^= 1 << rng.randrange(8)
                case 3:
                    piece = out[at : at + rng.randint(1, 40)]
                    out[at:at] = piece * rng.randint(1, 3)
                case _:
                    out[at:at] = rng.choice(
                        (b"\r", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"[" * 2000, b"9" * 5000)
                    )
        return bytes(out)

    def value(self, rng: random.Random) -> object:
        """A captured JSON value in which others have taken some places."""
        return self._swapped(rng.choice(self.values), rng, rng.choice((0.0, 0.01, 0.05, 0.3)))

    def _swapped(self, value: object, rng: random.Random, chance: float) -> object:
        if rng.random() < chance:
            return self._other(rng)
        match value:
            case dict():
                kept = ((key, item) for key, item in value.items() if rng.random() >= chance / 4)
                return {key: self._swapped(item, rng, chance) for key, item in kept}
            case list():
                return [self._swapped(item, rng, chance) for item in value]
        return value

    def _other(self, rng: random.Random) -> object:
        odd: tuple[object, ...] = (
            None, True, -1, 0, 2**70, 1e400, float("nan"), -0.5, "", "null", "\0", "\ud800", "x" * 300, [], {}, [None], {"": None},
            "[" * 3000, "{}", "9" * 5000, "1e999999999", "9999-99-99T00:00:00", "NaN",
        )  # fmt: skip
        match rng.randrange(4):
            case 0:
                return rng.choice(self._atoms)
            case 1:
                return rng.choice(self.values)
            case 2:
                return _nested(rng.choice((3, 100, 3000)))
        return rng.choice(odd)


def _json(line: bytes) -> object | None:
    try:
        return cast("object", json.loads(line))
    except ValueError:
        return None


def _atoms(value: object) -> Iterator[object]:
    match value:
        case dict():
            for item in value.values():
                yield from _atoms(item)
        case list():
            for item in value:
                yield from _atoms(item)
        case _:
            yield value


def _nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


@contextmanager
def _only_ours(given: bytes) -> Iterator[None]:
    try:
        yield
    except BackendAIError as exc:
        str(exc)
    except Defect:
        raise
    except Exception as exc:
        raise Defect(exc, given) from exc


# --- decoders --------------------------------------------------------------------------------------------


def sse(material: Material, rng: random.Random) -> bytes:
    """An event stream, cut anywhere, and the events of sessions and tasks in it."""
    body = material.garbled(b"".join(rng.choices(material.events, k=rng.randint(1, 4))), rng)
    decoder, sessions = SSEDecoder(limit=4096), EventDecoder()
    with _only_ours(body):
        at = 0
        while at < len(body):
            piece = body[at : at + rng.randint(1, 200)]
            sessions.feed(piece)
            for event in decoder.feed(piece):
                read_progress(event.name, event.data, task_id="t")
            at += len(piece)
    return body


_READERS: tuple[Callable[[object], object], ...] = (
    data_of, read_page, read_graph, read_history, read_apps, read_completions, task_id_of, result_of, negotiate,
    read_key, read_policy, read_agents, partial(read_limits, scaling_group="g"), partial(read_listed_history, session_id="s"), partial(read_access, app="a"),
    lambda value: list(entries(value, "f")), lambda value: list(packed_entries(value, file="f")),
)  # fmt: skip


def models(material: Material, rng: random.Random) -> bytes:
    """Answers of the right form with wrong values in them."""
    value = material.value(rng)
    given = repr(value)[:2000].encode("utf-8", "replace") if _depth_is_small(value) else b"(nested deeply)"
    for read in _READERS:
        with _only_ours(given):
            read(value)
    return given


def _depth_is_small(value: object) -> bool:
    try:
        repr(value)
    except RecursionError:
        return False
    return True


def runs(material: Material, rng: random.Random) -> bytes:
    """Answers of an execution, in any order, for code and for steps."""
    machine = RunMachine(batch=OneCommand("a", "b", "c") if rng.random() < 0.5 else None)
    said: list[object] = []
    for _ in range(rng.randint(1, 6)):
        value = material.value(rng)
        if isinstance(value, dict) and rng.random() < 0.7:
            words = (
                "continued",
                "finished",
                "waiting-input",
                "clean-finished",
                "build-finished",
                "exec-timeout",
                "?",
                7,
            )
            value = value | {"status": rng.choice(words)}
        said.append(value)
        with _only_ours(b"an execution"):
            machine.receive(result_of({"result": value} if rng.random() < 0.7 else value))
    return b"an execution"


def answers(material: Material, rng: random.Random) -> bytes:
    """Whole answers: text that may be no JSON, of any status."""
    body = material.garbled(rng.choice(material.lines), rng)
    kinds = ("application/json", "application/problem+json", "text/html", "")
    response = Response(
        status=rng.choice((200, 201, 302, 400, 404, 409, 412, 429, 471, 500, 502, 503)),
        headers={"content-type": rng.choice(kinds)},
        body=body,
        endpoint="http://e",
    )
    with _only_ours(body):
        json_of(response, method="GET", path="/")
    with _only_ours(body):
        raise error_of(response, method="GET", path="/")
    return body


def frames(material: Material, rng: random.Random) -> bytes:
    """What comes over WebSockets: of executions and of terminals."""
    given = material.garbled(rng.choice(material.lines), rng)
    frame: str | bytes = given if rng.random() < 0.5 else given.decode("utf-8", "replace")
    with _only_ours(given):
        RunMachine().receive(read_frame(frame))
    with _only_ours(given):
        ServerFrames.output(frame)
        TtydFrames.output(frame)
    return given


class _Answer:
    """As much of an answer as the reader of parts looks at."""

    content_type = "multipart/mixed"

    def __init__(self, body: bytes, rng: random.Random) -> None:
        self.headers = CIMultiDict({"Content-Type": 'multipart/mixed; boundary="b"'})
        loop = asyncio.get_running_loop()
        self.content = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        at = 0
        while at < len(body):
            step = rng.randint(1, 400)
            self.content.feed_data(body[at : at + step])
            at += step
        self.content.feed_eof()

    def release(self) -> None:
        pass


def multipart(material: Material, rng: random.Random) -> bytes:
    """The parts of a download."""
    parts = [
        b"--b\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n%s\r\n%s\r\n"
        % (len(data), more, data)
        for data in (rng.randbytes(rng.randint(0, 200)) for _ in range(rng.randint(0, 3)))
        for more in (
            rng.choice(
                (b"", b"Content-Encoding: gzip\r\n", b"Content-Type: multipart/mixed; boundary=c\r\n")
            ),
        )
    ]
    body = material.garbled(b"".join(parts) + b"--b--\r\n", rng)

    async def read() -> None:
        stream = PartStream(
            cast("aiohttp.ClientResponse", _Answer(body, rng)), Request(method="GET", path="/"), None
        )
        async for part in stream:
            async for _ in part:
                pass

    with _only_ours(body):
        _loop().run_until_complete(read())
    return body


def _loop() -> asyncio.AbstractEventLoop:
    if (loop := _LOOPS.get(os.getpid())) is None:
        loop = _LOOPS[os.getpid()] = asyncio.new_event_loop()
    return loop


_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}


def tars(material: Material, rng: random.Random) -> bytes:
    """Tars with every kind of member and name, unpacked: nothing may appear outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for _ in range(rng.randint(1, 4)):
            archive.addfile(*_member(rng))
    data = (
        material.garbled(buffer.getvalue()[: 512 * rng.randint(1, 12)], rng)
        if rng.random() < 0.7
        else buffer.getvalue()
    )
    outside = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY))
    target = outside / "target"
    spool = Spool()
    try:
        with _only_ours(data):
            spool.write(data, path="d")
            taken = spool.unpack(FolderSink(path="d", target=str(target), overwrite=rng.random() < 0.5))
            for inside, points_at in taken.links:
                make_link(str(target), inside, points_at, overwrite=True)
        if stray := [entry.name for entry in os.scandir(outside) if entry.name != "target"]:
            raise Defect(f"{stray} was written outside", data)
    finally:
        spool.close()
        shutil.rmtree(outside)
    return data


_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _member(rng: random.Random) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    places = (
        "d/a",
        "d/b/c",
        "d",
        "../x",
        "/tmp/x",
        "d/../../x",
        "d/a/..",
        "d//b",
        "d/\x01",
        "d/" + "n" * 300,
        "",
    )
    member = tarfile.TarInfo(rng.choice(places))
    kinds = (
        tarfile.REGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.FIFOTYPE,
    )
    member.type = rng.choices(kinds, weights=(6, 2, 2, 1, 1, 1))[0]
    member.linkname = rng.choice(("a", "../a", "../../x", "/etc/hostname", "b/../..", ""))
    member.mode = rng.choice((0o644, 0, 0o7777))
    content = rng.randbytes(rng.choice((0, 5, 600)))
    if member.isreg():
        member.size = len(content)
        return member, io.BytesIO(content)
    return member, None


DECODERS: Mapping[str, Callable[[Material, random.Random], bytes]] = {
    fuzz.__name__: fuzz for fuzz in (sse, models, runs, answers, frames, multipart, tars)
}


# --- the run ---------------------------------------------------------------------------------------------


@attrs.frozen
class Found:
    """What became of one decoder's inputs."""

    name: str
    count: int
    seconds: float
    defects: tuple[tuple[str, bytes], ...]
    kinds: int


def fuzz(name: str, count: int, seed: int, material: Material | None = None) -> Found:
    """Give *count* inputs to one decoder."""
    material = material or Material(CAPTURED)
    began, defects, lengths = time.perf_counter(), [], Counter[bytes]()
    for number in range(count):
        rng = random.Random(f"{name}-{seed}-{number}")
        try:
            lengths[DECODERS[name](material, rng)[:64]] += 1
        except Defect as exc:
            defects.append((f"{name}-{seed}-{number}: {exc.said!r}{_place(exc.said)}", exc.given[:400]))
            if len(defects) >= 5:
                break
    return Found(name, count, time.perf_counter() - began, tuple(defects), len(lengths))


def _place(said: BaseException | str) -> str:
    """The line that it came from, of ours if there is one."""
    frames = traceback.extract_tb(said.__traceback__) if isinstance(said, BaseException) else []
    ours = [frame for frame in frames if f"{os.sep}backendai_sdk{os.sep}" in frame.filename] or frames
    return f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""


def main() -> int:
    """Run the decoders that are named, or all, on both processors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "decoders", nargs="*", metavar="decoder", help=f"of {', '.join(DECODERS)}; all if none"
    )
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each decoder")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    if unknown := set(given.decoders) - DECODERS.keys():
        parser.error(f"no such decoder: {', '.join(sorted(unknown))}")
    names = given.decoders or list(DECODERS)
    print(f"seed {given.seed}")
    defects = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(fuzz, names, [given.count] * len(names), [given.seed] * len(names)):
            print(
                f"{found.name:10} {found.count:9,} inputs {found.seconds:7.1f} s  {len(found.defects)} defects",
                flush=True,
            )
            defects += len(found.defects)
            for said, data in found.defects:
                print(f"  {said}\n    {data!r}")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
