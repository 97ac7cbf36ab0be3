"""A command line for compute sessions: an example of a tool that embeds the SDK.

The server and the keys come from the BACKEND_* environment variables.  With no cluster at hand, either let
`python -m backendai_sdk.local` print such variables, or have one command bring its own cluster:

    python examples/backendai_cli.py --local run --rm -c 'print("hello world")' python:3.11

Exit status: that of the program that was run; 1 if something failed, 2 for an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, TypeAlias

import backendai_sdk as bai

Command: TypeAlias = Callable[[bai.AsyncSession, argparse.Namespace], Awaitable[int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    args = parse(argv)
    try:
        return asyncio.run(dispatch(args.command, args))
    except KeyboardInterrupt:  # the command was cancelled and has cleaned up
        return 130
    except bai.BackendAIError as exc:
        note(" ".join(str(exc).split()))
        return 2
    except BrokenPipeError:  # `... | head`: there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def dispatch(command: Command, args: argparse.Namespace) -> int:
    """Run the command in a client session of its own."""
    async with bai.AsyncSession.local() if args.local else bai.AsyncSession() as api:
        status = await command(api, args)
        sys.stdout.flush()
        return status


async def ps(api: bai.AsyncSession, args: argparse.Namespace) -> int:
    """List sessions: the first ten, or all."""
    sessions = api.list(
        status=args.status,
        fields=args.fields,
        filter=args.filter,
        order=args.order,
        access_key=args.access_key,
        page_size=100 if args.all else 10,
    )
    if args.all:
        show_table([row async for row in sessions], args.fields)
        return 0
    page = await sessions
    show_table(page.items, args.fields)
    if not page.is_last:
        note(f"({page.total_count - len(page)} more; use --all)")
    return 0


async def start(api: bai.AsyncSession, args: argparse.Namespace) -> int:
    """Create a session and keep it."""
    session = await api.create(args.image, **options(args))
    print(session.name, session.id)
    return 0


async def run(api: bai.AsyncSession, args: argparse.Namespace) -> int:
    """Create a session and run a snippet or commands in it."""
    if args.enqueue_only:
        note("nothing is run: the session only takes its place in the queue")
        return await start(api, args)
    async with AsyncExitStack() as at_end:
        creating = api.create(args.image, **options(args))
        if args.rm:
            session = await at_end.enter_async_context(creating)  # destroys it, whatever happens
        else:
            session = await creating
            at_end.callback(note, f"the session {session.name} {session.id} is kept")
        await session.upload(args.files)
        streams: dict[str, Any] = {"on_output": show_output, "stdin": read_line}
        if args.code is not None:
            result = await session.execute(args.code, **streams)
        else:
            result = await session.execute_batch(
                clean=args.clean, build=args.build, exec=args.exec, **streams
            )
        if result.error:
            note("")  # a traceback does not end its last line
    return 0 if result.ok else result.exit_code or 1


async def events(api: bai.AsyncSession, args: argparse.Namespace) -> int:
    """Print what happens to a session, until it ends."""
    session = await api.get(args.session)
    async with session.stream_events() as stream:
        note(f"following {session.name}, which is {session.status}")
        async for event in stream:
            code = "" if event.exit_code is None else f"exit code {event.exit_code}"
            print(*filter(None, (event.name, event.reason, code)), flush=True)
    return 0


async def rm(api: bai.AsyncSession, args: argparse.Namespace) -> int:
    """End sessions; those that wait in the queue are cancelled."""
    words = {"cancelled": "cancelled (it was pending)", "gone": "had ended before"}
    outcomes = await api.destroy(*args.sessions, forced=args.forced)
    for outcome in outcomes:
        print(f"{outcome.session}: {outcome.error or words.get(outcome.status, outcome.status)}")
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def options(args: argparse.Namespace) -> dict[str, Any]:
    """What `start` and `run` tell `create()` besides the image."""
    return {
        "name": args.name,
        "resources": args.resources,
        "env": dict(args.env),
        "max_wait": args.max_wait,
        "enqueue_only": args.enqueue_only,
        "on_progress": lambda phase, status, message: note(f"{phase}: {status} {message}".rstrip()),
    }


def note(text: str) -> None:
    """Say something that is not output."""
    print(text, file=sys.stderr, flush=True)


def show_output(item: bai.RunItem) -> None:
    """What the program writes, as it comes."""
    match item:
        case bai.Stdout(text):
            print(text, end="", flush=True)
        case bai.Stderr(text) | bai.Log(text):
            print(text, end="", file=sys.stderr, flush=True)
        case bai.Media() | bai.Html():
            note(repr(item))


async def read_line(_prompt: str) -> str:
    """A line of standard input for the program; its prompt has been shown as output."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        # Unbuffered: a thread that holds the lock of sys.stdin would break the interpreter's exit.
        line = io.FileIO(0, closefd=False).readline().decode()
        loop.call_soon_threadsafe(lines.put_nowait, line)

    # A daemon, so that Ctrl-C need not wait for Enter.
    threading.Thread(target=read, daemon=True).start()
    if not (line := await lines.get()):
        raise bai.UsageError("the program asks for input, and standard input has ended")
    return line.removesuffix("\n")


