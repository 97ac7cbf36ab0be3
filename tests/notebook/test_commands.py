"""``%backendai`` in a real kernel: what is in use, what is listed, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)


def test_sessions_are_listed(kernel: Any) -> None:
    ran = kernel.run("page = %backendai sessions\nprint([row.name for row in page])\npage")
    assert ran.stdout == "['shared']\n"
    assert "<caption>Rows 1 to 1 of 1</caption>" in ran.shown[-1]["text/html"]


def test_what_is_in_use_and_what_there_is(kernel: Any) -> None:
    text = kernel.run("%backendai").shown[0]["text/plain"]
    assert "cells run in shared" in text
    assert "%backendai use NAME" in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%backendai nonsense", "InvalidArgument: "),
        ("%backendai use", "the following arguments are required: NAME"),
        ("%backendai use no-such", "make one: %backendai use no-such --image"),
        ("%backendai use shared --image node", "SessionExists"),
        ("%backendai sessions --status nonsense", "InvalidArgument: status: "),
        ("%backendai connect no_such", "UsageError: connect: the variable 'no_such' has no Session"),
        ("%backendai connect --endpoint http://127.0.0.1:1", "ConnectError"),
        ("%backendai destroy no-such", "SessionNotFound"),
        ("%%backendai no-such\n1", "SessionNotFound"),
        ("%%backendai --out 1a\n1", "InvalidArgument: --out: '1a' is not the name of a variable"),
        ("%%backendai --nonsense\n1", "InvalidArgument: %%backendai: unrecognized arguments: --nonsense"),
        ('%%backendai "\n1', "No closing quotation"),
    ],
)
def test_mistakes_are_said_in_a_sentence(kernel: Any, line: str, said: str) -> None:
    error = kernel.run(line).error
    assert said in error
    assert "Traceback" not in error
    assert "cells run in shared" in kernel.run("%backendai").shown[0]["text/plain"], "it changes nothing"


def test_sessions_of_ones_own(kernel: Any, api: Session) -> None:
    ran = kernel.run("import backendai_sdk\nown = backendai_sdk.Session()\n%backendai connect own")
    assert "connected to http" in ran.shown[0]["text/plain"]
    assert "no session is in use" in kernel.run("%backendai").shown[0]["text/plain"]
    assert "there is no session yet" in kernel.run("%%backendai\n1").error
    ran = kernel.run("handle = own.get('shared')\n%backendai use shared")
    assert not ran.error
    assert kernel.run("%%backendai handle\nprint('by variable')").stdout == "by variable\n"
    # What the magics have not opened, they do not close.
    kernel.run("%unload_ext backendai_sdk.notebook\n%reload_ext backendai_sdk.notebook\n%backendai connect")
    assert kernel.run("print(own.get('shared').name); own.close()").stdout == "shared\n"
    assert not kernel.run("%backendai use shared").error


@pytest.mark.parametrize(
    ("code", "fragment", "matches"),
    [
        ("%backendai us", "us", ["use"]),
        ("%backendai use sh", "sh", ["shared"]),
        ("page = %backendai ses", "ses", ["sessions"]),
        ("%backendai use shared --im", "--im", ["--image"]),
        ("%%backendai sh", "sh", ["shared"]),
        ("%%backendai --o", "--o", ["--out"]),
        ("%%backendai --transport w", "w", ["websocket"]),
        ("%%backendai --in here_on", "here_on", ["here_only"]),
        ("%%backendai --in a,here_on", "here_on", ["here_only"]),
        ("%%backendai --out there_on", "there_on", ["there_only"]),
        ("%%backendai\nx = there_on", "there_on", ["there_only"]),
        ("%%backendai shared --out b\ny = 1\nthere_only.isal", "there_only.isal", ["there_only.isalnum"]),
        ("%%backendai no-such\nthere_on", "there_on", []),
    ],
)
def test_completion(kernel: Any, code: str, fragment: str, matches: list[str]) -> None:
    kernel.run("here_only = 1")
    kernel.run("%%backendai\nthere_only = ''")
    found, texts = kernel.complete(code)
    assert texts[: len(matches)] == matches
    if matches:
        assert found == fragment
        assert "here_only" not in texts or matches == ["here_only"]
    else:
        assert "there_only" not in texts
