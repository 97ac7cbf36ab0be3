"""How far a transfer is: told to a function of the user's, or shown as a bar by rich or tqdm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from backendai_sdk._async._shapes import maybe_await
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.file import TransferProgress

if TYPE_CHECKING:
    from backendai_sdk.models.callbacks import TransferCallback

__all__ = ["Meter"]

_SECONDS_BETWEEN = 0.1


class Meter:
    """Counts what has arrived, and tells; a context manager.

    Raises:
        InvalidArgument: *progress* is neither a function nor a truth value, or there is nothing to show bars with.
    """

    def __init__(self, progress: bool | TransferCallback | None) -> None:
        self._tell: TransferCallback | None = None
        self._close: Callable[[], object] | None = None
        if progress is True:
            self._tell, self._close = _bar()
        elif callable(progress):
            self._tell = progress
        elif progress:
            raise InvalidArgument(
                f"progress: {progress!r} is neither True nor a function", argument="progress"
            )
        self._files = self._bytes = self._total_files = self._total_bytes = 0
        self._told = 0.0
        self._telling = asyncio.Lock()

    def expect(self, *, files: int, bytes: int) -> None:
        """Say how much there is to carry."""
        self._total_files, self._total_bytes = files, bytes

    async def add(self, *, files: int = 0, bytes: int = 0, file: str = "") -> None:
        """Count what has arrived."""
        self._files += files
        self._bytes += bytes
        done = files > 0 and self._files >= self._total_files
        if self._tell is None or not (done or time.monotonic() - self._told >= _SECONDS_BETWEEN):
            return
        async with self._telling:
            self._told = time.monotonic()
            how_far = TransferProgress(
                files=self._files,
                bytes=self._bytes,
                # What grew meanwhile was carried as it was then.
                total_files=max(self._total_files, self._files),
                total_bytes=max(self._total_bytes, self._bytes),
                file=file,
            )
            await maybe_await(self._tell(how_far))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._close is not None:
            self._close()


def _bar() -> tuple[TransferCallback, Callable[[], object]]:
    for make in (_rich, _tqdm):
        try:
            return make()
        except ModuleNotFoundError:
            continue
    raise InvalidArgument(
        "progress: True needs rich or tqdm: pip install 'backendai-sdk[progress]', or pass a function",
        argument="progress",
    )


def _rich() -> tuple[TransferCallback, Callable[[], object]]:
    rich: Any = import_module("rich.progress")
    console: Any = import_module("rich.console").Console(stderr=True)
    bar = rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(binary_units=True),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task("files", total=None)
    bar.start()

    def tell(how_far: TransferProgress) -> None:
        text = f"{how_far.files}/{how_far.total_files} files"
        bar.update(task, description=text, completed=how_far.bytes, total=how_far.total_bytes)

    return tell, bar.stop


def _tqdm() -> tuple[TransferCallback, Callable[[], object]]:
    bar: Any = import_module("tqdm").tqdm(unit="B", unit_scale=True, unit_divisor=1024)

    def tell(how_far: TransferProgress) -> None:
        bar.total = how_far.total_bytes
        bar.set_postfix_str(f"{how_far.files}/{how_far.total_files} files", refresh=False)
        bar.update(how_far.bytes - bar.n)

    return tell, bar.close
