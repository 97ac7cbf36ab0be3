"""Files of a session: upload, list, download. Assumes a work directory per session that no path may leave."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import tarfile
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from aiohttp import BodyPartReader, MultipartWriter, payload, web

from backendai_sdk.local.params import Field, list_of, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import state_of

from ._route import Route
from .session import own_session

if TYPE_CHECKING:
    from backendai_sdk.local.records import SessionRecord

__all__ = ["ROUTES"]

_MAX_PARTS: Final = 20
_MAX_PART: Final = 1024 * 1024
_MAX_FILES: Final = 5
_HOME: Final = PurePosixPath("/home/work")


def _within(session: SessionRecord, text: str, *, follow: bool = True) -> Path:
    """The local path of a session's path; `PermissionError` when it is outside its home.

    `follow` says whether a link itself or what it points at is meant.
    """
    path = PurePosixPath(text)
    if path.is_absolute():
        if not path.is_relative_to(_HOME):
            raise PermissionError("You cannot access files outside /home/work")
        path = path.relative_to(_HOME)
    root = session.work_dir.resolve()
    target = (
        (root / path).resolve() if follow or not path.name else (root / path.parent).resolve() / path.name
    )
    if not target.is_relative_to(root):
        raise PermissionError("You cannot access files outside /home/work")
    return target


def _running(request: web.Request) -> SessionRecord:
    session = own_session(request)
    if session.status != "RUNNING":
        raise Problem.internal()
    return session


async def upload(request: web.Request) -> web.Response:
    session = _running(request)
    if not request.content_type.startswith("multipart/"):
        raise Problem.invalid_params("The request must be multipart/form-data.")
    try:
        await _receive(request, session)
    except ValueError as error:  # not a multipart body at all
        raise Problem.invalid_params(str(error)) from None
    return web.Response(status=204)


async def _receive(request: web.Request, session: SessionRecord) -> None:
    """Store each part as it comes: what came before a bad one stays, as on a real server."""
    count = 0
    async for part in await request.multipart():
        count += 1
        if count > _MAX_PARTS:
            raise Problem.invalid_params("Too many files")
        if not isinstance(part, BodyPartReader):
            raise Problem.invalid_params("Nested multipart upload is not supported.")
        name = part.filename
        if name is None:
            if not state_of(request).release.error_codes:
                raise Problem.internal()  # older servers trip over a part without a file name
            name = f"upload-{uuid.uuid4().hex}"
        content = await _content(part)
        try:
            target = _within(session, name)
            await asyncio.to_thread(_store, target, content)
        except OSError as error:
            if not state_of(request).release.bare_file_errors:
                raise Problem.execution_failed(error) from None


async def _content(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(65536):
        content += part.decode(chunk)
        if len(content) >= _MAX_PART:
            raise Problem.invalid_params("Too large file")
    return bytes(content)


def _store(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


async def list_files(request: web.Request) -> web.Response:
    if state_of(request).release.typed_sources:
        path = request.query.get("path", ".")
    else:
        try:
            path = json.loads(await request.text())["path"]
        except (ValueError, KeyError, TypeError) as error:
            raise Problem.invalid_params(str(error)) from None
    session = own_session(request)
    if session.status != "RUNNING":
        raise Problem.internal()
    try:
        target = _within(session, path)
    except PermissionError as error:
        raise _failed(request, error) from None
    try:
        found = await asyncio.to_thread(_listing, target)
    except OSError as error:
        text = f"Traceback (most recent call last):\n{type(error).__name__}: {error}\n"
        return web.json_response({"files": "", "errors": text.replace(str(target), path), "abspath": path})
    return web.json_response({"files": json.dumps(found) + "\n", "errors": "", "abspath": path})


def _listing(target: Path) -> list[dict[str, Any]]:
    items = []
    for entry in target.iterdir():
        facts = entry.lstat()
        item = {
            "mode": stat.filemode(facts.st_mode),
            "size": facts.st_size,
            "ctime": facts.st_ctime,
            "mtime": facts.st_mtime,
            "atime": facts.st_atime,
            "filename": entry.name,
        }
        items.append(item)
    return items


def _names(value: Any) -> list[str]:
    """A list of names; a plain query keeps only one."""
    return [value] if isinstance(value, str) else list_of(string())(value)


async def download(request: web.Request) -> web.StreamResponse:
    release = state_of(request).release
    if release.typed_sources:
        names = request.query.getall("files", [])
        if not names:
            raise Problem.schema_failed(
                "Schema validation failed. (1 validation error\nfiles\n  Field required)"
            )
    else:
        names = (await read(request, [Field(("files",), _names)]))["files"]
    session = _running(request)
    if len(names) > _MAX_FILES:
        raise Problem.invalid_params("Too many files") if release.error_codes else Problem.internal()
    with MultipartWriter("mixed") as writer:
        for name in names:
            archive = await _archive(request, session, name)
            body = payload.BytesPayload(archive, headers={"Content-Encoding": "identity"})
            writer.append_payload(body)
    content_type = f"multipart/mixed; boundary={writer.boundary}"
    return web.Response(body=writer, headers={"Content-Type": content_type})


async def download_single(request: web.Request) -> web.StreamResponse:
    if state_of(request).release.typed_sources:
        name = request.query.get("file", "")
    else:
        name = (await read(request, [Field(("file",), string())]))["file"]
    session = _running(request)
    archive = await _archive(request, session, name)
    content = await asyncio.to_thread(_first_member, archive)
    if content is None:  # a folder or a link
        raise _missing(request, name)
    return web.Response(body=content, content_type="application/octet-stream")


async def _archive(request: web.Request, session: SessionRecord, name: str) -> bytes:
    """A tar of one path, as an agent makes it, or the agent's complaint."""
    try:
        target = _within(session, name, follow=False)
    except PermissionError:
        raise _failed(request, PermissionError("You cannot download files outside /home/work")) from None
    try:
        return await asyncio.to_thread(_pack, target)
    except FileNotFoundError:
        raise _missing(request, name) from None
    except (OSError, ValueError) as problem:
        raise _failed(request, problem) from None


