"""What names and documentation become on the blocking side.

Every rule counts how often it fired, so that rules which no core needs any more can be found
(``--strict-renames``).
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter

__all__ = ["DUNDERS", "RENAMES", "Refusal", "is_async_name", "sync_doc", "sync_name", "unused_rules"]

# Names in annotations; where they are imported from stays the same.
RENAMES = {
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
    "AsyncGenerator": "Iterator",
}

DUNDERS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}

# Sentences that say what ``await`` does, which no word-by-word rule makes right.
SENTENCES = {
    "``await pager`` gives the first page, ``async for row in pager`` all rows, page by page.  Nothing is": (
        "``for row in pager`` gives all rows, page by page, ``first_page()`` the first page only.  Nothing is"
    ),
    "``await`` gives the first page, ``async for`` all rows.": (
        "Iterate over it for all rows; ``first_page()`` gives the first page only."
    ),
}

_WORDS = {
    r"\b(?P<a>[Aa])n(?P<mark> `*)async (?=with\b|for\b|def\b)": r"\g<a>\g<mark>",
    r"\basync (?=with\b|for\b|def\b)": "",
    r"\bawait ": "",
    r"\b(?P<a>[Aa])n(?P<mark> [`~.\w:]*)Async(?=[B-DF-HJ-NP-TV-Z])": r"\g<a>\g<mark>",
    r"\bAsync(?=[A-Z])": "",
    r"\bStopAsyncIteration\b": "StopIteration",
    r"\baclose\b": "close",
    r"\b__a(?=(enter|exit|iter|next)__)": "__",
    r"\b_async\.": "_sync.",
}

_fired: Counter[str] = Counter()


class Refusal(Exception):
    """A core does something that cannot be translated; the sentence says where and what to change."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"gen_sync: {where}: {problem}; {remedy}")


def is_async_name(name: str) -> bool:
    return re.match(r"Async[A-Z]", name) is not None


def sync_name(name: str) -> str:
    """``AsyncX`` → ``X``; names that have their own rule; all others as they are."""
    if name in RENAMES:
        _fired[name] += 1
        return RENAMES[name]
    return re.sub(r"^Async(?=[A-Z])", "", name)


def sync_doc(raw: str | None, pad: str) -> list[str]:
    """The lines of a translated docstring, quotes included; none if there is no docstring.

    It is dedented here: ``inspect.cleandoc`` differs between Python releases.
    """
    if not raw:
        return []
    first, _, rest = raw.partition("\n")
    doc = first.strip() + ("\n" + textwrap.dedent(rest) if rest else "")
    for sentence, other in SENTENCES.items():
        if sentence in doc:
            _fired[sentence] += 1
            doc = doc.replace(sentence, other)
    for pattern, word in _WORDS.items():
        doc, times = re.subn(pattern, word, doc)
        _fired[pattern] += times
    doc = doc.rstrip().replace("\\", "\\\\").replace('"""', '\\"""')
    lines = [line.rstrip() for line in doc.split("\n")]
    if lines[-1].endswith('"'):
        lines[-1] += " "
    lines[0] = '"""' + lines[0]
    if len(lines) == 1:
        lines[0] += '"""'
    else:
        lines.append('"""')
    return [pad + line if line else "" for line in lines]


def unused_rules() -> list[str]:
    return [rule for rule in (*RENAMES, *SENTENCES, *_WORDS) if not _fired[rule]]
