"""Files up and down beside bare aiohttp sending the same requests: a large file, and many small ones.

The server is a local cluster in a process of its own; each measurement is a fresh process.  "Bare" keeps the
same limits (parts, batches, four requests side by side) but checks nothing, hashes nothing and keeps downloads in
no file; for the large file it sends and fetches the pieces only.  Memory is what the process's peak grew by
during the transfer, after a first small transfer that loads and opens everything.

``--check`` fails if a promise is broken; ``--quick`` carries less.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

MIB = 1 << 20
PIECE = MIB - 4096
# The whole transfer, checks and the work in the session included, over bare requests.
MOST_RATIO = {"large up": 3.0, "large down": 3.0, "small up": 2.0, "small down": 2.0}
MOST_MEMORY = 4.0
PARALLEL = 4


# --- one measurement, in a process of its own -----------------------------------------------------------


async def with_sdk(case: str, folder: Path) -> Any:
    from backendai_sdk import AsyncSession

    def transfer(cs: Any, what: str, to: str) -> Awaitable[Any]:
        if case.endswith("up"):
            return cs.upload(what)  # type: ignore[no-any-return]
        return cs.download(what, to=to)  # type: ignore[no-any-return]

    os.chdir(folder)
    async with AsyncSession() as api, api.create("python") as cs:
        what = case.split(maxsplit=1)[0]
        for name in ("warm", what) if case.endswith("down") else ():
            await cs.upload(name)
        await transfer(cs, "warm", "back-warm")
        return await measure(lambda: transfer(cs, what, "back"))


async def bare(case: str, folder: Path) -> Any:
    """The same requests by hand; signed by the SDK's pure function, so that only the transfer differs."""
    import aiohttp

    from backendai_sdk import AsyncSession

    os.chdir(folder)
    what = case.split(maxsplit=1)[0]
    async with AsyncSession() as api, api.create("python") as cs, aiohttp.ClientSession() as http:
        server = await cs._client.server()
        files = [str(p) for p in sorted(Path(what).rglob("*")) if p.is_file()] if what == "small" else []
        pieces: list[list[tuple[str, str, int, int]]] = []
        if what == "small":
            every = [(name, name, 0, os.path.getsize(name)) for name in files]
            pieces = [every[n : n + 20] for n in range(0, len(every), 20)]
        else:
            size = os.path.getsize(what)
            every = [(f"piece{n}", what, n, min(PIECE, size - n)) for n in range(0, size, PIECE)]
            pieces = [every[n : n + 8] for n in range(0, len(every), 8)]
        send = uploader(http, cs, server)
        if case.endswith("up"):
            return await measure(lambda: in_parallel(pieces, send))
        await in_parallel(pieces, send)
        if what == "small":  # as the SDK asks for them: each folder fits into one tar
            names = sorted({os.path.dirname(name) for name in files})
        else:
            names = [name for name, *_ in every]
        wanted = [names[n : n + 5] for n in range(0, len(names), 5)]
        fetch = downloader(http, cs, server, unpack=what == "small")
        return await measure(lambda: in_parallel(wanted, fetch))


def signed(cs: Any, method: str, path: str, kind: str, server: Any) -> tuple[str, dict[str, str]]:
    from datetime import UTC, datetime

    from backendai_sdk._wire.sign import date_header, sign

    config = cs._client.config
    url = config.endpoint[0] + path
    host = url.split("/")[2]
    date, day = date_header(datetime.now(UTC))
    authorization = sign(
        method=method,
        path_qs=path,
        host=host,
        date=date,
        day=day,
        content_type=kind,
        version=server.api_version,
        access_key=config.access_key,
        secret_key=config.secret_key,
        hash_name="sha256",
    )
    headers = {"Host": host, "Date": date, "Authorization": authorization}
    return url, headers | {"X-BackendAI-Version": server.api_version}


def uploader(http: Any, cs: Any, server: Any) -> Callable[[Any], Awaitable[None]]:
    async def send(batch: list[tuple[str, str, int, int]]) -> None:
        url, headers = signed(cs, "POST", f"/session/{cs.id}/upload", "multipart/form-data", server)

        async def body() -> AsyncIterator[bytes]:
            for name, path, offset, size in batch:
                yield (
                    f'--b\r\nContent-Disposition: form-data; name="src"; filename="{name}"\r\n'
                    "Content-Type: application/octet-stream\r\n\r\n"
                ).encode()
                with open(path, "rb") as file:
                    file.seek(offset)
                    while size:
                        block = file.read(min(size, 128 * 1024))
                        size -= len(block)
                        yield block
                yield b"\r\n"
            yield b"--b--\r\n"

        headers["Content-Type"] = "multipart/form-data; boundary=b"
        async with http.post(url, data=body(), headers=headers) as answer:
            assert answer.status == 204, await answer.text()

    return send


