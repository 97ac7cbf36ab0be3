"""The values that show themselves: each has a table or a picture for the notebook, and a text for whoever has no HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def ready(shared_kernel: Any) -> Iterator[Any]:
    ran = shared_kernel.run(
        "from backendai_sdk import AsyncSession, Media, Page, ResourceSlots, Session\n"
        "api, aapi = Session(), AsyncSession()\n"
        "cs = api.get('shared')\n"
        "drawn = cs.execute('class D:\\n    def _repr_svg_(self): return \"<svg/>\"\\nprint(1)\\nD()')"
    )
    assert not ran.error
    yield shared_kernel
    shared_kernel.run("api.close(); await aapi.close()")


@pytest.mark.parametrize(
    ("value", "mime", "shown", "text"),
    [
        ("cs", "text/html", "<caption>Session shared</caption>", "<ComputeSession shared RUNNING"),
        (
            "await aapi.get('shared')",
            "text/html",
            "<caption>Session shared</caption>",
            "<AsyncComputeSession shared RUNNING",
        ),
        ("cs.info", "text/html", "<caption>Session shared</caption>", "SessionInfo(id="),
        ("api.list().first_page()", "text/html", "<caption>Rows 1 to 1 of 1</caption>", "Page(items=("),
        ("await aapi.list()", "text/html", "<caption>Rows 1", "Page(items=("),
        ("ResourceSlots('cpu=1 mem=1g')", "text/html", "<caption>Resources", "ResourceSlots('cpu=1 mem=1g')"),
        ("cs.refresh().occupying_slots", "text/html", "<caption>Resources", "ResourceSlots('cpu=1 mem=1g"),
        ("cs.explain()", "text/html", "<p>shared is RUNNING", "shared"),
        ("drawn", "text/html", "data:image/svg+xml;base64,", "1\n[image/svg+xml, 6 bytes]"),
        (
            "next(item for item in drawn.outputs if isinstance(item, Media))",
            "image/svg+xml",
            "<svg/>",
            "[image/svg+xml, 6 bytes]",
        ),
        ("cs.execute('print(2)')", "text/plain", "2", "2"),
    ],
)
def test_a_last_value_is_shown(ready: Any, value: str, mime: str, shown: str, text: str) -> None:
    ran = ready.run(value)
    assert not ran.error
    (bundle,) = [c["data"] for c in ran.of("execute_result")]
    assert shown in bundle[mime]
    assert text in bundle["text/plain"]
