"""Sessions driven by other programs than this Python: bash, node, and a Python of a given path."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from backendai_sdk.local import DEFAULT_IMAGES, Image, LocalCluster
from backendai_sdk.local.images import Catalogue
from backendai_sdk.local.kernel import Kernel, Runtime, find_runtime

LONG = 20.0
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
OTHERS = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[023]*/bin/python3"))


@pytest.fixture
async def start(tmp_path):
    kernels = []

    def begin(text, **options):
        runtime = find_runtime(text)
        assert runtime is not None
        kernels.append(Kernel(work_dir=tmp_path, runtime=runtime, agent_timeout=LONG, **options))
        return kernels[-1]

    yield begin
    for kernel in kernels:
        await kernel.close()


class Ran:
    def __init__(self, answer, console):
        self.status, self.exit_code, self.console = answer["status"], answer["exitCode"], console

    def text(self, kind):
        return "".join(data for item, data in self.console if item == kind)

    @property
    def stdout(self):
        return self.text("stdout")

    @property
    def stderr(self):
        return self.text("stderr")


async def run(kernel, code="", *, stdin=(), until=None, mode="query", options=None):
    """Runs code to its end, interrupted once it has printed `until`."""
    answers = list(stdin)
    answer = await kernel.execute(None, mode, code, options, flush_timeout=0.05 if until else LONG)
    console = []
    while True:
        console += answer["console"]
        if until and until in "".join(data for _, data in console):
            until = None
            await kernel.interrupt()
        if answer["status"] == "finished":
            return Ran(answer, console)
        asked = answer["status"] == "waiting-input"
        answer = await kernel.execute(
            answer["runId"], "input" if asked else "continue", answers.pop(0) if asked else "", None
        )


def exists(pid):
    return Path(f"/proc/{pid}/stat").exists() and ") Z" not in Path(f"/proc/{pid}/stat").read_text()


# --- bash ------------------------------------------------------------------------------------------------------


async def test_bash_keeps_its_state(start, tmp_path):
    kernel = start("bash")
    await run(kernel, "x=1; declare -a list=(a b); f() { echo f $x; }; alias hey='echo hey'")
    await run(kernel, "mkdir sub; cd sub; exec 3>log; (exit 7)")
    ran = await run(kernel, "echo $?; f; echo ${list[1]}; hey; pwd; echo three >&3; cat log")
    assert ran.stdout == f"7\nf 1\nb\nhey\n{tmp_path}/sub\nthree\n"
    assert (ran.stderr, ran.exit_code) == ("", 0)


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("", 0, ""),
        ("false", 1, ""),
        ("(exit 4)", 4, ""),
        ("if then", 2, "bash: syntax error near unexpected token `then'\n"),
        ("echo 'open", 2, "bash: unexpected EOF while looking for matching `''\n"),
        ("no_such_command", 127, "bash: no_such_command: command not found\n"),
        ("echo it\\'s 'a\tb' >&2", 0, "it's a\tb\n"),
        ("cat", 0, ""),  # the input is empty
        ("echo a!!b \x00한글 >&2", 0, "a!!b 한글\n"),
    ],
)
@pytest.mark.parametrize("exceptions_fail", [True, False])
async def test_bash_exit_codes(start, code, exit_code, stderr, exceptions_fail):
    ran = await run(start("bash", exceptions_fail=exceptions_fail), code)
    assert (ran.exit_code, ran.stderr) == (exit_code, stderr)


@pytest.mark.parametrize(
    ("code", "exit_code"), [("exit 3", 3), ("set -e; false; echo no", 1), ("kill -9 $$", 137)]
)
async def test_a_shell_that_ends_is_followed_by_a_fresh_one(start, tmp_path, code, exit_code):
    kernel = start("bash")
    await run(kernel, "x=1; cd /")
    ran = await run(kernel, code)
    assert (ran.exit_code, ran.console) == (exit_code, [])
    ran = await run(kernel, "echo ${x-gone}; pwd")
    assert ran.stdout == f"gone\n{tmp_path}\n"


async def test_a_program_left_behind_does_not_hold_the_run_up(start):
    kernel = start("bash")
    ran = await run(kernel, "sleep 600 & echo $!; kill -9 $$")
    assert ran.exit_code == 137
    pid = int(ran.stdout)
    await kernel.close()
    async with asyncio.timeout(LONG):
        while exists(pid):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "answers", "stdout"),
    [
        ("read -p 'who? ' first last; echo $last, $first", ["Ada Lovelace"], "who? Lovelace, Ada\n"),
        ('read; echo "[$REPLY]"', ["a b"], "[a b]\n"),
        ("read -rp'path: ' p; echo $p", ["a\\b"], "path: a\\b\n"),
        ("read -a words; echo ${words[1]}", ["a b c"], "b\n"),
        ("f() { local x; read x; echo f $x; }; f; echo ${x-none}", ["1"], "f 1\nnone\n"),
        ('while read line && [[ $line ]]; do echo "<$line>"; done', ["1", "2", ""], "<1>\n<2>\n"),
        ("printf '1\\n2\\n' | while read n; do echo $n; done", [], "1\n2\n"),
        ("read x <<< word; echo $x", [], "word\n"),
        ("read -u 4 x 4<<< four; echo $x", [], "four\n"),
        ("python3 -c 'print(input(\"n? \"))'", ["9"], "n? 9\n"),
    ],
)
async def test_bash_asks_when_it_reads(start, code, answers, stdout):
    ran = await run(start("bash"), code, stdin=answers)
    assert (ran.stdout, ran.stderr, ran.exit_code) == (stdout, "", 0)


async def test_bash_asks_for_passwords(start):
    kernel = start("bash")
    answer = await kernel.execute("r", "query", "read -sp 'password: ' p", None, flush_timeout=LONG)
    assert answer["console"] == [["stdout", "password: "]]
    assert answer["options"] == {"is_password": True}
    await kernel.interrupt()
    while answer["status"] != "finished":
        answer = await kernel.execute("r", "continue", "", None)
    assert answer["exitCode"] == 130
    assert (await run(kernel, "read x; echo $x", stdin=["later"])).stdout == "later\n"


@pytest.mark.parametrize(
    "code",
    [
        "x=1; echo go; sleep 600; echo after",
        "x=1; echo go; while :; do :; done",
        "x=1; echo go; for i in 1 2 3; do sleep 600; done; echo after",
        "x=1; echo go; (sleep 600); echo after",
        "x=1; echo go; y=$(sleep 600); echo after",
    ],
)
async def test_bash_is_interrupted_as_a_whole_and_lives_on(start, code):
    kernel = start("bash")
    ran = await run(kernel, code, until="go")
    assert (ran.exit_code, ran.stdout) == (130, "go\n")
    assert (await run(kernel, "echo $x")).stdout == "1\n"


@pytest.mark.parametrize("command", ["/bin/true", "sleep 0.01"] * 3)
async def test_a_loop_of_short_commands_is_interrupted(start, command):
    """A shell takes no notice of a Ctrl-C if the command that it waited for has ended by itself just then."""
    ran = await run(start("bash"), f"echo go; while :; do {command}; done", until="go")
    assert (ran.exit_code, ran.stdout) == (130, "go\n")


async def test_a_command_may_take_its_time_to_clean_up(start):
    program = """
