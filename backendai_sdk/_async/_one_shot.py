"""One session for one run: what ``AsyncSession.run`` does between creating and destroying."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from backendai_sdk._async._shapes import AwaitableContext
from backendai_sdk._async._upload import check_files
from backendai_sdk.errors import InvalidArgument

if TYPE_CHECKING:
    from backendai_sdk._async.compute import AsyncComputeSession
    from backendai_sdk.models.callbacks import InputCallback, OutputCallback
    from backendai_sdk.models.run import ExecutionResult

__all__ = ["OneShot"]


@attrs.frozen(kw_only=True)
class OneShot:
    """What is to be run, and how its output is taken."""

    code: str | None
    exec: str | None
    build: str | None
    clean: str | None
    files: Sequence[str | Path]
    timeout: float | None
    on_output: OutputCallback | None
    stdin: str | Sequence[str] | InputCallback | None
    check: bool

    async def check_first(self) -> None:
        """Refuse what cannot be run, before a session is made for it.

        Raises:
            InvalidArgument: neither code nor a command, or both; or a file cannot be uploaded.
        """
        if (self.code is not None) == any((self.exec, self.build, self.clean)):
            raise InvalidArgument(
                "code: give either code= (a snippet) or exec=/build=/clean= (commands)", argument="code"
            )
        await check_files(self.files)

    async def run(self, creating: AwaitableContext[AsyncComputeSession], *, keep: bool) -> ExecutionResult:
        """Create the session, run in it, and destroy it unless it is to be kept."""
        if not keep:
            async with creating as session:
                return await self._run_in(session)
        session = await creating
        try:
            await session.detach()
            return await self._run_in(session)
        except BaseException as exc:
            exc.add_note(f"the session {session.name} ({session.id}) was kept: rm=False")
            raise

    async def _run_in(self, session: AsyncComputeSession) -> ExecutionResult:
        if self.files:
            await session.upload(self.files)
        if self.code is not None:
            return await session.execute(
                self.code, timeout=self.timeout, on_output=self.on_output, stdin=self.stdin, check=self.check
            )
        return await session.execute_batch(
            clean=self.clean,
            build=self.build,
            exec=self.exec,
            timeout=self.timeout,
            on_output=self.on_output,
            stdin=self.stdin,
            check=self.check,
        )
