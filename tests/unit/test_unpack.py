"""Tars unpacked safely: what a well-meant one gives, and what every kind of bad one is refused with."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backendai_sdk._disk.target import Target, check_free
from backendai_sdk._disk.unpack import (
    MAX_SPOOL,
    FileSink,
    FolderSink,
    MemorySink,
    PieceSink,
    Spool,
    Taken,
    make_link,
)
from backendai_sdk.errors import FileExists, FileTransferError


def tar(*members, trailing=b""):
    """``(name, content)`` for a file, or a TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                info.mode = 0o755
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue() + trailing


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def unpack(sink, content):
    spool = Spool()
    try:
        spool.write(content, path=sink.path)
        return spool.unpack(sink)
    finally:
        spool.close()


@pytest.fixture
def folder(tmp_path):
    """A sink for the folder ``d``, and a neighbour that must stay as it is."""
    (tmp_path / "neighbour").write_text("untouched")
    yield FolderSink(path="d", target=str(tmp_path / "out"), overwrite=True)
    assert (tmp_path / "neighbour").read_text() == "untouched"
    assert set(os.listdir(tmp_path)) <= {"neighbour", "out"}


def test_a_folder(folder, tmp_path):
    content = tar(
        special("d/", tarfile.DIRTYPE),
        ("d/a.sh", b"1"),
        special("d/empty/", tarfile.DIRTYPE),
        ("d/b/c/ü", b"22"),
        special("d/b/l", tarfile.SYMTYPE, "../a.sh"),
        special("d/b/h", tarfile.LNKTYPE, "d/a.sh"),
    )
    assert unpack(folder, content) == Taken(files=4, bytes=3, links=(("b/l", "../a.sh"), ("b/h", "../a.sh")))
    out = tmp_path / "out"
    assert (out / "b/c/ü").read_bytes() == b"22"
    assert (out / "empty").is_dir()
    assert stat.S_IMODE((out / "a.sh").stat().st_mode) & 0o111
    assert not [name for _, _, names in os.walk(out) for name in names if "backendai" in name]


@pytest.mark.parametrize(
    "member",
    [
        ("/etc/x", b""),
        ("d/../../x", b""),
        ("../x", b""),
        special("d/dev", tarfile.CHRTYPE),
        special("d/dev", tarfile.BLKTYPE),
        special("d/fifo", tarfile.FIFOTYPE),
        special("d/strange", b"?"),
        ("d", b"a file in the folder's own place"),
    ],
    ids=lambda member: getattr(member, "name", None) or member[0],
)
def test_what_does_not_belong_there_is_refused(folder, member):
    with pytest.raises(FileTransferError):
        unpack(folder, tar(member))


