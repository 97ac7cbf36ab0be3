"""The magics: one client session and one session in use per notebook, and what the commands do with them.

Assumed: IPython calls them on its main thread, one at a time.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from backendai_sdk import (
    BackendAIError,
    ComputeSession,
    Page,
    Session,
    SessionInfo,
    SessionNotFound,
    UsageError,
    deadline,
)
from backendai_sdk.notebook.arguments import USAGE, CellLine, Command, parse_cell, parse_command
from backendai_sdk.notebook.completing import SECONDS, Question, fitting, question, remote_texts
from backendai_sdk.notebook.phases import starting
from backendai_sdk.notebook.shell import Shell, brief, display
from backendai_sdk.notebook.streaming import shown_result
from backendai_sdk.notebook.variables import fetching_code, read_answer, sending_code

__all__ = ["Magics", "load", "unload"]

_loaded: dict[int, Magics] = {}


def load(shell: Shell) -> None:
    """Register the magics with a shell, once."""
    if id(shell) in _loaded:
        return
    magics = _loaded[id(shell)] = Magics(shell)
    shell.register_magic_function(magics.command, "line", "backendai")
    shell.register_magic_function(magics.cell, "cell", "backendai")
    shell.Completer.custom_matchers.append(magics.complete)


def unload(shell: Shell) -> None:
    """Close what the magics of a shell have opened, and complete nothing any more."""
    magics = _loaded.pop(id(shell), None)
    if magics is not None:
        shell.Completer.custom_matchers[:] = [
            matcher for matcher in shell.Completer.custom_matchers if matcher != magics.complete
        ]
        magics.close()


# What is as wide as a notebook's page; ids are behind the names.
_COLUMNS = ("name", "status", "type", "image", "created_at", "id")


class Magics:
    """``%backendai`` and ``%%backendai`` of one notebook."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._api: Session | None = None
        self._is_own = False
        self._used: ComputeSession | None = None

    # --- %backendai -------------------------------------------------------------------------------------

    def command(self, line: str) -> Page[SessionInfo] | ComputeSession | None:
        """Sessions of a Backend.AI cluster: connect, list, use, destroy. Without a command: what is in use."""
        with brief("the command was interrupted"):
            command = parse_command(line)
            match command.name:
                case "connect":
                    self._connect(command)
                case "local":
                    self._open(Session.local(release=command.release), is_own=True)
                case "sessions":
                    sessions = self._client().list(status=command.status, fields=_COLUMNS, page_size=100)
                    return sessions.first_page()
                case "use":
                    return self._use(command)
                case "destroy":
                    self._destroy(command.target)
                case "":
                    self._say(f"{self._where()}\n\n{USAGE}")
        return None

    def _connect(self, command: Command) -> None:
        if command.target is None:
            self._open(Session(command.endpoint, profile=command.profile), is_own=True)
            return
        found = self._shell.user_ns.get(command.target)
        if not isinstance(found, Session):
            raise UsageError(f"connect: the variable {command.target!r} has no Session")
        self._open(found, is_own=False)

    def _open(self, api: Session, *, is_own: bool) -> None:
        """Use this client session, once it has been seen to work."""
        try:
            server = api.ping()
        except BaseException:
            if is_own:
                api.close()
            raise
        self.close()
        self._api, self._is_own = api, is_own
        self._say(f"connected to {server.endpoint}, release {server.manager}")

    def _use(self, command: Command) -> ComputeSession:
        name = command.target or ""
        api = self._client()
        if command.image is None:
            try:
                self._used = api.get(name)
            except SessionNotFound as error:
                raise SessionNotFound(
                    f"there is no session {name!r}; make one: %backendai use {name} --image python:3.11"
                ) from error
            return self._used
        with starting(name) as phases:
            self._used = api.ensure(name, command.image, on_progress=phases, resources=command.resources)
        return self._used

    def _destroy(self, name: str | None) -> None:
        session = self._session(name)
        outcome = session.destroy()
        if self._used is not None and self._used.id == session.id:
            self._used = None
        self._say(f"{session.name}: {outcome.status}")

    # --- %%backendai ------------------------------------------------------------------------------------

    def cell(self, line: str, cell: str) -> None:
        """Run the cell in a session: output, pictures, questions and interrupts as if it ran here."""
        with brief("the code in the session was interrupted; the session lives"):
            given = parse_cell(line)
            session = self._session(given.session)
            self._send(session, given)
            shown_result(session, cell, transport=given.transport).check()
            self._fetch(session, given)

    def _send(self, session: ComputeSession, given: CellLine) -> None:
        if given.sent:
            token = f"<{uuid4().hex}>"
            code = sending_code(self._shell.user_ns, given.sent, token, pickles=given.pickles)
            read_answer(session.execute(code), token, session.name)

    def _fetch(self, session: ComputeSession, given: CellLine) -> None:
        if given.fetched:
            token = f"<{uuid4().hex}>"
            answer = session.execute(fetching_code(given.fetched, token, pickles=given.pickles))
            found = read_answer(answer, token, session.name, given.fetched, pickles=given.pickles)
            self._shell.user_ns.update(found)

    # --- completion -------------------------------------------------------------------------------------

    def complete(self, context: Any) -> dict[str, object]:
        """A matcher of IPython's completer."""
        asked = question(context.full_text, context.cursor_line, context.cursor_position)
        if asked is None:
            return {"completions": []}
        try:
            with deadline(SECONDS):
                texts = self._texts(asked)
        except (BackendAIError, TimeoutError):
            texts = []  # a completion that fails is none; the cell itself will say why
        from IPython.core.completer import SimpleCompletion

        # Names of this notebook are no names of the session: what other matchers know is left out.
        return {
            "completions": [SimpleCompletion(text) for text in texts],
            "matched_fragment": asked.fragment,
            "suppress": True,
        }

    complete.matcher_api_version = 2  # type: ignore[attr-defined]
    complete.matcher_identifier = "backendai_sdk.notebook"  # type: ignore[attr-defined]

    def _texts(self, asked: Question) -> list[str]:
        if asked.kind == "given":
            return fitting(asked.given, asked.fragment)
        if asked.kind == "here":
            names = (name for name in self._shell.user_ns if not name.startswith("_"))
            return fitting(names, asked.fragment)
        if asked.kind == "session":
            return fitting((info.name for info in self._client().match(asked.fragment)), asked.fragment)
        if asked.kind == "there":
            session = self._session(asked.line or None)
            return remote_texts(session.complete(asked.fragment), asked.fragment)
        session = self._session(parse_cell(asked.line).session)
        return remote_texts(session.complete(asked.code, row=asked.row, col=asked.col), asked.fragment)

    # --- state ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the client session, if the magics have opened it; an embedded cluster ends with it."""
        api, is_own = self._api, self._is_own
        self._api = self._used = None
        if api is not None and is_own:
            api.close()

    def _client(self) -> Session:
        if self._api is None:
            raise UsageError("there is no cluster yet: %backendai connect, or %backendai local")
        return self._api

    def _session(self, name: str | None) -> ComputeSession:
        """The session of that name, in that variable, or the one in use."""
        if name is None:
            if self._used is None:
                raise UsageError("there is no session yet: %backendai use NAME --image python:3.11")
            return self._used
        if isinstance(found := self._shell.user_ns.get(name), ComputeSession):
            return found
        if self._used is not None and name in {self._used.name, self._used.id}:
            return self._used
        return self._client().get(name)

    def _where(self) -> str:
        if self._api is None:
            return "not connected"
        used = f"cells run in {self._used.name}" if self._used is not None else "no session is in use"
        return f"{self._api!r}; {used}"

    @staticmethod
    def _say(text: str) -> None:
        display(_Text(text))


# What `%backendai?` and `%%backendai?` show.
Magics.command.__doc__ = Magics.cell.__doc__ = f"Sessions of Backend.AI clusters.\n\n{USAGE}"


class _Text:
    """A text that is displayed as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
