"""The callbacks that calls take: plain functions or coroutines, run in order, never twice at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from backendai_sdk.enums import Phase, SessionStatus
from backendai_sdk.models.file import TransferProgress
from backendai_sdk.models.run import RunItem
from backendai_sdk.models.task import TaskProgress

__all__ = ["InputCallback", "OutputCallback", "ProgressCallback", "TaskCallback", "TransferCallback"]

ProgressCallback: TypeAlias = Callable[[Phase, SessionStatus, str], Awaitable[None] | None]
"""Called as ``on_progress(phase, status, message)`` whenever a starting session gets further."""

OutputCallback: TypeAlias = Callable[[RunItem], Awaitable[None] | None]
"""Called as ``on_output(item)`` with everything that a run writes, as it comes."""

InputCallback: TypeAlias = Callable[[str], Awaitable[str] | str]
"""Called as ``stdin(prompt)`` when the code waits for a line of input; returns the line."""

TransferCallback: TypeAlias = Callable[[TransferProgress], Awaitable[None] | None]
"""Called as ``progress(how_far)`` while files are carried, ten times a second at most, and at the end."""

TaskCallback: TypeAlias = Callable[[TaskProgress], Awaitable[None] | None]
"""Called as ``on_progress(report)`` with every report of a background task."""
