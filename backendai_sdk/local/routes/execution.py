"""Running code in a session: execute and complete. Assumes the session's kernel answers as a real agent does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from backendai_sdk.local.kernel import RunBusy, RunParameterError
from backendai_sdk.local.params import read_json
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route
from .session import own_session

if TYPE_CHECKING:
    from backendai_sdk.local.kernel import Kernel
    from backendai_sdk.local.records import SessionRecord
    from backendai_sdk.local.releases import Release

__all__ = ["ROUTES", "running_kernel"]

_MODES: Final = frozenset({"query", "batch", "complete", "continue", "input"})


def _refuse(msg: str, release: Release) -> Problem:
    return Problem.invalid_session_data(msg) if release.execute_params_500 else Problem.invalid_params(msg)


def running_kernel(session: SessionRecord) -> Kernel:
    """The session's interpreter; a session that has none is the server's uncaught error."""
    if session.status != "RUNNING" or session.kernel is None:
        raise Problem.internal()
    return session.kernel


async def execute(request: web.Request) -> web.Response:
    release = state_of(request).release
    params = await read_json(request)
    session = own_session(request)
    if not isinstance(params, dict):
        raise _refuse("The request body must be a JSON object.", release)
    mode = params.get("mode")
    if mode is None:
        raise _refuse("mode is missing!", release)
    if mode not in _MODES:
        detail = f": {mode}" if release.typed_sources else "."
        raise _refuse(f"mode has an invalid value{detail}", release)
    key = release.run_id_key
    if key == "runId" and key not in params:
        raise _refuse("runId is missing!", release)
    run_id = params.get(key)
    if mode in {"continue", "input"} and run_id is None:
        raise _refuse("continuation requires explicit run ID", release)
    kernel = running_kernel(session)
    session.num_queries += 1
    code, options = params.get("code") or "", params.get("options")
    if mode == "complete":
        return web.json_response({"result": await _completions(kernel, code, options or {}, release)})
    try:
        result = await kernel.execute(run_id, mode, code, options)
    except RunBusy:
        raise Problem.execution_timeout() from None
    except RunParameterError as error:
        raise _refuse(str(error), release) from None
    except Exception as error:
        raise Problem.execution_failed(error) from error
    return web.json_response({"result": result})


async def complete(request: web.Request) -> web.Response:
    params = await read_json(request)
    session = own_session(request)
    if not isinstance(params, dict):
        raise Problem.invalid_params("The request body must be a JSON object.")
    kernel = running_kernel(session)
    result = await _completions(
        kernel, params.get("code") or "", params.get("options") or {}, state_of(request).release
    )
    return web.json_response({"result": result})


async def _completions(
    kernel: Kernel, code: str, options: dict[str, Any], release: Release
) -> dict[str, Any]:
    """Suggestions, under the name that the release uses for them."""
    found = await kernel.complete(code, options)
    if release.complete_suggestions:
        return {"status": "finished", "error": None, "suggestions": found}
    return {"status": "finished", "completions": found}


ROUTES: Final = (
    Route(("POST",), ("/session/{session_name}",), execute),
    Route(("POST",), ("/session/{session_name}/complete",), complete),
)
