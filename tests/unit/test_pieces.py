"""Plans that keep the servers' limits."""

from __future__ import annotations

import io
import tarfile
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.pieces import (
    MAX_BYTES,
    MAX_PARTS,
    MAX_PATHS,
    PIECE,
    batches,
    downloads,
    piece_sizes,
    tar_size,
)

MIB = 1 << 20


@given(st.integers(0, 5000), st.integers(1, 700))
def test_pieces_cover_a_file(size, piece):
    end = 0
    for offset, length in piece_sizes(size, piece):
        assert offset == end
        assert 0 < length <= piece
        end += length
    assert end == size


@given(st.lists(st.integers(0, MIB - 1), max_size=100))
def test_batches_are_full_and_within_the_limits(sizes):
    found = list(batches(sizes, lambda size: size))
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert 1 <= len(batch) <= MAX_PARTS
        assert sum(batch) <= MAX_BYTES
    for batch, following in pairwise(found):
        assert len(batch) == MAX_PARTS or sum(batch) + following[0] > MAX_BYTES


def test_twenty_small_files_a_request():
    assert [len(b) for b in batches([1] * 45, lambda size: size)] == [20, 20, 5]
    assert [len(b) for b in batches([PIECE] * 20, lambda size: size)] == [8, 8, 4]


@given(st.lists(st.text(min_size=1, max_size=400), max_size=30))
def test_download_requests_fit_into_a_request_line(paths):
    found = list(downloads(paths, str))
    assert [p for batch in found for p in batch] == paths
    from backendai_sdk._wire.request import query_string

    for batch in found:
        assert 1 <= len(batch) <= MAX_PATHS
        assert len(query_string({"files": batch})) < 8190 - 200


def test_a_piece_fits_into_a_tar_of_one_mebibyte():
    assert PIECE < MIB
    assert tar_size([("p" * 99, PIECE)]) <= MIB


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=150),
            st.integers(0, 5000),
        ),
        max_size=10,
    )
)
def test_the_size_of_a_tar_is_not_underestimated(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, size in files:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
        end = archive.offset + 1024
    assert tar_size(files) >= end
