"""Variables on their way between the notebook and a session: checked names, and the code that carries them.

Pure functions.  The code is sent like any other, before and after the cell, so it works on every server; both ends
run ``carrier.py``.  It leaves nothing in the session but the variables.  JSON comes first; pickles, which can run any
code where they are read, only if the user says so.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from backendai_sdk import ExecutionResult, InvalidArgument, UsageError
from backendai_sdk.notebook import carrier

__all__ = ["LIMIT", "checked_names", "fetching_code", "read_answer", "sending_code"]

LIMIT = 1 << 20
"""How many bytes of variables one cell may carry, each way; files are for more."""

_CODE = """\
def _backendai_carry():
    scope = {{"__name__": "backendai_carrier"}}
    exec({source!r}, scope)
    answer = scope[{function!r}](globals(), *{arguments!r})
    print({token!r} + answer + {token!r}, flush=True)
try:
    _backendai_carry()
finally:
    del _backendai_carry
"""


def checked_names(texts: Sequence[str], option: str) -> tuple[str, ...]:
    """The names in ``a,b``, each once.

    Raises:
        InvalidArgument: one is no name of a variable.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidArgument(
                f"{option}: {name!r} is not the name of a variable; write names with commas between them, as a,b",
                argument=option,
            )
    return tuple(dict.fromkeys(names))


def sending_code(
    scope: Mapping[str, object], names: Sequence[str], token: str, *, pickles: bool = False
) -> str:
    """The code that makes these variables in a session.

    Args:
        scope: where they are looked up.
        names: which ones.
        token: a word that the session's other output does not have.
        pickles: whether what is not JSON is pickled.

    Raises:
        InvalidArgument: one is not there, cannot be carried, or is too large.
    """
    for name in names:
        if name not in scope:
            raise InvalidArgument(f"--in: there is no variable {name!r} here", argument="--in")
    packed = carrier.pack({name: scope[name] for name in names}, pickles, LIMIT)
    if refused := carrier.refusals(packed):
        raise InvalidArgument(f"--in: {_why(refused, pickles=pickles)}", argument="--in")
    return _code("take", (packed, pickles), token)


def fetching_code(names: Sequence[str], token: str, *, pickles: bool = False) -> str:
    """The code that prints these variables of a session, between two *token*."""
    return _code("give", (list(names), pickles, LIMIT), token)


def read_answer(
    result: ExecutionResult, token: str, session: str, names: Sequence[str] = (), *, pickles: bool = False
) -> dict[str, object]:
    """What the code has printed: the variables that were fetched, or that those sent have arrived.

    Args:
        result: what the code came to; whatever else was written meanwhile does not matter.
        token: as the code was made with.
        session: its name, for errors.
        names: what was fetched; nothing else is taken from the answer.
        pickles: whether what came pickled is unpickled.

    Raises:
        UsageError: the session could not carry one, or runs no Python at all.
    """
    option = "--out" if names else "--in"
    found = re.search(re.escape(token) + r"([A-Za-z0-9+/=]*)" + re.escape(token), result.stdout)
    if found is None:
        why = f"{result.error.name}: {result.error.message}" if result.error else "it did not answer"
        raise UsageError(
            f"{option}: the session {session} could not carry them ({why}); only one that runs Python can"
        )
    try:
        values, refused = carrier.unpack(found[1], pickles)
        fetched = {} if refused else {name: values[name] for name in names}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{option}: the answer of the session {session} cannot be read: {error!r}"
        ) from error
    if refused:
        raise UsageError(f"{option}: of the session {session}: {_why(refused, pickles=pickles)}")
    return fetched


def _code(function: str, arguments: tuple[object, ...], token: str) -> str:
    source = Path(carrier.__file__).read_text("utf-8")
    return _CODE.format(source=source, function=function, arguments=arguments, token=token)


def _why(refused: Mapping[str, str], *, pickles: bool) -> str:
    said = "; ".join(f"{name}: {why}" for name, why in refused.items())
    if not pickles and "not plain JSON" in said:
        said += ". --pickle carries it; unpickling runs code of whoever has pickled it"
    elif "the limit of" in said:
        said += ". Use upload() and download() for files"
    return said
