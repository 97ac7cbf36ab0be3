"""A picture from remote code: a figure of matplotlib where it is installed, an SVG drawn by hand otherwise.

Run it with ``python examples/plot.py``; it saves ``plot.png`` or ``plot.svg`` in the current folder.  On a real
cluster, write ``Session()`` instead of ``Session.local()``.
"""

from pathlib import Path

from backendai_sdk import Media, Session

CODE = """
import math
values = [math.sin(x / 10) for x in range(100)]
try:
    import matplotlib.pyplot as plt
except ImportError:
    class Drawing:
        def _repr_svg_(self):
            points = " ".join(f"{x},{50 - 40 * y:.1f}" for x, y in enumerate(values))
            line = f'<polyline points="{points}" fill="none" stroke="teal"/>'
            return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{line}</svg>'
    display(Drawing())
else:
    plt.plot(values)
    plt.show()
"""


def main() -> None:
    with Session.local() as api, api.create("python:3.11", resources="cpu=1 mem=2g") as cs:
        result = cs.execute(CODE, check=True)
        for item in result.outputs:
            if isinstance(item, Media):
                file = Path("plot").with_suffix(".svg" if "svg" in item.mime else ".png")
                file.write_bytes(item.data)
                print(f"saved {file}: {item.mime}, {len(item.data)} bytes")
        # In a notebook, `result` as the last line of a cell shows the picture itself.


if __name__ == "__main__":
    main()
