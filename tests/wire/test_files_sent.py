"""Files on the wire: what is sent for each release, what is sent again, what is read of answers that go wrong."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from urllib.parse import parse_qs, urlsplit

import pytest
from wire_manager import RESET, Reply, listing, problem

from backendai_sdk import AgentError, ConnectionLost, FileTransferError, ProtocolError, RateLimited

UUID = "0b6d0ec5-7c5e-4a0d-8a3b-0d6c4f0e2a11"
ROW = {"mode": "-rw-r--r--", "ctime": 1.5, "mtime": 1.5, "atime": 1.5}
RUNNING = listing({"id": UUID, "name": "work", "status": "RUNNING", "status_info": None})


def tar(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parts(*tars, boundary="bc8542518a29446b9268ac67022f68bc"):
    """As a 23.9.10 answers."""
    body = b"".join(
        b"--"
        + boundary.encode()
        + b"\r\nContent-Type: application/octet-stream\r\nContent-Encoding: identity\r\n"
        b"Content-Length: " + str(len(t)).encode() + b"\r\n\r\n" + t + b"\r\n"
        for t in tars
    )
    body += b"--" + boundary.encode() + b"--\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n"
    return head.encode() + body


def folder(files):
    rows = [{**ROW, "filename": name, "size": len(content)} for name, content in files.items()]
    return Reply(200, {"files": json.dumps(rows) + "\n", "errors": "", "abspath": "."})


class Remote:
    """A session's folder; ``faults`` are what is answered first to a route."""

    def __init__(self, files):
        self.files = files
        self.faults = {}

    def __call__(self, seen):
        if self.faults.get(seen.route.rpartition("/")[2]):
            return self.faults[seen.route.rpartition("/")[2]].pop(0)
        match seen.route.split(f"/session/{UUID}"):
            case ["POST /admin/gql"]:
                return RUNNING
            case [_, "/files"]:
                return folder(self.files)
            case [_, "/download"]:
                return parts(*(tar(name, self.files[name]) for name in seen.json["files"]))
            case [_, "/download_single"]:
                return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: application/octet-stream\r\n\r\nabc"
            case [_, "/upload"]:
                for name, content in re.findall(
                    rb'filename="([^"]*)"\r\nContent-Type: [^\r]*\r\n\r\n(.*?)\r\n--', seen.body, re.DOTALL
                ):
                    self.files[name.decode()] = content
                return Reply(204)
        raise AssertionError(seen.route)


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Remote({f"f{n}": b"x" * n for n in range(7)})


@pytest.fixture
def start(serve, client, remote):
    async def make(release="23.09.10", **given):
        version = {"version": "v9.20250722", "manager": release}
        server = await serve(remote, version=version)
        api = await client(server, **given)
        cs = await api.get("work")
        server.seen.clear()
        return server, cs

    return make


@pytest.mark.parametrize(
    ("release", "method"), [("23.09.10", "GET"), ("24.03.11", "POST"), ("26.9.6", "POST")]
)
async def test_parameters_are_in_the_query_and_in_the_body(start, release, method, tmp_path):
    server, cs = await start(release)
    assert (await cs.download([f"f{n}" for n in range(7)], to="x")).files == 7
    assert {p.name: p.read_bytes() for p in (tmp_path / "x").iterdir()} == {
        f"f{n}": b"x" * n for n in range(7)
    }
    for seen in server.asked:
        query = parse_qs(urlsplit(seen.target).query)
        if seen.route == f"GET /session/{UUID}/files":
            assert (query, seen.json) == ({"path": ["."]}, {"path": "."})
        else:
            assert seen.route == f"{method} /session/{UUID}/download"
            assert query["files"] == seen.json["files"]
        assert seen.headers["content-type"] == "application/json"
    asked = [seen.json["files"] for seen in server.asked if seen.route.endswith("/download")]
    assert sorted(map(len, asked)) == [2, 5]
    server.seen.clear()
    assert await cs.read_file("a b") == b"abc"
    (single,) = server.asked
    assert single.route == f"{method} /session/{UUID}/download_single"
    assert single.target.endswith("?file=a%20b")
    assert single.json == {"file": "a b"}


