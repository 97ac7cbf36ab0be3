"""Cells in a real kernel: what they show, ask and carry, and what stopping them does."""

from __future__ import annotations

from typing import Any

import pytest

from backendai_sdk import Session

pytestmark = pytest.mark.timeout(120)


def test_output_comes_into_the_cell(kernel: Any) -> None:
    ran = kernel.run("%%backendai\nimport sys\nprint('hello', 6 * 7)\nprint('oh', file=sys.stderr)\n'last'")
    assert (ran.stdout, ran.stderr, ran.error) == ("hello 42\n'last'", "oh\n", "")
    assert kernel.run("%%backendai\nprint(sys.version_info[0])").stdout == "3\n", "the state is kept"
    ran = kernel.run("%%backendai shared --transport websocket\nprint('soon')")
    assert (ran.stdout, ran.error) == ("soon\n", "")


def test_what_the_code_displays_is_displayed_in_order(kernel: Any) -> None:
    ran = kernel.run(
        "%%backendai\n"
        "class Drawing:\n    def _repr_svg_(self): return '<svg/>'\n"
        "class Table:\n    def _repr_html_(self): return '<table></table>'\n"
        "print('before')\ndisplay(Drawing())\nprint('after')\nTable()"
    )
    kinds = [m["msg_type"] for m in ran.messages if m["msg_type"] in {"stream", "display_data"}]
    assert kinds == ["stream", "display_data", "stream", "display_data"]
    assert [sorted(bundle) for bundle in ran.shown] == [
        ["image/svg+xml", "text/plain"],
        ["text/html", "text/plain"],
    ]
    assert (ran.shown[0]["image/svg+xml"], ran.shown[1]["text/html"]) == ("<svg/>", "<table></table>")


def test_an_error_is_shown_once_and_ends_the_cell(kernel: Any) -> None:
    ran = kernel.run("%%backendai\ndef f():\n    1 / 0\nprint('begun')\nf()")
    assert ran.stdout == "begun\n"
    assert "in \x1b[0;36mf" in ran.stderr or "in f" in ran.stderr
    assert ran.error == "ExecutionFailed: the code failed: ZeroDivisionError: division by zero"
    assert not kernel.run("%%backendai\n1").error


def test_variables_both_ways(kernel: Any) -> None:
    kernel.run("rows = [{'a': 1.5, 'b': None}]; words = 'ä\\u20ac\\n'; pair = (1, {2})")
    ran = kernel.run(
        "%%backendai --in rows,words --out total,same\ntotal = rows[0]['a'] * 2; same = words * 2"
    )
    assert not ran.error
    assert kernel.run("print(total, same == words * 2)").stdout == "3.0 True\n"
    ran = kernel.run("%%backendai\nprint([n for n in globals() if 'carr' in n])")
    assert ran.stdout == "[]\n", "carrying leaves nothing but the variables"


def test_pickles_only_if_asked_for(kernel: Any) -> None:
    kernel.run("pair = (1, {2})")
    ran = kernel.run("%%backendai --in pair\nprint('ran')")
    assert ran.error.startswith(
        "InvalidArgument: --in: pair: a value of type tuple is not plain JSON. --pickle"
    )
    assert ran.stdout == "", "nothing was sent"
    assert not kernel.run("%%backendai --in pair --out back --pickle\nback = pair + (3,)").error
    assert kernel.run("print(back)").stdout == "(1, {2}, 3)\n"
    ran = kernel.run("%%backendai --out back\nback = {1}")
    assert "--out: of the session shared: back: a value of type set is not plain JSON" in ran.error
    assert kernel.run("print(back)").stdout == "(1, {2}, 3)\n", "what was refused changes nothing"


def test_variables_that_cannot_be_carried(kernel: Any) -> None:
    ran = kernel.run("%%backendai --in no_such\n1")
    assert ran.error == "InvalidArgument: --in: there is no variable 'no_such' here"
    ran = kernel.run("%%backendai --out no_such\n1")
    assert ran.error == "UsageError: --out: of the session shared: no_such: there is no such variable"
    kernel.run("large = 'x' * (1 << 20)")
    assert "more than the limit of 1048576" in kernel.run("%%backendai --in large\n1").error
    assert "more than the limit" in kernel.run("%%backendai --out big\nbig = 'x' * (1 << 20)").error
    # A class of the notebook's own cannot be made again where it is not defined.
    kernel.run("class Own: pass\nown = Own()")
    ran = kernel.run("%%backendai --in own --pickle\nprint('ran')")
    assert "UsageError: --in: of the session shared: own: AttributeError" in ran.error
    assert ran.stdout == "", "the cell did not run without it"


def test_questions_are_asked_in_the_cell(kernel: Any) -> None:
    code = "import getpass\nname = input('who? ')\nword = getpass.getpass('word? ')\nprint('hello', name, len(word))"
    ran = kernel.run(f"%%backendai\n{code}", answers=("Ada", "secret"))
    asked = [(c["prompt"], c["password"]) for c in ran.of("input_request")]
    assert asked == [("", False), ("", True)]
    assert "who? " in ran.stdout
    assert ran.stdout.endswith("hello Ada 6\n")


def test_where_nobody_can_answer_the_code_is_interrupted(kernel: Any) -> None:
    ran = kernel.run("%%backendai\ninput('who? ')")
    assert "StdinNotImplementedError" in ran.error
    assert kernel.run("%%backendai\nprint('free')").stdout == "free\n"


