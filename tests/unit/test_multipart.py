"""The body of an upload: what a foreign parser reads in it, its length, its blocks."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.multipart import BLOCK, Form
from backendai_sdk._wire.request import FilePart

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\;', exclude_categories=("Cc", "Cs")), min_size=1
)


def parsed(form: Form, body: bytes) -> list[bytes]:
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return [part.get_payload(decode=True) for part in message.iter_parts()]


@given(
    st.lists(
        st.binary(max_size=300).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"")),
        min_size=1,
        max_size=20,
    )
)
def test_a_foreign_parser_reads_the_parts(contents):
    form = Form([FilePart(filename=f"f{i}", data=data) for i, data in enumerate(contents)])
    body = b"".join(form.blocks())
    assert len(body) == form.size
    assert parsed(form, body) == contents


@given(NAMES)
def test_names_are_written_as_they_are(name):
    body = b"".join(Form([FilePart(filename=name, data=b"")]).blocks())
    assert f'; name="src"; filename="{name}"\r\n'.encode() in body


@given(st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=5))
def test_blocks_are_small_and_none_is_empty(sizes):
    form = Form([FilePart(filename="f", data=bytes(size)) for size in sizes], boundary="b")
    lengths = [len(block) for block in form.blocks()]
    assert sum(lengths) == form.size
    assert all(0 < length <= max(BLOCK, *sizes) for length in lengths)
    # An empty block would end the body.
    assert 0 not in lengths


def test_the_bytes():
    form = Form([FilePart(filename="a b/ü.txt", data=b"x")], boundary="bound")
    assert form.content_type == "multipart/form-data; boundary=bound"
    assert b"".join(form.blocks()) == (
        b'--bound\r\nContent-Disposition: form-data; name="src"; filename="a b/\xc3\xbc.txt"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\nx\r\n--bound--\r\n"
    )