async def test_small_files_go_up_in_full_batches(start, remote, tmp_path):
    remote.files.clear()
    for number in range(45):
        (tmp_path / f"{number}.txt").write_bytes(b"x" * number)
    server, cs = await start()
    assert (await cs.upload("*.txt")).files == 45
    uploads = [seen for seen in server.asked if seen.route == f"POST /session/{UUID}/upload"]
    assert sorted(seen.body.count(b"filename=") for seen in uploads) == [5, 20, 20]
    for seen in uploads:
        assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert int(seen.headers["content-length"]) == len(seen.body)
        assert "transfer-encoding" not in seen.headers
    assert remote.files == {f"{n}.txt": b"x" * n for n in range(45)}


async def test_an_upload_is_sent_again_from_its_beginning(start, remote, tmp_path):
    (tmp_path / "f").write_bytes(os.urandom(300_000).replace(b"\r", b"."))
    server, cs = await start()
    remote.faults["upload"] = [Reply(503, {}), RESET]
    await cs.upload("f")
    assert remote.files["f"] == (tmp_path / "f").read_bytes()
    assert len([s for s in server.asked if s.route.endswith("/upload")]) == 3


async def test_a_download_that_breaks_off_is_asked_for_again(start, remote, tmp_path):
    whole = parts(*(tar(f"f{n}", b"x" * n) for n in range(5)))
    for cut in (len(whole) - 4000, len(whole) // 2, whole.index(b"\r\n\r\n") + 4):
        _, cs = await start()
        remote.faults["download"] = [whole[:cut]]
        folder = tmp_path / str(cut)
        assert (await cs.download([f"f{n}" for n in range(5)], to=folder)).files == 5
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == {f"f{n}": b"x" * n for n in range(5)}
    remote.faults["download"] = [whole[:5000]] * 10
    with pytest.raises(ConnectionLost):
        await cs.download("f3", to=tmp_path / "never")
    assert list((tmp_path / "never").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (parts(), ProtocolError, "1 files were asked for and 0 came"),
        (parts(tar("f3", b""), tar("f3", b"")), ProtocolError, "1 files were asked for and 2 came"),
        (parts(b""), FileTransferError, "not a tar"),  # as the dummy backend answers
        (parts(bytes(1024)), FileTransferError, "sends nothing|not a tar"),
        (parts(b"x" * 2_000_000), FileTransferError, "more than the 1 MiB"),
        (Reply(200, {"a": 1}), ProtocolError, "application/json, not parts"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed\r\nContent-Length: 3\r\n\r\nabc",
            ProtocolError,
            "cannot be read",
        ),
        (Reply(429, {}), RateLimited, "429"),
    ],
)
async def test_answers_that_are_no_download(start, remote, answer, kind, said, tmp_path):
    _, cs = await start()
    remote.faults["download"] = [answer] * 10
    with pytest.raises(kind, match=said):
        await cs.download("f3", to="x")
    assert [p.name for p in (tmp_path / "x").iterdir()] == (["f3"] if "2 came" in said else [])


async def test_one_file_that_an_agent_cannot_send(start, remote, tmp_path):
    """The paths of its request are asked for one by one."""
    failed = problem(
        500, "kernel-execution-failed", "Executing failed.", **{"agent-details": {"exception": "OSError()"}}
    )
    _, cs = await start()
    remote.files["f3"] = b"xxx"
    remote.faults["download"] = [failed]
    assert (await cs.download([f"f{n}" for n in range(5)], to="x")).files == 5
    remote.faults["download"] = [failed, failed]
    with pytest.raises(AgentError):
        await cs.download("f3", to="y")
    assert (tmp_path / "x/f3").read_bytes() == b"xxx"
