"""Loggers whose records say where the user's code is, and not where in the SDK something was noticed.

A record's name says which part of the SDK speaks; its file, line, function and thread are those of the call that the
SDK works for, as far as there is one.  That is looked for only when a record is made.  Standard library only.
"""

from __future__ import annotations

import logging
import threading
from pathlib import PurePath

from backendai_sdk._caller import place

__all__ = ["logger"]


def logger(part: str) -> logging.Logger:
    """The logger of a part of the SDK, ``backendai_sdk.<part>``; of the whole, if *part* is empty."""
    found = logging.getLogger(f"backendai_sdk.{part}" if part else "backendai_sdk")
    found.addFilter(_at_the_users_place)  # a second time is no more than once
    return found


def _at_the_users_place(record: logging.LogRecord) -> bool:
    found = place()
    if found is not None:
        frame, ident = found
        path = PurePath(frame.f_code.co_filename)
        record.pathname, record.filename, record.module = str(path), path.name, path.stem
        record.lineno, record.funcName = frame.f_lineno, frame.f_code.co_name
        if ident != record.thread:
            record.thread = ident
            record.threadName = next(
                (thread.name for thread in threading.enumerate() if thread.ident == ident), None
            )
    return True
