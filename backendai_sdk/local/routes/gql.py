"""GraphQL over HTTP, wrapped (`/admin/gql`) and in the older bare way (`/admin/graphql`).

Assumes an in-memory schema that answers at once, so a query never waits on the loop.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web
from graphql import ExecutionResult, GraphQLError, GraphQLSyntaxError, execute_sync, parse, validate

from backendai_sdk.local.params import Field, anything, mapping, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.schema import Context
from backendai_sdk.local.server import owner_of, state_of

from ._route import Route

__all__ = ["ROUTES"]

# graphql-core 3.3 words this differently; real servers were seen with the older words.
_MISSING: Final = re.compile(
    r"Variable '(\$\w+)' has invalid value: Expected a value of non-null type '(.+)' to be provided\."
)
_FIELDS: Final = (
    Field(("query",), string()),
    Field(("variables",), nullable(mapping(anything)), None),
    Field(("operation_name", "operationName"), nullable(string(blank=True)), None),
)


async def _answer(request: web.Request) -> ExecutionResult:
    state = state_of(request)
    params = await read(request, _FIELDS, source="body")
    try:
        document = parse(params["query"])
    except GraphQLSyntaxError as error:
        if state.release.gql_syntax_500:
            raise Problem.internal() from None
        return ExecutionResult(data=None, errors=[error])
    if errors := validate(state.schema, document):
        return ExecutionResult(data=None, errors=errors)
    result = execute_sync(
        state.schema,
        document,
        context_value=Context(state, owner_of(request)),
        variable_values=params["variables"] or {},
        operation_name=params["operation_name"] or None,
    )
    if not isinstance(result, ExecutionResult):
        raise TypeError("the schema has a resolver that waits")
    return result


def _formatted(errors: list[GraphQLError] | None) -> list[dict[str, Any]] | None:
    if not errors:
        return None
    shown = []
    for error in errors:
        item: dict[str, Any] = {
            "message": _MISSING.sub(r"Variable '\1' of required type '\2' was not provided.", error.message)
        }
        if error.locations:
            item["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
        if error.path:
            item["path"] = list(error.path)
        if error.extensions:
            item["extensions"] = error.extensions
        shown.append(item)
    return shown


async def gql(request: web.Request) -> web.Response:
    result = await _answer(request)
    errors = _formatted(result.errors)
    answer: dict[str, Any] = {"data": result.data}
    if errors is not None or state_of(request).release.gql_errors_null:
        answer["errors"] = errors
    return web.json_response(answer)


async def legacy(request: web.Request) -> web.Response:
    result = await _answer(request)
    if errors := _formatted(result.errors):
        raise Problem.graphql(errors)
    if state_of(request).release.gql_errors_null:  # newer servers wrap here as well
        return web.json_response({"data": result.data, "errors": None})
    return web.json_response(result.data)


ROUTES: Final = (
    Route(("POST",), ("/admin/gql",), gql),
    Route(("POST",), ("/admin/graphql",), legacy),
)
