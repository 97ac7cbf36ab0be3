"""Starts 26.9.6's agent with its dummy backend, mended where that cannot hold a session.

As published, the backend lists no containers, so the agent's own sweep drops every kernel after a minute and the
manager ends the session as stale; and its ``execute`` answers no run id, on which the manager answers 500.  Here it
lists one container for each kernel that it holds, and ``execute`` answers a finished run with one line of output.
Runs in the release's own environment.
"""

from __future__ import annotations

import secrets
import sys
from importlib import import_module
from typing import Any

agent_types = import_module("ai.backend.agent.types")
DummyAgent = import_module("ai.backend.agent.dummy.agent").DummyAgent
RUNNING = import_module("ai.backend.common.types").ContainerStatus.RUNNING


async def enumerate_containers(self: Any, status_filter: Any = frozenset({RUNNING})) -> list[tuple[Any, Any]]:
    if RUNNING not in status_filter:
        return []
    return [
        (
            kernel_id,
            agent_types.Container(
                id=kernel.get("container_id") or str(kernel_id),
                status=RUNNING,
                image="",
                labels={},
                ports=[],
                backend_obj=None,
            ),
        )
        for kernel_id, kernel in list(self.kernel_registry.items())
    ]


async def execute(
    _self: Any, _session: Any, _kernel: Any, run_id: str | None, mode: str, text: str, *, opts: Any, **_: Any
) -> dict[str, Any]:
    if mode == "batch":
        text = " && ".join(str(opts[part]) for part in ("clean", "build", "exec") if opts.get(part))
    return {
        "runId": run_id or secrets.token_hex(8),
        "status": "finished",
        "exitCode": 0,
        "options": None,
        "files": [],
        "console": [("stdout", f"dummy: {text}\n")] if text else [],
    }


DummyAgent.enumerate_containers = enumerate_containers
DummyAgent.execute = execute

if __name__ == "__main__":
    sys.argv = ["backend.ai", "ag", "start-server", *sys.argv[1:]]
    sys.exit(import_module("ai.backend.cli.loader").load_entry_points()())
