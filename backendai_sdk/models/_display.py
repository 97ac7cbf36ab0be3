"""How outputs of runs show themselves: as MIME bundles in notebooks, through ``rich`` in terminals.

A notebook shows one of a bundle's forms.  So what is only text, or only one picture, is given as it is; what mixes
both is given as one page of HTML, besides its text.  HTML is shown as the remote code made it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backendai_sdk.models._ansi import ansi_to_html

if TYPE_CHECKING:
    from backendai_sdk.models.run import ExecutionResult, Media, RunItem

__all__ = ["Bundle", "bundle_of_item", "bundle_of_result", "chosen", "renderables"]

Bundle = dict[str, Any]

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml")


def chosen(bundle: Bundle, include: object, exclude: object) -> Bundle:
    """The forms that IPython asks for."""
    wanted = include if isinstance(include, set | list | tuple) else ()
    unwanted = exclude if isinstance(exclude, set | list | tuple) else ()
    return {
        mime: data for mime, data in bundle.items() if (not wanted or mime in wanted) and mime not in unwanted
    }


def bundle_of_item(item: RunItem) -> Bundle:
    """The forms of one output."""
    from backendai_sdk.models.run import Html, Media

    plain = _plain(item)
    if isinstance(item, Html):
        return {"text/plain": plain, "text/html": item.text}
    if isinstance(item, Media):
        return {"text/plain": plain} | {item.mime: _native(item)}
    return {"text/plain": plain}


def bundle_of_result(result: ExecutionResult) -> Bundle:
    """The forms of everything that a run has written."""
    from backendai_sdk.models.run import Html, Media

    shown = [item for item in result.outputs if _plain(item)]
    pictures = [item for item in shown if isinstance(item, Html | Media)]
    if len(shown) == len(pictures) == 1:
        return bundle_of_item(shown[0])
    bundle: Bundle = {"text/plain": "".join(_plain(item) for item in shown)}
    if pictures:
        bundle["text/html"] = "\n".join(_pieces(shown))
    return bundle


def _plain(item: RunItem) -> str:
    """What a terminal shows of an output; nothing for what is no output."""
    from backendai_sdk.models.run import Html, Log, Media, Stderr, Stdout

    match item:
        case Stdout(text) | Stderr(text) | Log(text):
            return text
        case Html(text):
            return f"[text/html, {len(text)} characters]\n"
        case Media("text/plain", data):
            return data.decode("utf-8", "replace")
        case Media(mime, data):
            return f"[{mime}, {len(data)} bytes]\n"
    return ""


def _native(item: Media) -> object:
    """The data as notebooks want it: text, decoded JSON, or Base64."""
    if item.mime == "application/json" or item.mime.endswith("+json"):
        try:
            return json.loads(item.data)
        except (ValueError, RecursionError):
            return item.data.decode("utf-8", "replace")
    if item.mime.startswith("text/") or item.mime in {"image/svg+xml", "application/javascript"}:
        return item.data.decode("utf-8", "replace")
    return base64.b64encode(item.data).decode("ascii")


def _pieces(items: Sequence[RunItem]) -> Iterator[str]:
    """The outputs as pieces of a page; neighbouring text is one piece."""
    from backendai_sdk.models.run import Html, Media

    text = ""
    for item in items:
        if not isinstance(item, Html | Media):
            text += _plain(item)
            continue
        if text:
            yield _pre(text)
            text = ""
        yield item.text if isinstance(item, Html) else _picture(item)
    if text:
        yield _pre(text)


def _pre(text: str) -> str:
    return f"<pre>{ansi_to_html(text)}</pre>"


def _picture(item: Media) -> str:
    if item.mime in _PICTURES:
        # SVG too: in an <img>, its scripts do not run and its names stay its own.
        data = base64.b64encode(item.data).decode("ascii")
        alt = escape(_plain(item).strip())
        return f'<img alt="{alt}" src="data:{item.mime};base64,{data}">'
    if item.mime == "text/html":
        return item.data.decode("utf-8", "replace")
    text = _native(item)
    shown = text if isinstance(text, str) and item.mime.startswith("text/") else json.dumps(text, indent=2)
    return f"<pre>{escape(shown)}</pre>"


def renderables(result: ExecutionResult) -> Iterator[object]:
    """What ``rich`` prints of a result; only called by it, so it is there."""
    from backendai_sdk.models.run import Html, Media

    text = import_module("rich.text").Text
    for item in result.outputs:
        match item:
            case Media("application/json", data):
                yield import_module("rich.json").JSON(data.decode("utf-8", "replace"))
            case Media("text/markdown", data):
                yield import_module("rich.markdown").Markdown(data.decode("utf-8", "replace"))
            case Html() | Media():
                yield text(_plain(item).rstrip("\n"), style="dim italic")
            case _ if plain := _plain(item):
                yield text.from_ansi(plain.removesuffix("\n"))
    if not result.ok:
        said = (
            f"{result.error.name}: {result.error.message}"
            if result.error
            else f"exit code {result.exit_code}"
        )
        yield text(said, style="bold red")
