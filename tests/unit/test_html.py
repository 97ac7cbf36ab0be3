"""Tables in which values show themselves in notebooks: complete, escaped, and readable by machines that read aloud."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk.enums import SessionStatus
from backendai_sdk.models._html import rows_table, value_table
from backendai_sdk.models.image import ImageInfo
from backendai_sdk.models.page import Page
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.slots import ResourceSlots

# What XML 1.0 has no way to write, and a browser shows as nothing.
written = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
INFO = SessionInfo(
    id="u",
    name="train",
    status=SessionStatus.RUNNING,
    tag=None,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    occupying_slots=ResourceSlots("cpu=2 mem=1g"),
    agent_ids=("i-1", "i-2"),
)


def cells(html: str) -> list[list[str]]:
    """The rows of a table; it is well-formed, has a caption, and its headers say what they head."""
    table = ET.fromstring(html)
    assert [child.tag for child in table] in (["caption", "tbody"], ["caption", "thead", "tbody"])
    heads = [(head.get("scope"), head) for head in table.iter("th")]
    assert {scope for scope, _ in heads} <= {"row", "col"}
    assert not [e for e in table.iter() if e.get("style") or e.get("bgcolor")], "colours are the theme's"
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def caption(html: str) -> str:
    return ET.fromstring(html).findtext("caption") or ""


def test_a_row_shows_its_fields():
    html = INFO._repr_html_()
    assert caption(html) == "Session train"
    assert cells(html) == [
        ["id", "u"],
        ["tag", ""],
        ["name", "train"],
        ["agent_ids", "i-1, i-2"],
        ["status", "RUNNING"],
        ["created_at", "2026-01-02 03:04:05+00:00"],
        ["occupying_slots", "cpu=2 mem=1g"],
    ]
    assert caption(SessionInfo(id="u")._repr_html_()) == "Session u"
    assert caption(SessionInfo(tag="t")._repr_html_()) == "Session"


def test_what_the_server_did_not_tell_is_shown_too():
    html = SessionInfo(name="x", extra={"new": 1}, errors={"tag": "no"})._repr_html_()
    assert cells(html)[1:] == [["extra", "{'new': 1}"], ["errors", "{'tag': 'no'}"]]


def test_a_page_shows_the_columns_that_any_row_has():
    rows = (SessionInfo(name="a", image="i"), SessionInfo(name="b", tag="<t>"))
    html = Page(items=rows, total_count=7, offset=2)._repr_html_()
    assert caption(html) == "Rows 3 to 4 of 7"
    assert cells(html) == [["name", "image", "tag"], ["a", "i", ""], ["b", "", "<t>"]]
    assert [h.get("scope") for h in ET.fromstring(html).iter("th")] == ["col"] * 3


@pytest.mark.parametrize(
    ("page", "said", "rows"),
    [
        (Page(items=(), total_count=0), "No rows here, 0 in all", []),
        (Page(items=(), total_count=5, offset=10), "No rows here, 5 in all", []),
        (Page(items=(1, "<b>"), total_count=2), "Rows 1 to 2 of 2", [["value"], ["1"], ["<b>"]]),
    ],
)
def test_other_pages(page, said, rows):
    assert caption(page._repr_html_()) == said
    assert cells(page._repr_html_()) == rows


def test_resources():
    html = ResourceSlots("cpu=2 mem=1g cuda.shares=0.5")._repr_html_()
    assert cells(html) == [["cpu", "2"], ["mem", "1g"], ["cuda.shares", "0.5"]]


def test_images():
    least = ResourceSlots("cpu=1 mem=256m")
    image = ImageInfo(reference="r/<i>:t", aliases=("i", "i:t"), min_resources=least, labels={"role": "<b>"})
    shown = cells(image._repr_html_())
    assert caption(image._repr_html_()) == "Image r/<i>:t"
    assert shown == [
        ["reference", "r/<i>:t"],
        ["aliases", "i, i:t"],
        ["min_resources", "cpu=1 mem=256m"],
        ["labels[role]", "<b>"],
    ]
    head, row = cells(Page(items=(image,), total_count=1)._repr_html_())
    assert "labels" not in head, "they would fill the table"
    assert dict(zip(head, row, strict=True))["min_resources"] == "cpu=1 mem=256m"


@given(written, written, written)
def test_any_text_comes_out_as_it_was(name, key, value):
    html = value_table(name, [(key, value)])
    assert (caption(html), cells(html)) == (name, [[key, value]])
    assert cells(rows_table(name, [value])) == [["value"], [value]]