import time
print("go", flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(0.35)
    print("clean", flush=True)
"""
    ran = await run(start("bash"), f"python3 -c '{program}'; echo after", until="go")
    assert ran.stdout.startswith("go\nclean\n")


async def test_a_trap_of_the_code_is_heeded(start):
    code = "trap 'echo caught; done=1' INT; echo go; while [[ ! $done ]]; do sleep 0.01; done; echo after"
    ran = await run(start("bash"), code, until="go")
    assert ran.exit_code == 0
    assert ran.stdout.startswith("go\ncaught\n")
    assert ran.stdout.endswith("after\n")


async def test_restart_forgets_and_batch_steps_run(start, tmp_path):
    kernel = start("bash")
    await run(kernel, "x=1")
    await kernel.restart()
    assert (await run(kernel, "echo ${x-gone}")).stdout == "gone\n"
    assert await kernel.complete("ech", {}) == []
    ran = await run(kernel, mode="batch", options={"exec": "*"})
    assert (ran.exit_code, ran.stderr) == (
        127,
        'bash-kernel: bash-kernel: cannot find the main script ("main.sh").\n',
    )
    (tmp_path / "main.sh").write_text("echo main; exit 5\n")
    ran = await run(kernel, mode="batch", options={"build": "*", "exec": "*"})
    assert (ran.exit_code, ran.stdout) == (5, "main\n")


async def test_a_lot_of_output_and_a_long_code(start):
    kernel = start("bash")
    assert len((await run(kernel, "yes 0123456789 | head -c 3000000")).stdout) == 3_000_000
    assert (await run(kernel, "x=" + "y" * 300_000 + "; echo ${#x}")).stdout == "300000\n"


async def test_bash_does_not_leak_its_lines(start):
    shown = (await run(start("bash"), "ls -l /proc/self/fd; env | grep -c SECRET")).stdout
    # Input, output, errors, the folder being listed, and the line on which Python programs ask.
    assert sum(" -> " in line for line in shown.splitlines()) == 5


# --- node ------------------------------------------------------------------------------------------------------


@needs_node
async def test_node_keeps_its_state(start, tmp_path):
    kernel = start("node", memory_limit=1 << 30)
    await run(kernel, "const a = 1; let b = 2; var c = 3; function f() { return a + b + c }; d = 4")
    ran = await run(kernel, "console.log(f() + d, require('path').sep, process.cwd()); console.error('oops')")
    assert (ran.stdout, ran.stderr, ran.exit_code) == (f"10 / {tmp_path}\n", "oops\n", 0)
    (tmp_path / "helper.js").write_text("exports.x = 42")
    (tmp_path / "helper.mjs").write_text("export const y = 43")
    assert (await run(kernel, "console.log(require('./helper').x)")).stdout == "42\n"
    ran = await run(kernel, "console.log((await import('./helper.mjs')).y)")
    assert (ran.stdout, ran.stderr) == ("43\n", "")
    assert await kernel.complete("x = Math.sq", {}) == ["Math.sqrt"]
    assert await kernel.complete("nothing.sq", {}) == []
    await kernel.restart()
    assert (await run(kernel, "console.log(typeof a)")).stdout == "undefined\n"


@needs_node
@pytest.mark.parametrize(
    ("code", "exit_code", "stdout", "said"),
    [
        ("", 0, "", ""),
        ("1 + 1", 0, "", ""),
        ("setTimeout(() => console.log('later'), 20)", 0, "later\n", ""),
        ("console.log(await Promise.resolve(5))", 0, "5\n", ""),
        ("console.log('a'); null.x", 1, "a\n", "TypeError: Cannot read properties of null"),
        ("if (", 1, "", "SyntaxError: Unexpected end of input"),
        ("await null.x", 1, "", "TypeError"),
        ("throw 5", 1, "", "Uncaught 5\n"),
        ("Promise.reject(new Error('lost'))", 1, "", "Uncaught Error: lost"),
        ("setTimeout(() => { throw new Error('late') }, 5)", 1, "", "Uncaught Error: late"),
        ("await new Promise(() => {})", 13, "", "unsettled top-level await"),
        ("process.exitCode = 7", 7, "", ""),
        ("console.log(require('fs').readFileSync(0).length)", 0, "0\n", ""),
    ],
)
async def test_node_exit_codes(start, code, exit_code, stdout, said):
    kernel = start("node")
    ran = await run(kernel, code)
    assert (ran.exit_code, ran.stdout) == (exit_code, stdout)
    assert said in ran.stderr
    assert bool(said) == bool(ran.stderr)
    assert "node.js" not in ran.stderr, "frames of the driver are left out"
    ran = await run(kernel, "console.log('lives')")
    assert (ran.exit_code, ran.stdout) == (0, "lives\n")


@needs_node
async def test_node_that_exits_is_followed_by_a_fresh_one(start):
    kernel = start("node")
    await run(kernel, "var x = 1")
    ran = await run(kernel, "console.log('bye'); process.exit(4)")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (4, "bye\n", "")
    assert (await run(kernel, "console.log(typeof x)")).stdout == "undefined\n"


@needs_node
@pytest.mark.parametrize(
    "code",
    [
        "var x = 1; console.log('go'); while (true) {}",
        "var x = 1; setInterval(() => {}, 10); setTimeout(() => console.log('go'), 50)",
        "x = 1; setTimeout(() => console.log('go'), 50); await new Promise((done) => setTimeout(done, 600000))",
        "var x = 1; require('net').createServer().listen(0, () => setTimeout(() => console.log('go'), 50))",
    ],
)
async def test_node_is_interrupted_and_lives_on(start, code):
    kernel = start("node")
    ran = await run(kernel, code, until="go")
    assert ran.exit_code != 0
    assert ran.stdout == "go\n"
    assert (await run(kernel, "console.log(x)")).stdout == "1\n"


@needs_node
async def test_node_batch_steps(start, tmp_path):
    kernel = start("node", memory_limit=256 << 20)
    ran = await run(kernel, mode="batch", options={"build": "*", "exec": "*"})
    assert ran.exit_code == 127
    assert '"main.js"' in ran.stderr
    (tmp_path / "main.js").write_text("console.log('main'); process.exit(5)")
    ran = await run(kernel, mode="batch", options={"build": "*", "exec": "*"})
    assert (ran.exit_code, ran.stdout) == (5, "main\n")


# --- Python of a given path ------------------------------------------------------------------------------------


@pytest.mark.skipif(not OTHERS, reason="no other Python 3.10, 3.12 or 3.13 in ~/.pyenv")
@pytest.mark.parametrize("python", OTHERS, ids=lambda path: path.parent.parent.name)
async def test_another_python(start, python, tmp_path):
    version = python.parent.parent.name
    kernel = start(f"python:{python}", memory_limit=1 << 30)
    ran = await run(
        kernel,
        "import sys, platform; name = input('who? '); print(platform.python_version(), name)",
        stdin=["me"],
    )
    assert ran.stdout == f"who? {version} me\n"
    assert "ZeroDivisionError" in (await run(kernel, "1/0")).stderr
    assert await kernel.complete("platform.python_ver", {}) != []
    ran = await run(kernel, "print('go')\nwhile True: pass", until="go")
    assert "KeyboardInterrupt" in ran.stderr
    assert (await run(kernel, "print(name)")).stdout == "me\n"
    (tmp_path / "main.py").write_text("import platform; print(platform.python_version(), input())")
    ran = await run(kernel, mode="batch", options={"exec": "*"}, stdin=["again"])
    assert ran.stdout == f"{version} again\n"


@pytest.mark.parametrize("text", ["python:/bin/false", "bash:/bin/false", "node:/bin/false"])
async def test_a_program_that_is_not_what_it_should_be(start, text):
    kernel = start(text)
    for _ in range(2):
        ran = await run(kernel, "1")
        assert (ran.exit_code, ran.stderr) == (127, "the interpreter did not start (exit code 1)\n")


# --- which program an image names ------------------------------------------------------------------------------


def test_what_a_text_names(tmp_path, monkeypatch):
    assert find_runtime("bash") == Runtime("bash", shutil.which("bash") or "")
    assert find_runtime(f"python:{sys.executable}") == Runtime("python", sys.executable)
    assert find_runtime(sys.executable) == Runtime("python", sys.executable)
    mine = tmp_path / "mine"
    mine.write_text("")
    assert find_runtime(f"bash:{mine}") is None, "it is not executable"
    mine.chmod(0o755)
    assert find_runtime(f"bash:{mine}") == Runtime("bash", str(mine))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_runtime("node:~/mine") == Runtime("node", str(mine))
    assert find_runtime("node:/no/such") is None
    with pytest.raises(ValueError, match=r"interpreter='/opt/mine'.*python:PATH, bash:PATH, node:PATH"):
        find_runtime("/opt/mine")


def test_the_catalogue_offers_what_is_here(monkeypatch, tmp_path):
    catalogue = Catalogue()
    assert catalogue.find("bash").runtime.kind == "bash"
    monkeypatch.setenv("PATH", str(tmp_path))
    catalogue = Catalogue()
    assert catalogue.find("bash") is None
    assert catalogue.find("node") is None
    assert catalogue.find("python").runtime.python == sys.executable
    assert {image.name for image in catalogue} == {"stable/python"}


def test_a_program_of_this_machine_is_an_image():
    catalogue = Catalogue()
    image = catalogue.find(f"python:{sys.executable}")
    assert image.runtime == Runtime("python", sys.executable)
    assert image.canonical.startswith("cr.backend.ai/local/python:")
    assert catalogue.find(image.canonical) is image
    assert catalogue.find(f"python:{sys.executable}") is image
    assert image in list(catalogue)
    for text in (
        "python:/no/such/python",
        "perl:/usr/bin/env",
        "python:/",
        f"python:{os.path.dirname(sys.executable)}",
    ):
        assert catalogue.find(text) is None


def test_an_image_whose_interpreter_is_not_here():
    mine = Image(name="lab/mine", tag="1", interpreter="/no/such/python3.99")
    with pytest.raises(
        ValueError, match=r"'/no/such/python3.99' of image cr.backend.ai/lab/mine:1: there is no"
    ):
        LocalCluster(images=[*DEFAULT_IMAGES, mine])
