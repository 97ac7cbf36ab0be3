"""Rich output: what values show themselves as, and figures of matplotlib."""

from __future__ import annotations

import base64
import importlib.util
import textwrap

import pytest

from backendai_sdk.local.kernel import Kernel

PNG = "data:image/png;base64," + base64.b64encode(b"png").decode()


@pytest.fixture
async def kernel(tmp_path):
    made = Kernel(work_dir=tmp_path / "work")
    yield made
    await made.close()


async def console(kernel, code):
    """All records of one run."""
    result = await kernel.execute("r", "query", textwrap.dedent(code), None)
    records = result["console"]
    while result["status"] != "finished":
        result = await kernel.execute("r", "continue", "", None)
        records += result["console"]
    return records


@pytest.mark.parametrize(
    ("methods", "records"),
    [
        ("def _repr_latex_(self): return '$x$'", [["media", ["text/latex", "$x$"]]]),
        ("def _repr_markdown_(self): return '*x*'", [["media", ["text/markdown", "*x*"]]]),
        ("def _repr_json_(self): return {'a': [1]}", [["media", ["application/json", '{"a": [1]}']]]),
        ("def _repr_json_(self): return object()", [["stdout", "plain"]]),
        ("def _repr_jpeg_(self): return b'png'", [["media", ["image/jpeg", PNG.replace("png;", "jpeg;")]]]),
        (
            "def _repr_mimebundle_(self): return {'text/plain': 'p', 'image/png': b'png', 'text/html': '<b>'}",
            [["media", ["image/png", PNG]], ["html", "<b>"]],
        ),
        (
            ("def _repr_mimebundle_(self): return {'image/png': b'png'}, {'image/png': {'width': 5}}\n"
            "    def _repr_png_(self): raise AssertionError('is in the bundle')"),
            [["media", ["image/png", PNG]]],
        ),
        ("def _repr_mimebundle_(self): return {'text/plain': 'bundled'}", [["stdout", "bundled"]]),
        ("def _repr_mimebundle_(self): return {'text/x': b'\\xe9', 'y/z': 5}", [["media", ["text/x", "\ufffd"]]]),
        ("def _repr_mimebundle_(self): raise ValueError\n    def _repr_svg_(self): return '<svg/>'",
         [["media", ["image/svg+xml", "<svg/>"]]]),
    ],
)  # fmt: skip
async def test_forms_of_a_value(kernel, methods, records):
    code = f"class V:\n    def __repr__(self): return 'plain'\n    {methods}\nV()"
    assert await console(kernel, code) == records


FAKE = {
    "__init__.py": "rcParams = {'backend': 'agg'}\n",
    "figure.py": (
        "class Figure:\n"
        "    def __init__(self, name): self.name = name\n"
        "    def savefig(self, file, format, bbox_inches): file.write(self.name.encode())\n"
    ),
    "pyplot.py": (
        "import importlib, matplotlib\nfrom matplotlib.figure import Figure\nfigures = {}\n"
        "def get_backend(): return matplotlib.rcParams['backend']\n"
        "def figure(n):\n"
        "    module = get_backend()\n"
        "    if module.startswith('module://'): importlib.import_module(module[9:]).FigureCanvas\n"
        "    return figures.setdefault(n, Figure(n))\n"
        "def get_fignums(): return list(figures)\n"
        "def close(which): figures.clear()\n"
        "def show(): importlib.import_module(get_backend()[9:]).show()\n"
    ),
    "backends/__init__.py": "",
    "backends/backend_agg.py": "class FigureCanvasAgg: pass\n",
}


@pytest.fixture
async def fake(kernel, tmp_path):
    """A matplotlib that only has what is used of it."""
    for name, text in FAKE.items():
        file = tmp_path / "work/matplotlib" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return kernel


def picture(name):
    return ["media", ["image/png", "data:image/png;base64," + base64.b64encode(name.encode()).decode()]]


async def test_figures_are_shown_when_asked_for_and_at_the_end(fake):
    code = """
        import matplotlib.pyplot as plt
        plt.figure("one")
        plt.show()
        print("between")
        plt.figure("two");
    """
    assert await console(fake, code) == [picture("one"), ["stdout", "between\n"], picture("two")]
    assert await console(fake, "1 + 1") == [["stdout", "2"]]
    assert await console(fake, "plt.figures") == [["stdout", "{}"]]


async def test_a_figure_as_a_value(fake):
    code = "from matplotlib.figure import Figure\nFigure('it')"
    assert await console(fake, code) == [picture("it")]
    code = "f = Figure('x')\nf.savefig = lambda *a, **k: 1 / 0\nf.__class__.__repr__ = lambda s: 'fig'\nf"
    assert await console(fake, code) == [["stdout", "fig"]]


async def test_figures_are_shown_although_the_code_fails(fake):
    records = await console(fake, "import matplotlib.pyplot as plt\nplt.figure('one')\n1 / 0")
    assert records[0] == picture("one")
    assert records[1][0] == "stderr"


@pytest.mark.parametrize(
    "choice",
    ["matplotlib.rcParams['backend'] = 'svg'", "import os; os.environ['MPLBACKEND'] = 'svg'"],
)
async def test_another_backend_is_left_alone(fake, choice):
    code = f"{'' if 'os' in choice else 'import matplotlib; '}{choice}\nimport matplotlib.pyplot as plt\n"
    assert await console(fake, code + "plt.figure('one');") == []
    assert await console(fake, "len(plt.figures)") == [["stdout", "1"]]


async def test_programs_that_the_code_starts_know_nothing_of_it(fake):
    code = "import os, matplotlib\nprint('MPLBACKEND' in os.environ, matplotlib.rcParams['backend'])"
    assert await console(fake, code) == [["stdout", "False module://backendai_figures\n"]]


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
@pytest.mark.timeout(120)
async def test_figures_of_the_real_matplotlib(kernel):
    records = await console(
        kernel, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('end')"
    )
    (kind, (mime, data)), last = records
    assert (kind, mime, last) == ("media", "image/png", ["stdout", "end\n"])
    assert base64.b64decode(data.partition(",")[2]).startswith(b"\x89PNG")
    records = await console(kernel, "fig, ax = plt.subplots()\nplt.close(fig)\nfig")
    assert [r[0] for r in records] == ["media"]
