"""The apps of one session, started when somebody first asks for them.

Assumes that all of them listen on this machine's loopback address: the "container ports" of a session are ports of
the machine, chosen when an app is started. There is no `sshd` here: it fails to start, as it does on real clusters
where it is not set up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from typing import TYPE_CHECKING, Any, Final

from .kernel import environ as environ_module
from .kernel import program as program_module
from .kernel.program import Program
from .ttyd import Ttyd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .images import AppSpec
    from .kernel import Runtime

__all__ = ["LaunchFailed", "SessionApps"]

_START_LIMIT: Final = 10.0
_ATTEMPTS: Final = 3


class LaunchFailed(Exception):
    """An app did not come up; the text is what the agent says."""


class SessionApps:
    """What runs of a session's apps, and on which port."""

    def __init__(
        self, specs: Sequence[AppSpec], work_dir: Path, environ: Mapping[str, str], runtime: Runtime
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._work_dir = work_dir
        self._token = uuid.uuid4().hex
        self._python = runtime.python
        bin_dir, self._made_bin = environ_module.find_bin(runtime.commands)
        self._environ = environ_module.build(environ, work_dir=work_dir, bin_dir=bin_dir, token=self._token)
        self._running: dict[str, Program | Ttyd] = {}
        self._lock = asyncio.Lock()
        self._closed = False
        self.ports: dict[str, int] = {}

    async def start(
        self, name: str, envs: Mapping[str, str] | None = None, arguments: Mapping[str, Any] | None = None
    ) -> int:
        """Start an app, if it does not run, and wait until it listens; its port."""
        async with self._lock:
            if self._closed:
                raise LaunchFailed("the session has ended")
            running = self._running.get(name)
            if running is not None and (isinstance(running, Ttyd) or running.alive):
                return self.ports[name]
            await self._stop(name)
            if name == "ttyd":
                ttyd = Ttyd(self._work_dir, self._environ)
                self._running[name] = ttyd
                self.ports[name] = await ttyd.start()
            elif name in self._specs:
                await self._launch(self._specs[name], envs or {}, arguments or {})
            else:
                raise LaunchFailed("TimeoutError (unknown)")
            return self.ports[name]

    async def stop(self, name: str) -> None:
        """End an app, if it runs."""
        async with self._lock:
            await self._stop(name)

    async def stop_all(self) -> None:
        """End all."""
        async with self._lock:
            for name in tuple(self._running):
                await self._stop(name)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(program_module.sweep, self._token)

    async def close(self) -> None:
        """End all for good. May be called twice."""
        used = self._running or self._lock.locked()
        self._closed = True
        if used:
            await self.stop_all()
        if self._made_bin is not None:
            await asyncio.to_thread(self._made_bin.cleanup)

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        self.ports.pop(name, None)
        if running is not None:
            await running.close()

    async def _launch(self, spec: AppSpec, envs: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        given = _arguments(spec, arguments)
        if bad := sorted(set(envs) - set(spec.allowed_envs)):
            raise LaunchFailed(
                f"DisallowedEnvironment: Environment variable {bad[0]} not allowed for service {spec.name}"
            )
        for _ in range(_ATTEMPTS):
            port = _free_port()
            argv: list[str] = []
            for part in spec.command:
                argv += given if part == "{arguments}" else [part.format(python=self._python, port=port)]
            try:
                program = await Program.spawn(
                    argv,
                    cwd=self._work_dir,
                    env={**self._environ, **envs},
                    emit=lambda _kind, _text: None,
                    on_request=lambda _frame: None,
                    on_end=lambda: None,
                )
            except OSError as error:
                raise LaunchFailed(f"{type(error).__name__}: {error}") from None
            self._running[spec.name], self.ports[spec.name] = program, port
            if await _listens(program, port):
                return
            await self._stop(spec.name)
        raise LaunchFailed("the service has ended before it listened")


def _arguments(spec: AppSpec, arguments: Mapping[str, Any]) -> list[str]:
    argv: list[str] = []
    for name, value in arguments.items():
        if name not in spec.allowed_arguments:
            raise LaunchFailed(f"DisallowedArgument: Argument {name} not allowed for service {spec.name}")
        argv.append(name)
        argv += [] if value is None else [value] if isinstance(value, str) else map(str, value)
    return argv


async def _listens(program: Program, port: int) -> bool:
    """Wait until something answers on the port; false if the program ends before."""
    try:
        async with asyncio.timeout(_START_LIMIT):
            while program.alive:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return program.alive
    except TimeoutError:
        raise LaunchFailed("TimeoutError (unknown)") from None
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