@given(st.lists(st.text(st.sampled_from("ab./\\"), min_size=1, max_size=12), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_name_leads_out(folder, names):
    with contextlib.suppress(FileTransferError):
        unpack(folder, tar(*((name, b"x") for name in names)))


def test_bombs(folder):
    sparse = tarfile.TarInfo("d/sparse")
    sparse.size = 1 << 40
    header = sparse.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(FileTransferError, match="more than it holds"):
        unpack(folder, header + bytes(1024))
    pax = tarfile.TarInfo("d/pax")
    pax.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,0"}
    with pytest.raises(FileTransferError):
        unpack(folder, pax.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    with pytest.raises(FileTransferError, match="more than the 1 MiB"):
        unpack(folder, bytes(MAX_SPOOL + 1))
    import gzip

    with pytest.raises(FileTransferError, match="not a tar"):
        unpack(folder, gzip.compress(tar(("d/a", bytes(100)))))


@pytest.mark.parametrize("content", [b"", b"x" * 600, bytes(5), b"\xff" * 2048])
def test_no_tar(folder, content, tmp_path):
    sink = FileSink(path="f", target=str(tmp_path / "out/f"), overwrite=True)
    with pytest.raises(FileTransferError):
        unpack(sink, content)


def test_a_cut_tar_leaves_nothing(tmp_path):
    sink = FileSink(path="f", target=str(tmp_path / "f"), overwrite=True)
    (tmp_path / "f").write_text("good")
    with pytest.raises(FileTransferError, match="ends too early|not a tar"):
        unpack(sink, tar(("f", bytes(5000)))[:2000])
    assert (tmp_path / "f").read_text() == "good"
    assert os.listdir(tmp_path) == ["f"]


def test_a_file(tmp_path):
    sink = FileSink(path="x/f", target=str(tmp_path / "sub/g"), overwrite=False)
    assert unpack(sink, tar(("f", b"123"))) == Taken(files=1, bytes=3)
    assert (tmp_path / "sub/g").read_bytes() == b"123"
    with pytest.raises(FileExists) as caught:
        unpack(sink, tar(("f", b"4")))
    assert isinstance(caught.value, FileExistsError)
    assert (tmp_path / "sub/g").read_bytes() == b"123"
    again = FileSink(path="x/f", target=str(tmp_path / "sub/g"), overwrite=True)
    unpack(again, tar(("f", b"4")))
    assert (tmp_path / "sub/g").read_bytes() == b"4"
    link = unpack(again, tar(special("f", tarfile.SYMTYPE, "other")))
    assert link.links == (("f", "other"),)
    with pytest.raises(FileTransferError, match="is a folder"):
        unpack(again, tar(special("f/", tarfile.DIRTYPE)))
    assert os.listdir(tmp_path / "sub") == ["g"]


def test_pieces_in_any_order(tmp_path):
    first, second = b"a" * 1000, b"b" * 500
    path = tmp_path / "whole"
    with Target(str(path), overwrite=False) as target:
        for offset, data in ((1000, second), (0, first)):
            digest = hashlib.sha256(data).hexdigest()
            sink = PieceSink(path="p", target=target, offset=offset, size=len(data), digest=digest)
            assert unpack(sink, tar(("p", data))) == Taken(bytes=len(data))
        assert not path.exists()
        with pytest.raises(FileTransferError, match="damaged"):
            unpack(sink, tar(("p", b"a" * 999 + b"x")))
        with pytest.raises(FileTransferError, match="damaged"):
            unpack(sink, tar(("p", b"a" * 2000)))
        unpack(sink, tar(("p", first)))
    assert path.read_bytes() == first + second
    memory = bytearray(3)
    digest = hashlib.sha256(b"xy").hexdigest()
    sink = MemorySink(path="p", target=memory, offset=1, size=2, digest=digest)
    unpack(sink, tar(("p", b"xy")))
    assert memory == b"\0xy"
    with pytest.raises(FileTransferError, match="damaged"):
        unpack(sink, tar(("p", b"xz")))


# --- links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points_at", ["/etc/passwd", "..", "../x", "a/../../x", "../../../../etc"])
def test_links_that_lead_out(tmp_path, points_at):
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(FileTransferError, match="outside"):
        make_link(str(root), "l", points_at, overwrite=False)
    assert os.listdir(root) == []


def test_links_that_stay_inside(tmp_path):
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "f").write_text("1")
    make_link(str(root), "d/l", "../f", overwrite=False)
    make_link(str(root), "new/dangling", "nowhere", overwrite=False)
    assert (root / "d/l").read_text() == "1"
    with pytest.raises(FileExists):
        make_link(str(root), "d/l", "../f", overwrite=False)
    make_link(str(root), "d/l", "nothing", overwrite=True)
    assert os.readlink(root / "d/l") == "nothing"
    with pytest.raises(FileTransferError, match="is a folder"):
        make_link(str(root), "d", "f", overwrite=True)


def test_a_link_out_through_another_link(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    make_link(str(root), "b", ".", overwrite=False)
    with pytest.raises(FileTransferError, match="outside"):
        make_link(str(root), "a", "b/b/../..", overwrite=False)
    with pytest.raises(FileTransferError, match="outside"):
        make_link(str(root), "c", "b/..", overwrite=False)  # looks as if it stayed
    assert os.listdir(root) == ["b"]


# --- targets --------------------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("good")

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(FileTransferError, match="No space left") as caught:
        with Target(str(path), overwrite=True) as target:
            target.write(b"x", 0)
            monkeypatch.setattr(os, "write", full)
            target.write(b"y", 1)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == 28
    assert path.read_text() == "good"
    assert os.listdir(tmp_path) == ["f"]


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileTransferError, match="cannot be written"):
        Target(str(tmp_path / "file/below"), overwrite=True).open()
    with pytest.raises(FileTransferError, match="is a folder"):
        check_free(str(tmp_path), overwrite=True)
    (tmp_path / "late").mkdir()
    with pytest.raises(FileTransferError, match="is a folder"):
        with Target(str(tmp_path / "late"), overwrite=True) as target:
            target.write(b"x", 0)
    assert sorted(os.listdir(tmp_path)) == ["file", "late"]


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "f"
    with pytest.raises(FileExists):
        with Target(str(path), overwrite=False) as target:
            target.write(b"x", 0)
            path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["f"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    with Target(str(tmp_path / ("n" * 255)), overwrite=False) as target:
        target.write(b"x", 0)
    assert os.listdir(tmp_path) == ["n" * 255]


def test_writing_after_giving_up_is_no_harm(tmp_path):
    target = Target(str(tmp_path / "f"), overwrite=False)
    target.open()
    target.discard()
    with pytest.raises(FileTransferError):
        target.write(b"x", 0)
    target.discard()
    assert os.listdir(tmp_path) == []