def test_stopping_a_cell_that_asks(kernel: Any) -> None:
    def stop(message: dict[str, Any]) -> None:
        if message["msg_type"] == "input_request":
            kernel.interrupt()

    ran = kernel.run("%%backendai\ninput('who? ')", answers=(), seen=stop)
    assert ran.error == "KeyboardInterrupt: the code in the session was interrupted; the session lives"
    assert kernel.run("%%backendai\nprint('free')").stdout == "free\n"


@pytest.mark.parametrize("transport", ["rest", "websocket"])
def test_stopping_the_cell_interrupts_the_code(kernel: Any, transport: str) -> None:
    def stop(message: dict[str, Any]) -> None:
        if message["content"].get("text") == "begun\n":
            kernel.interrupt()

    ran = kernel.run(
        f"%%backendai --transport {transport}\n"
        "import time\n"
        "print('begun', flush=True)\n"
        "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('cleaning up')\n    stopped = True\n    raise",
        seen=stop,
    )
    assert ran.error == "KeyboardInterrupt: the code in the session was interrupted; the session lives"
    assert ran.stdout == "begun\ncleaning up\n", "also what it writes after that is shown"
    assert "KeyboardInterrupt" in ran.stderr
    assert kernel.run("%%backendai\nprint(stopped)\ndel stopped").stdout == "True\n"


def test_a_starting_session_is_shown_and_folds_away(kernel: Any, api: Session) -> None:
    holder = api.create("python", resources="cpu=1 mem=1g")

    def make_room(message: dict[str, Any]) -> None:
        if "queued" in message["content"].get("data", {}).get("text/plain", ""):
            holder.destroy()  # once more is no error

    ran = kernel.run("%backendai use later --image python --resources cpu=1 mem=1g", seen=make_room)
    assert not ran.error
    first, *updates = ran.of("display_data", "update_display_data")
    assert updates, "it is one place that changes"
    assert {c["transient"]["display_id"] for c in (first, *updates)} == {first["transient"]["display_id"]}
    assert first["data"]["text/html"].startswith("<details open>")
    assert '<li aria-current="step">queued' in first["data"]["text/html"]
    assert updates[-1]["data"]["text/html"].startswith("<details><summary")
    assert "running after" in updates[-1]["data"]["text/html"]
    assert updates[-1]["data"]["text/plain"].startswith("later: queued")
    assert "Session later" in ran.shown[-1]["text/html"], "the last value is the session"
    assert kernel.run("%backendai destroy").shown[0]["text/plain"] == "later: terminated"
    assert not kernel.run("%backendai use shared").error


def test_stopping_a_start_leaves_nothing(kernel: Any, api: Session) -> None:
    with api.create("python", resources="cpu=1 mem=1g"):

        def stop(message: dict[str, Any]) -> None:
            # Once: the second showing says that it has failed.
            if message["msg_type"] == "display_data":
                assert "queued" in message["content"]["data"]["text/plain"]
                kernel.interrupt()

        code = "from backendai_sdk import Session\nfrom backendai_sdk.notebook import create, execute\napi = Session()\n"
        ran = kernel.run(code + "create(api, 'python', name='never', resources='cpu=1 mem=1g')", seen=stop)
        assert ran.error == "KeyboardInterrupt: the session was given up"
        assert ran.shown[-1]["text/plain"].endswith("failed: it was given up")
        assert [row.name for row in api.match("never")] == []


def test_the_functions(kernel: Any) -> None:
    ran = kernel.run(
        "from backendai_sdk import Session\n"
        "from backendai_sdk.notebook import Phases, ask, create, execute, show\n"
        "with Session() as api, create(api, 'python', name='mine', resources='cpu=1 mem=1g') as cs:\n"
        "    execute(cs, 'print(1)')\n"
        "    result = cs.execute('print(input())', on_output=show, stdin=ask)\n"
        "    execute(cs, '1 / 0')\n",
        answers=("two",),
    )
    assert ran.stdout == "1\ntwo\n"
    assert ran.shown[-1]["text/plain"].endswith("running")
    assert ran.error == "ExecutionFailed: the code failed: ZeroDivisionError: division by zero"


def test_the_async_api_in_a_cell(kernel: Any) -> None:
    def stop(message: dict[str, Any]) -> None:
        if message["content"].get("text") == "begun\n":
            kernel.interrupt()

    ran = kernel.run(
        "from backendai_sdk import AsyncSession\n"
        "from backendai_sdk.notebook import Phases, ask, show\n"
        "api = AsyncSession()\n"
        "cs = await api.create('python', resources='cpu=1 mem=1g', on_progress=Phases('async'))\n"
        "await cs.execute('import time; print(\"begun\", flush=True); time.sleep(600)', on_output=show)",
        seen=stop,
    )
    assert ran.shown[-1]["text/plain"].startswith("async: ")
    assert ran.error
    ran = kernel.run(
        "await cs.execute('print(\"free\")', on_output=show); await cs.destroy(); await api.close()"
    )
    assert ran.stdout == "free\n"


def test_a_session_without_python_carries_nothing(kernel: Any) -> None:
    assert not kernel.run("%backendai use shell --image bash --resources cpu=1 mem=1g\nwords = 'a'").error
    try:
        assert kernel.run("%%backendai\necho $((6 * 7))").stdout == "42\n"
        ran = kernel.run("%%backendai --in words\necho ran")
        assert "the session shell could not carry them" in ran.error
        assert "ran" not in ran.stdout
        assert kernel.run("%%backendai\necho alive").stdout == "alive\n"
    finally:
        kernel.run("%backendai destroy\n%backendai use shared")


def test_help(kernel: Any) -> None:
    ran = kernel.run("%backendai?")
    (page,) = ran.reply["payload"]
    assert "%backendai use NAME" in page["data"]["text/plain"]
