"""Files of a session: uploads and their limits, listings, downloads."""

from __future__ import annotations

import io
import json
import tarfile

import aiohttp
import pytest


async def send(api, name, *files):
    boundary = "wire239"
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="src"; filename="{file}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for file, content in files
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = parts + f"--{boundary}--\r\n".encode()
    return await api(
        "POST",
        f"/session/{name}/upload",
        data=io.BytesIO(body),
        content_type="multipart/form-data",
        **headers,
    )


async def test_upload(both):
    cluster, api = await both()
    await api.create("files-1")
    assert (
        await send(
            api, "files-1", ("main.py", b"print(1)"), ("sub/data.bin", bytes(1048575)), ("a%20b", b"x")
        )
    ).status == 204
    where = cluster.sessions()[0].work_dir
    assert (where / "main.py").read_text() == "print(1)"
    assert (where / "sub/data.bin").stat().st_size == 1048575
    assert (where / "a%20b").exists()
    assert (await api.run("files-1", "exec(open('main.py').read())")) == "1\n"


async def test_upload_limits(both):
    cluster, api = await both()
    await api.create("files-1")
    big = await send(api, "files-1", ("big", bytes(1048576)))
    assert (big.status, big.json["msg"]) == (400, "Too large file")
    many = await send(api, "files-1", *((f"f{i}", b"") for i in range(21)))
    assert (many.status, many.json["msg"]) == (400, "Too many files")
    assert (
        await send(api, "files-1", ("/etc/inside.txt", b"x"))
    ).status == 204  # leading slashes go with the header
    assert (cluster.sessions()[0].work_dir / "etc/inside.txt").exists()
    for name in ("../out.txt", "a/../../out.txt"):
        out = await send(api, "files-1", (name, b"x"))
        assert (out.status, out.slug) == (500, "kernel-execution-failed")
    assert not (cluster.sessions()[0].work_dir.parent / "out.txt").exists()
    assert (await api("POST", "/session/files-1/upload", body={})).status == 400
    assert (await send(api, "nobody", ("a", b""))).status == 404


async def test_symlink_does_not_lead_out(both, tmp_path):
    _, api = await both()
    await api.create("files-1")
    await api.run("files-1", f"import os; os.symlink({str(tmp_path)!r}, 'way-out')")
    assert (await send(api, "files-1", ("way-out/x", b"x"))).status == 500
    assert list(tmp_path.iterdir()) == []


async def ls(api, path):
    if api.release in {"26.8", "26.9"}:
        return await api("GET", "/session/files-1/files", query={"path": path})
    return await api("GET", "/session/files-1/files", body={"path": path})


@pytest.mark.parametrize("release", ["23.09", "26.8"])
async def test_list(both, release):
    _, api = await both(release)
    await api.create("files-1")
    await send(api, "files-1", ("one.txt", b"12345"))
    answer = (await ls(api, ".")).json
    assert (answer["errors"], answer["abspath"]) == ("", ".")
    item = next(i for i in json.loads(answer["files"]) if i["filename"] == "one.txt")
    assert (item["size"], item["mode"][0]) == (5, "-")
    assert set(item) == {"mode", "size", "ctime", "mtime", "atime", "filename"}
    missing = await ls(api, "nowhere")
    assert (missing.status, missing.json["files"]) == (200, "")
    assert "FileNotFoundError" in missing.json["errors"]
    assert (await ls(api, "..")).status == 500
    if release == "23.09":
        assert (await api("GET", "/session/files-1/files", query={"path": "."})).status == 400


@pytest.mark.parametrize("release", ["23.09", "24.03", "26.8"])
async def test_download(both, release):
    _, api = await both(release)
    await api.create("files-1")
    await send(api, "files-1", ("one.txt", b"12345"))
    method = "GET" if release == "23.09" else "POST"
    given = {"body": {"file": "one.txt"}} if release == "24.03" else {"query": {"file": "one.txt"}}
    single = await api(method, "/session/files-1/download_single", **given)
    assert (single.status, single.body) == (200, b"12345")
    given = {"body": {"files": ["one.txt"]}} if release == "24.03" else {"query": {"files": "one.txt"}}
    async with api.open(method, "/session/files-1/download", **given) as response:
        assert response.status == 200
        part = await aiohttp.MultipartReader.from_response(response).next()
        assert part is not None
        assert part.headers["Content-Encoding"] == "identity"
        content = bytes(await part.read())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["one.txt"]
    if release == "23.09":
        missing = await api("GET", "/session/files-1/download_single", query={"file": "nope.txt"})
        assert (
            missing.json["agent-details"]["exception"]
            == "FileNotFoundError('Could not found the file: /home/work/nope.txt')"
        )
        outside = await api("GET", "/session/files-1/download_single", query={"file": "/etc/hostname"})
        assert (
            outside.json["agent-details"]["exception"]
            == "PermissionError('You cannot download files outside /home/work')"
        )
        assert (await api("POST", "/session/files-1/download", body={})).status == 405
    else:
        assert (await api("GET", "/session/files-1/download")).slug == "deprecated"


@pytest.mark.parametrize("release", ["23.09", "26.9"])
async def test_what_an_agent_cannot_do(both, release):
    """A 23.9.10 tells what it was; a 26.9.6 says that an upload went well, and of the rest nothing."""
    cluster, api = await both(release)
    await api.create("files-1")
    where = cluster.sessions()[0].work_dir
    (where / "folder").mkdir()
    stored = await send(api, "files-1", ("folder", b"x"))
    given = {"query": {"file": "nope"}} if release == "26.9" else {"body": {"file": "nope"}}
    method = "POST" if release == "26.9" else "GET"
    missing = await api(method, "/session/files-1/download_single", **given)
    outside = await ls(api, "..")
    if release == "26.9":
        assert stored.status == 204
        assert [(a.status, a.slug) for a in (missing, outside)] == [(500, "internal-server-error")] * 2
        assert "agent-details" not in missing.json
    else:
        assert stored.json["agent-details"]["exception"].startswith("IsADirectoryError(21")
        assert [a.slug for a in (stored, missing, outside)] == ["kernel-execution-failed"] * 3


async def test_tars_are_as_a_container_engine_makes_them(both):
    cluster, api = await both("24.03")
    await api.create("files-1")
    where = cluster.sessions()[0].work_dir

    async def tar(name):
        async with api.open("POST", "/session/files-1/download", body={"files": [name]}) as response:
            if response.status != 200:
                return (await response.json())["agent-details"]["exception"]
            part = await aiohttp.MultipartReader.from_response(response).next()
            return bytes(await part.read())

    # The largest content whose header and two empty blocks leave the tar at 1 MiB.
    (where / "s").write_bytes(bytes(1047040))
    assert len(await tar("s")) == 1048576
    (where / "s").write_bytes(bytes(1047041))
    assert await tar("s") == "ValueError('Too large archive file exceeding 1 MiB')"
    (where / "d").mkdir()
    for number in range(3):
        (where / f"d/{number}").write_bytes(bytes(500_000))
    assert "Too large" in await tar("d")
    (where / "l").symlink_to("/etc/hostname")
    with tarfile.open(fileobj=io.BytesIO(await tar("l"))) as archive:
        (member,) = archive
    assert (member.issym(), member.linkname, member.uname) == (True, "/etc/hostname", "root")
