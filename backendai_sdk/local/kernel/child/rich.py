"""What a value shows itself as: pictures, tables and formulas if it can, its repr otherwise."""

from __future__ import annotations

import base64
import inspect
import io
import json
import sys
from collections.abc import Mapping
from typing import Any

# What notebooks ask a value for, in the order in which it is shown.
_METHODS = {
    "_repr_html_": "text/html",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_svg_": "image/svg+xml",
    "_repr_latex_": "text/latex",
    "_repr_markdown_": "text/markdown",
    "_repr_json_": "application/json",
}


def records(value: object) -> list[tuple[str, Any]]:
    """The console records for a value. A method that fails or returns None does not count."""
    if inspect.isclass(value):  # its methods are for its instances
        return [("stdout", repr(value))]
    bundle = _call(value, "_repr_mimebundle_")
    found = dict(bundle) if isinstance(bundle, Mapping) else {}
    for method, mime in _METHODS.items():
        if mime not in found and (data := _call(value, method)) is not None:
            found[mime] = data
    if not found and (picture := _figure(value)) is not None:
        found["image/png"] = picture
    text = found.pop("text/plain", None)
    shown = [record for mime, data in found.items() if (record := _record(str(mime), data)) is not None]
    return shown or [("stdout", text if isinstance(text, str) else repr(value))]


def _record(mime: str, data: object) -> tuple[str, Any] | None:
    """A form of a value as it travels: pictures as `data:` URLs, SVG and other text as it is."""
    if mime == "text/html":
        return ("html", data) if isinstance(data, str) else None
    if isinstance(data, bytes) and mime.startswith("text/"):
        data = data.decode("utf-8", "replace")
    if mime == "image/svg+xml" or mime.startswith("text/"):
        return ("media", [mime, data]) if isinstance(data, str) else None
    if mime == "application/json" or mime.endswith("+json"):
        try:
            return "media", [mime, data if isinstance(data, str) else json.dumps(data)]
        except (TypeError, ValueError):
            return None
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    return ("media", [mime, f"data:{mime};base64,{data}"]) if isinstance(data, str) else None


def _figure(value: Any) -> bytes | None:
    """A figure of matplotlib as a picture: it has no method for that, notebooks know how."""
    module = sys.modules.get("matplotlib.figure")
    kind = getattr(module, "Figure", None)
    if kind is None or not isinstance(value, kind):
        return None
    picture = io.BytesIO()
    try:
        value.savefig(picture, format="png", bbox_inches="tight")
    except Exception:  # noqa: BLE001 - the user's drawing; its repr is shown instead
        return None
    return picture.getvalue()


def _call(value: object, name: str) -> object:
    try:
        method = getattr(value, name, None)
        result: object = method() if callable(method) else None
    except Exception:  # noqa: BLE001 - the user's code; the next best form is shown instead
        return None
    # Some return the data together with its metadata.
    return result[0] if isinstance(result, tuple) and result else result
