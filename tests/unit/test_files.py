"""Requests about files by release, and what servers tell of folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from backendai_sdk._wire.files import (
    download_request,
    download_single_request,
    entries,
    list_request,
    packed_entries,
    upload_request,
)
from backendai_sdk._wire.request import FilePart
from backendai_sdk._wire.versions import negotiate, tells_upload_failures
from backendai_sdk.errors import FileTransferError, RemoteFileNotFound, WireError

# As a 23.9.10 answered.
ROWS = (
    '[{"mode": "-rw-r--r--", "size": 35, "ctime": 1795331809.3859673, "mtime": 1795331809.3859673, '
    '"atime": 1795331809.667623, "filename": "main.py"}, {"mode": "drwx------", "size": 4096, "ctime": '
    '1795331783.8317292, "mtime": 1795331783.8317292, "atime": 1795331783.8317292, "filename": ".ssh"}]\n'
)
MISSING = (
    'Traceback (most recent call last):\n  File "<string>", line 8, in <module>\n'
    "FileNotFoundError: [Errno 2] No such file or directory: 'nowhere'\n"
)


def server(manager):
    return negotiate({"version": "v9.20250722", "manager": manager})


@pytest.mark.parametrize(
    ("manager", "method"), [("23.09.10", "GET"), ("24.03.0", "POST"), ("26.9.6", "POST")]
)
def test_downloads(manager, method):
    request = download_request("id", ["a b", "c"], server(manager), timeout=9)
    assert (request.method, request.path, request.idempotent, request.timeout) == (
        *(method, "/session/id/download"),
        *(True, 9),
    )
    assert request.params == request.json == {"files": ["a b", "c"]}
    single = download_single_request("id", "a b", server(manager))
    assert (single.method, single.path) == (method, "/session/id/download_single")
    assert single.params == single.json == {"file": "a b"}


def test_listing_and_upload():
    request = list_request("id", "a/b")
    assert (request.method, request.path) == ("GET", "/session/id/files")
    assert request.params == request.json == {"path": "a/b"}
    part = FilePart(filename="a", data=b"")
    assert upload_request("id", [part], timeout=None).files == (part,)


def test_rows():
    first, second = entries({"files": ROWS, "errors": "", "abspath": "."}, ".")
    assert (first.name, first.path, first.size, first.kind) == ("main.py", "main.py", 35, "file")
    assert first.mtime == datetime.fromtimestamp(1795331809.3859673, UTC)
    assert first.is_file and not first.is_dir
    assert (second.kind, second.is_dir) == ("folder", True)
    (below, _) = entries({"files": ROWS, "errors": "", "abspath": "x"}, "x/y")
    assert below.path == "x/y/main.py"


def test_rows_of_other_kinds_and_with_gaps():
    rows = [
        {"filename": "l", "mode": "lrwxrwxrwx", "size": 3},
        {"filename": "p", "mode": "prw-r--r--", "new": 1, "mtime": None, "ctime": "x", "atime": 1e300},
        {"filename": "n", "mode": None, "size": "x"},
    ]
    link, pipe, bare = entries({"files": json.dumps(rows, indent=1), "errors": ""}, ".")
    assert (link.kind, pipe.kind, bare.kind) == ("link", "other", "file")
    assert (pipe.mtime, pipe.ctime, pipe.atime, bare.size) == (None, None, None, 0)


def test_an_empty_folder_and_the_dummy_backend():
    assert list(entries({"files": "[]\n", "errors": "", "abspath": "."}, ".")) == []
    assert list(entries({"files": "", "errors": "", "abspath": ""}, ".")) == []


def test_errors_of_listings():
    with pytest.raises(RemoteFileNotFound, match="no folder 'nowhere'") as caught:
        list(entries({"files": "", "errors": MISSING, "abspath": "nowhere"}, "nowhere", session_id="id"))
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.file, caught.value.session_id) == ("nowhere", "id")
    for said, expected in (
        ("NotADirectoryError: x", "not a folder"),
        ("PermissionError: no", "PermissionError: no"),
    ):
        with pytest.raises(FileTransferError, match=expected):
            list(entries({"files": "", "errors": said}, "x"))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"files": 1, "errors": 2},
        *(
            {"files": text, "errors": ""}
            for text in (
                "{",
                "{}",
                "[",
                "[1",
                "[{}",
                '[{"filename": "a"} x]',
                "[1]",
                '[{"filename": ""}]',
                "[[[",
            )
        ),
        *(
            {"files": json.dumps([{"filename": name}]), "errors": ""}
            for name in ("..", ".", "a/b", "/x", "a\0")
        ),
    ],
)
def test_what_is_no_listing(bad):
    with pytest.raises(WireError):
        list(entries(bad, "."))


@pytest.mark.parametrize("bad", [None, {}, {"rows": "?"}, {"rows": "AAAA"}])
def test_what_is_no_packed_listing(bad):
    with pytest.raises(WireError):
        list(packed_entries(bad, file="."))


def test_which_releases_tell_that_an_upload_failed():
    assert tells_upload_failures(server("23.09.10"))
    assert not tells_upload_failures(server("24.03.0"))
    assert not tells_upload_failures(server("26.9.6"))