def _missing(request: web.Request, name: str) -> Problem:
    return _failed(request, FileNotFoundError(f"Could not found the file: {_HOME / name}"))


def _failed(request: web.Request, error: Exception) -> Problem:
    """An agent's failure, of which newer servers do not say what it was."""
    return (
        Problem.internal() if state_of(request).release.bare_file_errors else Problem.execution_failed(error)
    )


def _pack(target: Path) -> bytes:
    """The tar that a container engine makes: two empty blocks end it, and everything belongs to root."""
    buffer = _Limited()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(target, arcname=target.name, filter=_as_root)
        end = archive.offset + 2 * tarfile.BLOCKSIZE
    content = buffer.getvalue()[:end]
    if len(content) > _MAX_PART:
        raise ValueError(_TOO_LARGE)
    return content


_TOO_LARGE: Final = "Too large archive file exceeding 1 MiB"


class _Limited(io.BytesIO):
    """A buffer that refuses a folder of gigabytes before it has read them."""

    def write(self, data: Any) -> int:
        if self.tell() > _MAX_PART:
            raise ValueError(_TOO_LARGE)
        return super().write(data)


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk() or member.isfifo()):
        return None
    member.uid = member.gid = 0
    member.mtime = int(member.mtime)  # else it takes a header of its own
    member.uname = member.gname = "root"
    return member


def _first_member(archive: bytes) -> bytes | None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.next()
        content = opened.extractfile(member) if member is not None and member.isreg() else None
        return content.read() if content is not None else None


async def download_get(request: web.Request) -> web.StreamResponse:
    release = state_of(request).release
    if release.download_get_gone:
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    if release.download_post:
        raise Problem(400, "deprecated", "This API is deprecated.", code="api_generic_deprecated")
    single = request.path.endswith("download_single")
    return await (download_single(request) if single else download(request))


async def download_by_post(request: web.Request) -> web.StreamResponse:
    if not state_of(request).release.download_post:
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])
    single = request.path.endswith("download_single")
    return await (download_single(request) if single else download(request))


_DOWNLOADS: Final = ("/session/{session_name}/download", "/session/{session_name}/download_single")

ROUTES: Final = (
    Route(("POST",), ("/session/{session_name}/upload",), upload),
    Route(("GET",), ("/session/{session_name}/files",), list_files),
    Route(("GET",), _DOWNLOADS, download_get),
    Route(("POST",), _DOWNLOADS, download_by_post),
)
