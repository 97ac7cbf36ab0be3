"""The list query and its answer (PROTOCOL §2.5).

Field names are checked against the known set before they become query text; whatever the user gives
(filters, orders, keys, numbers) travels as a variable, never as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from backendai_sdk._wire.fields import selection
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import APIError, GraphQLError, InvalidArgument, PermissionDenied, WireError
from backendai_sdk.models.page import Page
from backendai_sdk.models.session import SessionInfo

__all__ = ["collided", "data_of", "equals", "list_body", "one_of", "read_page", "starts_with"]

# Servers do not bound the page themselves; the official client stops at 100.
MAX_PAGE_SIZE = 100

_LIST = (
    "query($limit: Int!, $offset: Int!, $status: String, $filter: String, $order: String, "
    "$access_key: String, $group_id: String) {{ "
    "compute_session_list(limit: $limit, offset: $offset, status: $status, filter: $filter, order: $order, "
    "access_key: $access_key, group_id: $group_id) {{ items {{ {fields} }} total_count }} }}"
)


# PostgreSQL's words for a transaction that may simply be tried again.
_COLLIDED = "could not serialize access"


def list_body(
    fields: Sequence[str],
    *,
    limit: int,
    offset: int = 0,
    status: str | None = None,
    filter: str | None = None,
    order: str | None = None,
    access_key: str | None = None,
    group_id: str | None = None,
) -> dict[str, object]:
    """The body of ``POST /admin/gql`` that lists sessions."""
    return {
        "query": _LIST.format(fields=selection(fields)),
        "variables": {
            "limit": limit,
            "offset": offset,
            "status": status,
            "filter": filter,
            "order": order,
            "access_key": access_key,
            "group_id": group_id,
        },
    }


def page_size_argument(page_size: int) -> int:
    """Check a page size: a whole number from 1 to 100."""
    if isinstance(page_size, bool) or not isinstance(page_size, int) or not 1 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            f"page_size: {page_size!r} is not a whole number from 1 to {MAX_PAGE_SIZE}", argument="page_size"
        )
    return page_size


def collided(answer: object) -> bool:
    """Whether the server's database gave the query up because others were changing what it read (23.09, seen)."""
    match answer:
        case {"errors": [*errors]}:
            return any(_COLLIDED in excerpt(error, 1000) for error in errors)
    return False


def data_of(answer: object, *, method: str = "POST", path: str = "/admin/gql") -> Mapping[str, object]:
    """The ``data`` of a GraphQL answer, which is HTTP 200 even when it carries errors.

    Raises:
        PermissionDenied: the resolver said so.
        GraphQLError: any other error inside the answer.
        WireError: the answer is no GraphQL answer.
    """
    match answer:
        case {"errors": [first, *_] as errors}:
            message = excerpt(first.get("message") if isinstance(first, Mapping) else first, 10_000)
            kind: type[APIError] = GraphQLError
            hint = ""
            if "Forbidden operation" in message or "privilege required" in message:
                kind, hint = PermissionDenied, ": only administrators may ask for other users' things"
            raise kind(
                f"the server refused the query: {message.rstrip('.')}{hint}",
                status=200,
                type="graphql-error",
                title="GraphQL error",
                msg=message,
                data=errors,
                body=answer,
                method=method,
                path=path,
            )
        case {"data": Mapping() as data}:
            return data
    raise WireError(f"the answer to a GraphQL query has no 'data': {excerpt(answer)}")


def read_page(answer: object, *, offset: int = 0) -> Page[SessionInfo]:
    """Read the answer to :func:`list_body`.

    A server that fails to tell one field of a row tells all the rest, and so does the row; see ``SessionInfo.errors``.
    """
    untold = _untold(answer)
    data = data_of(answer) if untold is None or not isinstance(answer, Mapping) else answer.get("data")
    match data:
        case {"compute_session_list": {"items": list(items), "total_count": int(total)}}:
            rows = tuple(_row(item, i, (untold or {}).get(i)) for i, item in enumerate(items))
            return Page(items=rows, total_count=total, offset=offset)
    raise WireError("the list answer has no 'items' and 'total_count'")


def _row(item: object, index: int, untold: Mapping[str, str] | None) -> SessionInfo:
    where = f"compute_session_list.items[{index}]"
    if not untold or not isinstance(item, Mapping):
        return structure(SessionInfo, item, where=where)
    told = {key: value for key, value in item.items() if key not in untold}
    return attrs.evolve(structure(SessionInfo, told, where=where), errors=untold)


def _untold(answer: object) -> dict[int, dict[str, str]] | None:
    """What went wrong in single fields, by row; ``None`` if anything else went wrong, or nothing."""
    match answer:
        case {"errors": [_, *_] as errors, "data": {"compute_session_list": Mapping()}}:
            pass
        case _:
            return None
    found: dict[int, dict[str, str]] = {}
    for error in errors:
        match error:
            case {"message": message, "path": ["compute_session_list", "items", int(row), str(field), *_]}:
                found.setdefault(row, {})[field] = excerpt(message, 10_000)
            case _:
                return None
    return found


def equals(field: str, value: str) -> str:
    """The filter ``field == "value"`` in the servers' mini-language (PROTOCOL §2.5.1)."""
    return f"{field} == {_quoted(value)}"


def one_of(field: str, values: Iterable[str]) -> str:
    """The filter ``field in ["a", "b"]``."""
    return f"{field} in [{', '.join(map(_quoted, values))}]"


def starts_with(field: str, prefix: str) -> str:
    """A filter that lets through at least every value that begins with *prefix*; check the rows again.

    ``%`` and ``_`` are left to match too much, because the language gives no sure way to escape them.
    """
    return f"{field} like {_quoted(prefix + '%')}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
