"""Paths in a session: cleaned, kept inside the work folder, and sayable in an upload."""

from __future__ import annotations

import glob
import posixpath
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.paths import has_magic, many, matches, path_matches, remote_path, upload_name
from backendai_sdk.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given_path", "clean"),
    [
        ("a", "a"),
        ("./a//b/", "a/b"),
        ("a/../b", "b"),
        (".", "."),
        ("/home/work", "."),
        ("/home/work/a/b", "a/b"),
        (PurePosixPath("a/b"), "a/b"),
        (PureWindowsPath("a\\b"), "a/b"),
        ("a b/ü%.txt", "a b/ü%.txt"),
        ("..a", "..a"),
    ],
)
def test_clean(given_path, clean):
    assert remote_path(given_path, argument="path") == clean
    assert upload_name(given_path, argument="path") == clean


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("..", "leaves"),
        ("a/../../b", "leaves"),
        ("/etc/passwd", "outside"),
        ("/home/workers/x", "outside"),
        ("/home/work/../x", "leaves"),
        ("", "not the name"),
        ("a\0b", "not the name"),
        ("\udc80", "Unicode"),
        ("x" * 5000, "too long"),
        (7, "not a path"),
        (None, "not iterable"),
    ],
)
def test_refused(bad, said):
    with pytest.raises((InvalidArgument, TypeError), match=said):
        remote_path(bad, argument="path") if bad is not None else many(bad, argument="path")


@pytest.mark.parametrize("bad", ['a"b', "a\\b", "a\nb", "a\tb", "a\x7fb", "a;b;c"])
def test_names_that_servers_read_otherwise(bad):
    assert remote_path(bad, argument="path") == bad  # it may be downloaded
    with pytest.raises(InvalidArgument, match="servers do not take") as caught:
        upload_name(bad, argument="to")
    assert caught.value.argument == "to"


@given(st.text(st.sampled_from("ab./"), min_size=1, max_size=30))
def test_what_is_accepted_stays_inside(text):
    try:
        clean = remote_path(text, argument="path")
    except InvalidArgument:
        return
    there = posixpath.normpath(posixpath.join("/home/work", clean))
    assert there == "/home/work" or there.startswith("/home/work/")
    assert remote_path(clean, argument="path") == clean


def test_patterns():
    assert has_magic("*.py") and has_magic("a?") and has_magic("[ab]") and not has_magic("a.py")
    assert matches("a.py", "*.py") and not matches(".a.py", "*.py") and matches(".a.py", ".*")
    assert not matches("A.py", "a*")
    assert many(["a", Path("b")], argument="paths") == ["a", Path("b")]


@pytest.mark.parametrize(
    "pattern", ["**", "**/*.py", "a/**", "a/**/c.py", "*/*", "a/*/c.py", "**/b/**", ".h/*", "**/.h/*"]
)
def test_patterns_mean_what_they_mean_on_disk(tmp_path, pattern):
    """As glob finds them, the folder itself left out."""
    files = ["a/b/c.py", "a/b/d.txt", "a/c.py", "x.py", ".h/y.py", "a/.h/z.py", "b/b/b"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    every = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")]
    found = {path for path in every if path_matches(path.split("/"), pattern.split("/"))}
    wanted = {posixpath.normpath(path) for path in glob.glob(pattern, root_dir=tmp_path, recursive=True)} - {
        "."
    }
    # glob takes a folder itself for what is in it: "a/**" finds "a/".
    assert found - wanted == set()
    assert wanted - found <= {"a", "b", "a/b", "b/b"}
    assert found