def downloader(http: Any, cs: Any, server: Any, *, unpack: bool) -> Callable[[Any], Awaitable[None]]:
    import aiohttp

    async def fetch(names: list[str]) -> None:
        path = f"/session/{cs.id}/download?" + "&".join(f"files={name}" for name in names)
        url, headers = signed(cs, "POST", path, "application/json", server)
        async with http.post(url, json={"files": names}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            async for part in aiohttp.MultipartReader.from_response(answer):
                assert isinstance(part, aiohttp.BodyPartReader)
                content = await part.read()
                if unpack:  # as anybody would
                    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                        archive.extractall("back", filter="data")
                else:
                    with open(f"back-{names[0]}", "wb") as file:
                        file.write(content)

    return fetch


async def in_parallel(items: list[Any], work: Callable[[Any], Awaitable[None]]) -> None:
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(PARALLEL)))


async def measure(transfer: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    before, began = peak(), time.perf_counter()
    await transfer()
    return {"seconds": time.perf_counter() - began, "mib": (peak() - before) / MIB}


def peak() -> int:
    """The most memory that the process has had, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


# --- all of them ----------------------------------------------------------------------------------------


def make_files(folder: Path, *, large: int, small: int) -> None:
    with open(folder / "large", "wb") as file:
        file.writelines(os.urandom(MIB) for _ in range(large))
    for number in range(small):
        path = folder / f"small/{number // 100:03d}/{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(500))
    (folder / "warm/d").mkdir(parents=True)
    for number in range(5):
        (folder / f"warm/d/{number}").write_bytes(os.urandom(500))
    (folder / "warm/large").write_bytes(os.urandom(MIB + 1))


def run(case: str, way: str, folder: Path, environment: dict[str, str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as where:
        for name in ("large", "small", "warm"):
            os.symlink(folder / name, Path(where, name))
        command = [sys.executable, __file__, "--one", f"{case}:{way}:{where}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"{case} {way}: {done.stderr}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        case, way, where = options.one.split(":")
        result = asyncio.run((with_sdk if way == "sdk" else bare)(case, Path(where)))
        print(json.dumps(result))
        return 0
    large, small = (64, 1000) if options.quick else (256, 10_000)
    broken = []
    with tempfile.TemporaryDirectory() as temporary, local_cluster() as environment:
        folder = Path(temporary)
        make_files(folder, large=large, small=small)
        print(f"large: one file of {large} MiB; small: {small} files of 500 bytes, 100 in a folder")
        print(f"{'':12}{'sdk s':>8}{'bare s':>8}{'ratio':>8}{'extra MiB':>11}{'bare MiB':>10}")
        for case, most in MOST_RATIO.items():
            pairs = [
                [run(case, way, folder, environment) for way in ("sdk", "bare")]
                for _ in range(options.rounds)
            ]
            ratio = statistics.median(sdk["seconds"] / raw["seconds"] for sdk, raw in pairs)
            sdk, raw = (statistics.median(pair[n]["seconds"] for pair in pairs) for n in (0, 1))
            memory, raw_memory = (statistics.median(pair[n]["mib"] for pair in pairs) for n in (0, 1))
            print(f"{case:12}{sdk:8.2f}{raw:8.2f}{ratio:8.2f}{memory:11.2f}{raw_memory:10.2f}")
            if ratio > most:
                broken.append(f"{case} takes {ratio:.2f} times as long as bare requests; promised: {most}")
            if memory > MOST_MEMORY:
                broken.append(f"{case} takes {memory:.2f} MiB more at its peak; promised: {MOST_MEMORY}")
    if options.check:
        print(*broken, sep="\n")
    return 1 if options.check and broken else 0


class local_cluster:  # noqa: N801 - a context manager
    """A local cluster in a process of its own; gives the environment that names it."""

    def __enter__(self) -> dict[str, str]:
        code = (
            "import json, sys; from backendai_sdk import LocalCluster\n"
            "with LocalCluster(release='24.03') as c:\n"
            "    print(json.dumps([c.endpoint, c.access_key, c.secret_key]), flush=True); sys.stdin.read()"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        names = ("BACKEND_ENDPOINT", "BACKEND_ACCESS_KEY", "BACKEND_SECRET_KEY")
        return os.environ | dict(zip(names, json.loads(self._child.stdout.readline()), strict=True))

    def __exit__(self, *_: object) -> None:
        self._child.communicate("")


if __name__ == "__main__":
    raise SystemExit(main())
