"""What is written after ``%backendai`` and ``%%backendai``: text in, values out.

Credentials are no arguments: they would be saved with the notebook.
"""

from __future__ import annotations

import argparse
import shlex
from typing import Literal, NoReturn

import attrs

from backendai_sdk import InvalidArgument, RunTransport
from backendai_sdk.notebook.variables import checked_names

__all__ = ["CELL_OPTIONS", "COMMANDS", "USAGE", "CellLine", "Command", "parse_cell", "parse_command"]

USAGE = """\
%backendai connect [VARIABLE] [--endpoint URL] [--profile NAME]
    use a cluster: that of the settings, or of a Session in a variable
%backendai local [--release RELEASE]
    use an embedded cluster on this machine
%backendai sessions [--status STATUS]
    list sessions
%backendai use NAME [--image IMAGE] [--resources RESOURCES]
    run cells in this session; with an image it is made if there is none
%backendai destroy [NAME]
    end a session; without a name, the one in use

%%backendai [NAME] [--in a,b] [--out c] [--pickle] [--transport rest|websocket]
    run the cell in a session; carry variables there, and back"""

COMMANDS = ("connect", "destroy", "local", "sessions", "use")
CELL_OPTIONS = ("--in", "--out", "--pickle", "--transport")

CommandName = Literal["", "connect", "destroy", "local", "sessions", "use"]


@attrs.frozen(kw_only=True)
class Command:
    """One line of ``%backendai``; what was not given is ``None``."""

    name: CommandName = ""
    target: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    release: str | None = None
    status: str = "active"
    image: str | None = None
    resources: str | None = None


@attrs.frozen(kw_only=True)
class CellLine:
    """The first line of a ``%%backendai`` cell."""

    session: str | None = None
    sent: tuple[str, ...] = ()
    fetched: tuple[str, ...] = ()
    pickles: bool = False
    transport: RunTransport = "rest"


class _Parser(argparse.ArgumentParser):
    """One that raises instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise InvalidArgument(f"{self.prog}: {message}\n\n{USAGE}", argument="line")


def parse_command(line: str) -> Command:
    """Read what follows ``%backendai``.

    Raises:
        InvalidArgument: it is none of its commands; the message has all of them.
    """
    parser = _Parser("%backendai", add_help=False, allow_abbrev=False)
    commands = parser.add_subparsers(dest="name", metavar="command")
    connect, destroy, local, sessions, use = (
        commands.add_parser(name, add_help=False, allow_abbrev=False) for name in COMMANDS
    )
    connect.add_argument("target", nargs="?", metavar="VARIABLE")
    connect.add_argument("--endpoint")
    connect.add_argument("--profile")
    destroy.add_argument("target", nargs="?", metavar="NAME")
    local.add_argument("--release")
    sessions.add_argument("--status", default="active")
    use.add_argument("target", metavar="NAME")
    use.add_argument("--image")
    use.add_argument("--resources", nargs="+", type=str)
    found = vars(parser.parse_args(_words(line)))
    if found.get("resources"):
        found["resources"] = " ".join(found["resources"])
    return Command(**{key: value for key, value in found.items() if value is not None})


def parse_cell(line: str) -> CellLine:
    """Read what follows ``%%backendai``.

    Raises:
        InvalidArgument: an option is unknown, or a name is not one.
    """
    parser = _Parser("%%backendai", add_help=False, allow_abbrev=False)
    parser.add_argument("session", nargs="?")
    parser.add_argument("--in", dest="sent", action="append", default=[])
    parser.add_argument("--out", dest="fetched", action="append", default=[])
    parser.add_argument("--pickle", dest="pickles", action="store_true")
    parser.add_argument("--transport", choices=("rest", "websocket"), default="rest")
    found = parser.parse_args(_words(line))
    return CellLine(
        session=found.session,
        sent=checked_names(found.sent, "--in"),
        fetched=checked_names(found.fetched, "--out"),
        pickles=found.pickles,
        transport=found.transport,
    )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidArgument(f"{line!r}: {error}", argument="line") from None
