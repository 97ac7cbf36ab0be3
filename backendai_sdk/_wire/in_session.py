"""The program that works on files inside a session: joins and splits what servers carry in pieces, and removes.

It is uploaded as it stands and run there by whatever Python the image has: so it needs Python 3.6 and the
standard library, and imports nothing of this package.  The job is a JSON file next to it; both are removed
first.  The answer is one line on standard output, marked with the job's token.  Its own folder is the work
folder, and every path is relative to that.
"""

import base64
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import zlib
from typing import Any

CHUNK = 1 << 18


class Refused(Exception):
    """What the session cannot do: a word for the program that asked, and a sentence for a person."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind


def prepare(job: "dict[str, Any]") -> "dict[str, Any]":
    """Look whether a file can be put together at *target*: a folder that can be written to, and room."""
    target, temporary = job["target"], job["temporary"]
    folder = os.path.dirname(target) or "."
    if os.path.isdir(target):
        raise Refused("folder", "it is a folder there")
    if os.path.lexists(target) and not job["overwrite"]:
        raise Refused("exists", "it exists there")
    os.makedirs(folder, exist_ok=True)
    with open(temporary, "wb"):
        pass
    free = shutil.disk_usage(folder).free
    if free < job["size"]:
        os.unlink(temporary)
        raise Refused("space", f"{job['size']} bytes are needed there and {free} are free")
    return {}


def join(job: "dict[str, Any]") -> "dict[str, Any]":
    """Append pieces to *temporary*, each checked and removed; the last call gives the file its name."""
    with open(job["temporary"], "r+b") as whole:
        whole.seek(0, os.SEEK_END)
        if whole.tell() != job["offset"]:
            raise Refused("damaged", f"{whole.tell()} bytes are there where {job['offset']} should be")
        for name, size, digest in job["pieces"]:
            check = hashlib.sha256()
            if not os.path.exists(name):
                raise Refused("damaged", f"the piece {name} did not arrive: is the disk full?")
            with open(name, "rb") as piece:
                for chunk in iter(lambda: piece.read(CHUNK), b""):
                    check.update(chunk)
                    whole.write(chunk)
                length = piece.tell()
            if (length, check.hexdigest()) != (size, digest):
                raise Refused("damaged", f"the piece {name} did not arrive as it was sent")
            os.unlink(name)
    if job["last"]:
        size = os.path.getsize(job["temporary"])
        if size != job["size"]:
            raise Refused("damaged", f"{size} bytes are there where {job['size']} should be")
        if os.path.lexists(job["target"]) and not job["overwrite"]:
            raise Refused("exists", "it exists there")
        os.replace(job["temporary"], job["target"])
    return {}


def split(job: "dict[str, Any]") -> "dict[str, Any]":
    """Cut a stretch of a file into pieces; the version of the file must be the one of the stretch before."""
    remove_names(job["drop"])
    pieces = []
    with open(job["source"], "rb") as whole:
        facts = os.fstat(whole.fileno())
        version = [facts.st_size, facts.st_mtime_ns]
        if job["version"] not in (None, version):
            raise Refused("changed", "it was changed while it was read")
        whole.seek(job["offset"])
        for name in job["names"]:
            check = hashlib.sha256()
            left = job["piece"]
            with open(name, "wb") as piece:
                while left:
                    chunk = whole.read(min(CHUNK, left))
                    if not chunk:
                        break
                    left -= len(chunk)
                    check.update(chunk)
                    piece.write(chunk)
                size = piece.tell()
            if not size:
                os.unlink(name)
                break
            pieces.append([name, size, check.hexdigest()])
        facts = os.fstat(whole.fileno())
        if version != [facts.st_size, facts.st_mtime_ns]:
            raise Refused("changed", "it was changed while it was read")
    return {"pieces": pieces, "version": version}


def look(job: "dict[str, Any]") -> "dict[str, Any]":
    """List folders, and those below them if that was said: a line of JSON for each entry, packed.

    A folder that is not there has no entries.
    """
    packer = zlib.compressobj()
    packed = []
    folders = list(reversed(job["folders"]))
    while folders:
        folder = folders.pop()
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            path = name if folder == "." else folder + "/" + name
            try:
                facts = os.lstat(path)
                row = [path, stat.filemode(facts.st_mode), facts.st_size]
                if job["times"]:
                    row += [facts.st_mtime, facts.st_ctime, facts.st_atime]
                packed.append(packer.compress((json.dumps(row) + "\n").encode()))
            except FileNotFoundError:
                continue
            except UnicodeEncodeError:
                raise Refused("name", f"{name!r} is not Unicode text") from None
            if job["recursive"] and stat.S_ISDIR(facts.st_mode):
                folders.append(path)
    packed.append(packer.flush())
    return {"rows": base64.b64encode(b"".join(packed)).decode()}


def remove(job: "dict[str, Any]") -> "dict[str, Any]":
    """Remove files, and folders if that was said; nothing is removed if one of them is missing."""
    for path in job["paths"]:
        if not os.path.lexists(path):
            raise Refused("missing", path)
        if os.path.isdir(path) and not os.path.islink(path) and not job["recursive"]:
            raise Refused("folder", f"{path!r} is a folder: recursive=True removes folders too")
    for path in job["paths"]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):  # not with a folder that was named before it
            os.unlink(path)
    return {}


def clean(job: "dict[str, Any]") -> "dict[str, Any]":
    """Remove what a transfer has left."""
    remove_names(job["names"])
    return {}


def remove_names(patterns: "list[str]") -> None:
    """Remove files that are there; a name that ends with ``*`` is a beginning, in its folder."""
    for pattern in patterns:
        names = [pattern]
        if pattern.endswith("*"):
            folder = os.path.dirname(pattern)
            found = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
            names = [os.path.join(folder, name) for name in found]
            names = [name for name in names if name.startswith(pattern[:-1])]
        for name in names:
            if os.path.lexists(name):
                os.unlink(name)


def main(token: str) -> None:
    """Do the job of that token and say what came of it."""
    home = os.path.dirname(os.path.abspath(__file__))
    os.chdir(home)
    with open(f".backendai-{token}.json", encoding="utf-8") as text:
        job = json.load(text)
    for kind in ("py", "json"):
        os.unlink(f".backendai-{token}.{kind}")
    tasks = {"prepare": prepare, "join": join, "split": split, "look": look, "remove": remove, "clean": clean}
    try:
        answer = tasks[job["task"]](job)
    except Refused as exc:
        answer = {"refused": exc.kind, "said": str(exc)}
    except OSError as exc:
        kind = {errno.ENOSPC: "space", errno.EDQUOT: "space", errno.ENOENT: "missing"}.get(
            exc.errno or 0, "error"
        )
        answer = {"refused": kind, "said": f"{type(exc).__name__}: {exc}", "path": exc.filename}
    sys.stdout.write(f"\nbackendai-{token} {json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
