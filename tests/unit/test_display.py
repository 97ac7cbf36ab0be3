"""How outputs show themselves: MIME bundles for notebooks, rich in terminals."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import subprocess
import sys
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk.models._ansi import ansi_to_html, without_ansi
from backendai_sdk.models.run import (
    ExecutionResult,
    Finished,
    Html,
    InputRequest,
    Log,
    Media,
    RemoteError,
    Stderr,
    Stdout,
    StepFinished,
)

PNG = Media("image/png", b"\x89PNG")
SVG = Media("image/svg+xml", b"<svg/>")
B64 = base64.b64encode(b"\x89PNG").decode()
RED = "\x1b[0;31mZeroDivisionError\x1b[0m: division by zero"


def result(*outputs, exit_code=0, error=None):
    return ExecutionResult(status="finished", exit_code=exit_code, outputs=outputs, error=error)


@pytest.mark.parametrize(
    ("item", "bundle"),
    [
        (Stdout("a"), {"text/plain": "a"}),
        (Stderr(RED), {"text/plain": RED}),
        (Log("l"), {"text/plain": "l"}),
        (Html("<b>"), {"text/plain": "[text/html, 3 characters]\n", "text/html": "<b>"}),
        (PNG, {"text/plain": "[image/png, 4 bytes]\n", "image/png": B64}),
        (SVG, {"text/plain": "[image/svg+xml, 6 bytes]\n", "image/svg+xml": "<svg/>"}),
        (Media("text/latex", b"$x$"), {"text/plain": "[text/latex, 3 bytes]\n", "text/latex": "$x$"}),
        (
            Media("text/markdown", b"*x*"),
            {"text/plain": "[text/markdown, 3 bytes]\n", "text/markdown": "*x*"},
        ),
        (Media("text/plain", b"x"), {"text/plain": "x"}),
        (
            Media("application/json", b'{"a": 1}'),
            {"text/plain": "[application/json, 8 bytes]\n", "application/json": {"a": 1}},
        ),
        (
            Media("application/vnd.x+json", b"nonsense"),
            {"text/plain": "[application/vnd.x+json, 8 bytes]\n", "application/vnd.x+json": "nonsense"},
        ),
    ],
)
def test_one_output(item, bundle):
    assert item._repr_mimebundle_() == bundle
    # Alone it is shown as it is; what is no output does not count.
    alone = result(InputRequest(), item, StepFinished("clean", 0))
    assert alone._repr_mimebundle_() == bundle


def test_text_only_keeps_its_colours():
    assert result(Stdout("a\n"), Stderr(RED))._repr_mimebundle_() == {"text/plain": "a\n" + RED}
    assert result()._repr_mimebundle_() == {"text/plain": ""}


def test_text_and_pictures_are_one_page_in_order():
    bundle = result(
        Stdout("a <b>\n"), Stdout("c"), PNG, Html("<i>h</i>"), SVG, Stderr(RED)
    )._repr_mimebundle_()
    assert bundle["text/plain"] == (
        "a <b>\nc[image/png, 4 bytes]\n[text/html, 8 characters]\n[image/svg+xml, 6 bytes]\n" + RED
    )
    svg = base64.b64encode(b"<svg/>").decode()
    assert bundle["text/html"].split("\n") == [
        "<pre>a &lt;b&gt;",
        "c</pre>",
        f'<img alt="[image/png, 4 bytes]" src="data:image/png;base64,{B64}">',
        "<i>h</i>",
        f'<img alt="[image/svg+xml, 6 bytes]" src="data:image/svg+xml;base64,{svg}">',
        '<pre><span style="color:#c0392b">ZeroDivisionError</span>: division by zero</pre>',
    ]


def test_data_on_a_page():
    bundle = result(
        Stdout("a"),
        Media("application/json", b'{"a":"<"}'),
        Media("text/latex", b"$<$"),
        Media("text/html", b"<u>"),
    )._repr_mimebundle_()
    assert "<pre>{\n  &quot;a&quot;: &quot;&lt;&quot;\n}</pre>" in bundle["text/html"]
    assert "<pre>$&lt;$</pre>" in bundle["text/html"]
    assert bundle["text/html"].endswith("<u>")


def test_what_is_asked_for():
    both = result(Stdout("a"), PNG)
    assert both._repr_mimebundle_(include={"text/plain"}).keys() == {"text/plain"}
    assert both._repr_mimebundle_(exclude={"text/plain"}).keys() == {"text/html"}
    assert PNG._repr_mimebundle_(include=None, exclude=["image/png"]).keys() == {"text/plain"}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <&>", "plain &lt;&amp;&gt;"),
        ("\x1b[1;31mb\x1b[0mn", '<span style="font-weight:bold;color:#c0392b">b</span>n'),
        ("\x1b[31mr\x1b[39ma", '<span style="color:#c0392b">r</span>a'),
        ("\x1b[38;5;28;01mk\x1b[39;00m", '<span style="color:#008700;font-weight:bold">k</span>'),
        ("\x1b[48;2;1;2;300mx\x1b[49my", '<span style="background-color:#0102ff">x</span>y'),
        ("\x1b[38;5;241;43mx\x1b[39;49m", '<span style="color:#626262;background-color:#b07d00">x</span>'),
        ("\x1b[94mx\x1b[m", '<span style="color:#5590e8">x</span>'),
        ("\x1b[102mx", '<span style="background-color:#2fa84f">x</span>'),
        ("\x1b[38;5;9mx", '<span style="color:#e2574c">x</span>'),
        ("\x1b[3;4mx\x1b[23;24my", '<span style="font-style:italic;text-decoration:underline">x</span>y'),
        ("\x1b[2J\x1b[10;10Hx", "x"),
        ("\x1b[38;5mx\x1b[38;9;1mx\x1b[38;5;999mx", '<span style="color:#3f3f3f">xxx</span>'),
    ],
)
def test_colours(text, html):
    found = ansi_to_html(text)
    assert re.sub(r"</span><span style=\"color:#3f3f3f\">", "", found) == html


@given(st.text(st.sampled_from("\x1b[0;31m38548m<&x") | st.characters()))
def test_colours_change_no_text(text):
    shown = re.sub(r"</?span[^>]*>", "", ansi_to_html(text))
    assert unescape(shown) == without_ansi(text)


def test_a_notebook_takes_it():
    if importlib.util.find_spec("IPython") is None:
        pytest.skip("needs IPython, of the extra 'notebook'")
    # In a child: IPython is heavy, and warns of things that are not ours.
    code = (
        "from IPython.core.formatters import DisplayFormatter\n"
        "from backendai_sdk import ExecutionResult, Media, Stdout\n"
        "r = ExecutionResult(status='finished', exit_code=0, outputs=(Stdout('a'), Media('image/png', b'x')))\n"
        "data, meta = DisplayFormatter().format(r)\n"
        "print(sorted(data), meta)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['text/html', 'text/plain'] {}\n"


def test_a_terminal_with_rich():
    console_module = pytest.importorskip("rich.console", reason="needs rich, of the extra 'progress'")
    out = io.StringIO()
    console = console_module.Console(file=out, force_terminal=True, color_system="truecolor", width=60)
    error = RemoteError("ZeroDivisionError", "division by zero", RED)
    console.print(
        result(
            Stdout("a\n"),
            InputRequest(),
            PNG,
            Html("<b>"),
            Media("application/json", b'{"a": 1}'),
            Media("text/markdown", b"# Title"),
            Stderr(RED),
            exit_code=1,
            error=error,
        )
    )
    text = out.getvalue()
    assert "\x1b[0;31mZeroDivisionError" in text or "\x1b[31mZeroDivisionError" in text
    lines = [line.strip() for line in without_ansi(text).splitlines() if line.strip()]
    assert lines[:3] == ["a", "[image/png, 4 bytes]", "[text/html, 3 characters]"]
    assert '"a": 1' in lines
    assert "Title" in " ".join(lines)
    assert lines[-2:] == ["ZeroDivisionError: division by zero"] * 2
    out.truncate(0)
    console.print(result(Finished(3), exit_code=3))
    assert "exit code 3" in without_ansi(out.getvalue())


def test_rich_is_not_imported_by_us():
    code = (
        "import sys; from backendai_sdk import ExecutionResult, Stdout\n"
        "ExecutionResult(status='finished', exit_code=0, outputs=(Stdout('a'),))._repr_mimebundle_()\n"
        "print('rich' in sys.modules, 'IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