def show_table(rows: Sequence[bai.SessionInfo], fields: str | Sequence[str]) -> None:
    """Print rows under headings; names alone without, so that other commands can read them."""
    if fields == "name":
        print("".join(f"{row.name}\n" for row in rows), end="")
    elif rows:
        columns = [name for name, _ in rows[0].items()] if isinstance(fields, str) else fields
        table = [columns, *([cell(getattr(row, name)) for name in columns] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            print("  ".join(map(str.ljust, line, widths)).rstrip())


def cell(value: object) -> str:
    """A field's value as a table shows it."""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "-" if value is None else text or "-"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--local", action="store_true", help="start an embedded cluster for this command")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Command, **settings: Any) -> argparse.ArgumentParser:
        about = command.__doc__
        sub = commands.add_parser(command.__name__, help=about, description=about, **settings)
        sub.set_defaults(command=command)
        return sub

    sub = add(ps)
    which, shown = sub.add_mutually_exclusive_group(), sub.add_mutually_exclusive_group()
    which.add_argument("--running", dest="status", action="store_const", const="running", default="active")
    which.add_argument("--dead", dest="status", action="store_const", const="dead")
    shown.add_argument("--name-only", dest="fields", action="store_const", const="name", default="default")
    shown.add_argument("--detail", dest="fields", action="store_const", const="detail")
    shown.add_argument("-f", "--format", dest="fields", type=lambda text: text.split(","), metavar="NAME,...")
    sub.add_argument("--all", action="store_true", help="all rows, not only the first ten")
    sub.add_argument("--filter", metavar="CONDITION", help="""for example 'name ilike "%%train%%"'""")
    sub.add_argument("--order", metavar="FIELD", help="--order=-FIELD descends")
    sub.add_argument("--access-key", metavar="KEY", help="whose sessions (for administrators)")

    creation = argparse.ArgumentParser(add_help=False)
    creation.add_argument("image", metavar="IMAGE")
    creation.add_argument("-t", "--name", help="unique among your live sessions")
    creation.add_argument("-r", dest="resources", action="append", metavar="KEY=VALUE", help="such as mem=8g")
    creation.add_argument("-e", dest="env", action="append", default=[], type=pair, metavar="KEY=VALUE")
    waiting = creation.add_mutually_exclusive_group()
    waiting.add_argument("--enqueue-only", action="store_true", help="do not wait until it runs")
    waiting.add_argument("--max-wait", type=float, metavar="SECONDS", help="give it up after that time")
    add(start, parents=[creation])

    sub = add(run, parents=[creation])
    sub.add_argument("files", nargs="*", metavar="FILE", help="to be uploaded first")
    sub.add_argument("--rm", action="store_true", help="destroy the session at the end")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("-c", dest="code", metavar="CODE", help="a snippet for the image's interpreter")
    what.add_argument("--exec", metavar="CMD", help="a shell command")
    sub.add_argument("--build", metavar="CMD", help="a shell command before --exec")
    sub.add_argument("--clean", metavar="CMD", help="a shell command before --build")

    add(events).add_argument("session", metavar="ID_OR_NAME")

    sub = add(rm)
    sub.add_argument("sessions", nargs="+", metavar="ID_OR_NAME")
    sub.add_argument("-f", "--forced", action="store_true", help="whatever state they are in")
    args = parser.parse_args(argv)
    if args.command is run and args.code is not None and (args.build or args.clean):
        parser.error("--build and --clean go with --exec, not with -c")
    return args


def pair(text: str) -> tuple[str, str]:
    """Read `KEY=VALUE`."""
    key, value = text.split("=", 1)  # argparse tells the user of a ValueError
    return key, value


if __name__ == "__main__":
    sys.exit(main())
