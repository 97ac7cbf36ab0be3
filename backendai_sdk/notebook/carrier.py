"""The program that carries variables: it runs here, and as it stands in the session, on whatever Python is there.

So it needs Python 3.6 and the standard library, and imports nothing of this package.  JSON carries what comes out of
it as it went in: ``None``, truth values, numbers, texts, and lists and dicts of those.  Everything else, a tuple
for one, is refused or pickled: never silently turned into something similar.
"""

import base64
import json
import pickle
from typing import Any


def is_plain(value: Any) -> bool:
    """Whether JSON gives the same value back."""
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return True
    if kind is list:
        return all(is_plain(item) for item in value)
    if kind is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    return False


def pack(values: "dict[str, Any]", pickles: bool, limit: int) -> str:
    """Variables as one word of ASCII, and with them why some of them cannot be carried."""
    packed: dict[str, dict[str, str]] = {"json": {}, "pickle": {}, "refused": {}}
    size = 0
    for name, value in values.items():
        try:
            if is_plain(value):
                packed["json"][name] = text = json.dumps(value)
            elif pickles:
                packed["pickle"][name] = text = base64.b64encode(pickle.dumps(value, 4)).decode("ascii")
            else:
                packed["refused"][name] = f"a value of type {type(value).__name__} is not plain JSON"
                continue
            size += len(text)
        except Exception as error:  # noqa: BLE001 - whatever objects do when they are pickled
            packed["refused"][name] = f"{type(error).__name__}: {str(error)[:500]}"
    if size > limit:
        packed = {"refused": {", ".join(values): f"{size} bytes are more than the limit of {limit}"}}
    return _word(packed)


def unpack(text: str, pickles: bool) -> "tuple[dict[str, Any], dict[str, str]]":
    """The variables, and by name why one is not there."""
    packed = json.loads(base64.b64decode(text).decode("ascii"))
    values, refused = {}, dict(packed.get("refused", {}))
    for name, word in packed.get("json", {}).items():
        values[name] = json.loads(word)
    for name, word in packed.get("pickle", {}).items():
        if not pickles:
            refused[name] = "it came pickled, and nobody asked for that"
            continue
        try:
            values[name] = pickle.loads(base64.b64decode(word))  # noqa: S301 - asked for
        except Exception as error:  # noqa: BLE001 - whatever objects do when they are made
            refused[name] = f"{type(error).__name__}: {str(error)[:500]}"
    return values, refused


def give(scope: "dict[str, Any]", names: "list[str]", pickles: bool, limit: int) -> str:
    """The variables of that name in *scope*, packed."""
    missing = [name for name in names if name not in scope]
    if missing:
        return _word({"refused": dict.fromkeys(missing, "there is no such variable")})
    return pack({name: scope[name] for name in names}, pickles, limit)


def take(scope: "dict[str, Any]", text: str, pickles: bool) -> str:
    """Set the variables in *scope*, all or none; the answer says, packed, which could not be made."""
    values, refused = unpack(text, pickles)
    if not refused:
        scope.update(values)
    return _word({"refused": refused})


def refusals(text: str) -> "dict[str, str]":
    """By name why a variable is not among the packed ones; nothing is unpickled for that."""
    refused: dict[str, str] = json.loads(base64.b64decode(text).decode("ascii")).get("refused", {})
    return refused


def _word(packed: "dict[str, dict[str, str]]") -> str:
    return base64.b64encode(json.dumps(packed).encode("ascii")).decode("ascii")
