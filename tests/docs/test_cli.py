"""examples/backendai_cli.py, as a user runs it: a child process that talks to a local cluster."""

from __future__ import annotations

import runpy
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backendai_sdk import Session
from backendai_sdk.local import Agent, LocalCluster

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = Agent("i-small", cpu=2, mem="4g", accelerators={})


@pytest.fixture(scope="module")
def roomy() -> Iterator[LocalCluster]:
    """A cluster with room for everything; each test leaves nothing behind in it."""
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(roomy: LocalCluster) -> Iterator[LocalCluster]:
    yield roomy
    if left := live(roomy):
        with connect(roomy) as api:
            api.destroy(*left)
    assert left == []


@pytest.fixture
def full() -> Iterator[LocalCluster]:
    """A cluster whose only session, `holder-1`, takes all cpus: what comes next waits."""
    with LocalCluster(agents=[SMALL]) as cluster, connect(cluster) as api:
        api.create("python", name="holder-1", resources="cpu=2 mem=1g")
        yield cluster


@pytest.fixture(scope="module")
def listed() -> Iterator[LocalCluster]:
    """A cluster with one session that has ended, one that runs, and eleven that wait."""
    with LocalCluster(agents=[SMALL]) as cluster, connect(cluster) as api:
        ended = api.create("python", name="ended-1", resources="cpu=1 mem=1g")
        ended.destroy()
        ended.wait("dead", timeout=20)
        api.create("python", name="runs-1", resources="cpu=2 mem=1g", tag="tagged")
        for number in range(11):
            api.create("python", name=f"waits-{number:02}", resources="cpu=1 mem=1g", enqueue_only=True)
        yield cluster


def connect(cluster: LocalCluster) -> Session:
    return Session(cluster.endpoint, access_key=cluster.access_key, secret_key=cluster.secret_key)


def live(cluster: LocalCluster) -> list[str]:
    return [s.name for s in cluster.live_sessions() if s.status != "TERMINATING"]


def cli(children: Any, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return children.run("backendai_cli.py", *args, stdin=stdin)


def succeed(children: Any, *args: str, stdin: str = "") -> str:
    """Run a command that must succeed; its output."""
    done = cli(children, *args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- ps -------------------------------------------------------------------------------------------------


def test_ps(children: Any, listed: LocalCluster) -> None:
    done = cli(children.of(listed), "ps")
    head, *rows = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(rows) == 10
    assert done.stderr == "(2 more; use --all)\n"
    assert set(head.split()) == {
        *("name", "access_key", "id", "group_name", "main_kernel_id", "image", "type", "status"),
        *("status_info", "status_changed", "result"),
    }
    assert all("PENDING" in row and "interactive" in row for row in rows)


def test_ps_all_and_name_only(children: Any, listed: LocalCluster) -> None:
    done = cli(children.of(listed), "ps", "--all", "--name-only")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["runs-1", *(f"waits-{n:02}" for n in range(11))]
    done = cli(children.of(listed), "ps", "--name-only")
    assert len(done.stdout.splitlines()) == 10
    assert done.stderr == "(2 more; use --all)\n"


@pytest.mark.parametrize(("option", "name"), [("--running", "runs-1"), ("--dead", "ended-1")])
def test_ps_of_a_status(children: Any, listed: LocalCluster, option: str, name: str) -> None:
    done = cli(children.of(listed), "ps", option, "--format", "name")
    assert done.stdout.split() == ["name", name]
    assert done.stderr == ""


def test_ps_detail(children: Any, listed: LocalCluster) -> None:
    head, row = succeed(children.of(listed), "ps", "--running", "--detail").splitlines()
    assert {"tag", "created_at", "occupying_slots", "status"} <= set(head.split())
    assert "tagged" in row
    assert "cpu=2 mem=1g" in row


def test_ps_format(children: Any, listed: LocalCluster) -> None:
    lines = succeed(children.of(listed), "ps", "-f", "status,name,tag,project", "--running").splitlines()
    assert [line.split() for line in lines] == [
        ["status", "name", "tag", "project"],
        ["RUNNING", "runs-1", "tagged", "default"],
    ]
    every = (
        "id,session_id,main_kernel_id,tag,name,type,image,registry,cluster_template,cluster_mode,cluster_size,"
        "domain_name,group_name,project,group_id,agent_ids,user_email,user_id,access_key,status,status_info,"
        "status_changed,created_at,terminated_at,starts_at,scheduled_at,startup_command,result,resource_opts,"
        "scaling_group,service_ports,mounts,occupying_slots,dependencies,abusing_reports,idle_checks"
    )
    head, row = succeed(children.of(listed), "ps", "-f", every, "--running").splitlines()
    assert head.split() == every.split(",")
    assert "runs-1" in row
    assert "UNSET" not in row


def test_ps_filter_and_order(children: Any, listed: LocalCluster) -> None:
    what = ("ps", "--name-only", "--filter", 'name like "%-1" | name like "waits-0%"')
    names = succeed(children.of(listed), *what, "--order", "name", "--all").split()
    assert names == ["runs-1", *(f"waits-{n:02}" for n in range(10))]
    assert succeed(children.of(listed), *what, "--order=-name", "--all").split() == names[::-1]


def test_ps_access_key(children: Any, listed: LocalCluster) -> None:
    admin = children.of(listed, listed.admin)
    keys = succeed(admin, "ps", "--access-key", listed.access_key, "-f", "access_key").split()
    assert keys == ["access_key", *[listed.access_key] * 10]
    assert succeed(admin, "ps", "--access-key", listed.admin.access_key) == ""
    done = cli(children.of(listed), "ps", "--access-key", listed.admin.access_key)
    assert (done.returncode, done.stdout) == (2, "")
    assert "administrators" in done.stderr


# --- run ------------------------------------------------------------------------------------------------


def test_run_a_snippet(children: Any, cluster: LocalCluster) -> None:
    done = cli(children.of(cluster), "run", "--rm", "-c", 'print("hello world")', "python:3.6-ubuntu18.04")
    assert (done.returncode, done.stdout) == (0, "hello world\n")
    assert "running: RUNNING" in done.stderr
    assert cluster.sessions()[-1].image.endswith("python:3.6-ubuntu18.04")


def test_run_a_command_with_files_and_options(children: Any, cluster: LocalCluster) -> None:
    script = (
        "import os, sys\nprint(sys.argv[1:], os.environ['A'])\nprint('bad', file=sys.stderr)\nsys.exit(7)\n"
    )
    (children.folder / "myscript.py").write_text(script)
    done = cli(
        children.of(cluster),
        *(
            "run",
            "--rm",
            "--exec",
            "python myscript.py arg1 arg2",
            "--build",
            "echo built",
            "--clean",
            "echo clean",
        ),
        *(
            "-r",
            "cpu=4",
            "-r",
            "mem=8g",
            "-r",
            "cuda.shares=2",
            "-t",
            "run-1",
            "-e",
            "A=b=c",
            "--max-wait",
            "20",
        ),
        *("python:3.6-ubuntu18.04", "./myscript.py"),
    )
    assert (done.returncode, done.stdout) == (7, "clean\nbuilt\n['arg1', 'arg2'] b=c\n")
    assert "bad\n" in done.stderr
    made = cluster.sessions()[-1]
    assert made.name == "run-1"
    assert dict(made.requested_slots) == {"cpu": "4", "mem": str(8 << 30), "cuda.shares": "2"}


def test_a_build_that_fails(children: Any, cluster: LocalCluster) -> None:
    done = cli(children.of(cluster), "run", "--rm", "--build", "exit 3", "--exec", "echo never", "python")
    assert (done.returncode, done.stdout) == (127, "")


def test_an_exception(children: Any, cluster: LocalCluster) -> None:
    done = cli(children.of(cluster), "run", "--rm", "-c", "print('before')\n1 / 0", "python")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback (most recent call last)" in done.stderr


def test_without_rm_the_session_is_kept(children: Any, cluster: LocalCluster) -> None:
    done = cli(children.of(cluster), "run", "-t", "kept-1", "-c", "1 / 0", "python")
    (kept,) = cluster.live_sessions()
    assert f"the session kept-1 {kept.id} is kept" in done.stderr.splitlines()
    assert succeed(children.of(cluster), "rm", "kept-1") == "kept-1: terminated\n"


def test_output_arrives_as_it_is_written(children: Any, cluster: LocalCluster) -> None:
    """The code waits for a file that is only made once its first line has arrived."""
    gate = children.folder / "gate"
    code = (
        "import os, time\nprint('first')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "print('second')"
    )
    with children.of(cluster).start("backendai_cli.py", "run", "--rm", "-c", code, "python") as child:
        assert child.stdout.readline() == "first\n"
        gate.touch()
        assert child.stdout.read() == "second\n"
        assert child.wait(25) == 0


def test_input_comes_from_standard_input(children: Any, cluster: LocalCluster) -> None:
    code = "print([input('one? '), input('two? ')])"
    mine = children.of(cluster)
    done = cli(mine, "run", "--rm", "-c", code, "python", stdin="a\nb\nc\n")
    assert done.stdout == "one? two? ['a', 'b']\n"
    done = cli(mine, "run", "--rm", "-c", code, "python", stdin="a\n")
    assert done.returncode == 2
    assert "standard input has ended" in done.stderr.splitlines()[-1]


# --- start, and waiting ---------------------------------------------------------------------------------


def test_start(children: Any, cluster: LocalCluster) -> None:
    mine = children.of(cluster)
    output = succeed(mine, "start", "-t", "start-1", "-r", "cpu=2", "-r", "mem=256", "python")
    (made,) = cluster.live_sessions()
    assert output == f"start-1 {made.id}\n"
    assert made.status == "RUNNING"
    assert dict(made.requested_slots) == {"cpu": "2", "mem": str(256 << 20)}
    done = cli(mine, "start", "-t", "start-1", "python")
    assert done.returncode == 2
    assert "already exists" in done.stderr.splitlines()[-1]
    assert succeed(mine, "rm", made.id) == f"{made.id}: terminated\n"


@pytest.mark.parametrize("command", [("start",), ("run", "-c", "print(1)")])
def test_enqueue_only_and_rm(children: Any, full: LocalCluster, command: tuple[str, ...]) -> None:
    mine = children.of(full)
    done = cli(mine, *command, "--enqueue-only", "-r", "cpu=1", "-r", "mem=1g", "-t", "queued-1", "python")
    queued = full.sessions()[-1]
    assert (done.returncode, done.stdout) == (0, f"queued-1 {queued.id}\n")
    assert ("nothing is run" in done.stderr) == (command[0] == "run")
    assert queued.status == "PENDING"
    done = cli(mine, "rm", "queued-1", "no-such-session", "holder-1")
    cancelled, failed, ended = done.stdout.splitlines()
    assert done.returncode == 1
    assert cancelled == "queued-1: cancelled (it was pending)"
    assert failed.startswith("no-such-session: ")
    assert ended == "holder-1: terminated"
    assert live(full) == []
    assert succeed(mine, "rm", "--forced", queued.id) == f"{queued.id}: had ended before\n"


@pytest.mark.parametrize("command", [("start",), ("run", "--rm", "-c", "print(1)")])
def test_max_wait(children: Any, full: LocalCluster, command: tuple[str, ...]) -> None:
    done = cli(children.of(full), *command, "--max-wait", "0.3", "-r", "cpu=1", "-r", "mem=1g", "python")
    assert (done.returncode, done.stdout) == (2, "")
    assert "queued: PENDING" in done.stderr
    assert "max_wait ran out" in done.stderr.splitlines()[-1]
    assert live(full) == ["holder-1"]


def test_events(children: Any, full: LocalCluster) -> None:
    with children.of(full).start("backendai_cli.py", "events", "holder-1") as child:
        assert child.stderr.readline() == "following holder-1, which is RUNNING\n"
        assert succeed(children.of(full), "rm", "holder-1") == "holder-1: terminated\n"
        *lines, last = child.stdout.read().splitlines()
        assert child.wait(25) == 0
    assert "session_terminating user-requested" in lines
    assert last.startswith("session_terminated ")


# --- what goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["ps", "-f", "nam"], "did you mean 'name'"),
        (["ps", "--filter", "name ="], "filter"),
        (["run", "--rm", "-c", "1", "no-such-image:1"], "no-such-image:1"),
        (["run", "--rm", "-c", "1", "-r", "gpu=1", "python"], "cuda"),
        (["run", "--rm", "--exec", "ls", "python", "./missing.py"], "there is no file"),
        (["events", "no-such-session"], "no-such-session"),
    ],
)
def test_errors_are_one_line(children: Any, cluster: LocalCluster, command: list[str], said: str) -> None:
    done = cli(children.of(cluster), *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run", "python"],
        ["run", "-c", "1", "--exec", "ls", "python"],
        ["run", "-c", "1", "--build", "ls", "python"],
        ["start", "-e", "A", "python"],
        ["start", "--enqueue-only", "--max-wait", "1", "python"],
        ["ps", "--running", "--dead"],
        ["rm"],
    ],
)
def test_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(EXAMPLES / "backendai_cli.py"))["main"]
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_settings(children: Any, cluster: LocalCluster) -> None:
    done = cli(children, "ps")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no endpoint: ")
    stranger = children.of(cluster)
    stranger.environment["BACKEND_SECRET_KEY"] = "wrong"
    done = cli(stranger, "ps")
    assert done.returncode == 2
    assert "401" in done.stderr
    assert "wrong" not in done.stderr


# --- Ctrl-C ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["import time\nprint('go', flush=True)\ntime.sleep(600)", "print('go')\ninput()"]
)
def test_ctrl_c_during_a_run(children: Any, cluster: LocalCluster, code: str) -> None:
    with children.of(cluster).start("backendai_cli.py", "run", "--rm", "-c", code, "python") as child:
        assert child.stdout.readline() == "go\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(25) == 130
        assert "Traceback (most recent call last):" not in child.stderr.read()
    assert live(cluster) == []


def test_ctrl_c_in_the_queue(children: Any, full: LocalCluster) -> None:
    command = ("run", "--rm", "-r", "cpu=1", "-r", "mem=1g", "-c", "1", "python")
    with children.of(full).start("backendai_cli.py", *command) as child:
        assert child.stderr.readline().startswith("queued: PENDING")
        child.send_signal(signal.SIGINT)
        assert child.wait(25) == 130
    assert full.sessions()[-1].status == "CANCELLED"


def test_a_cluster_for_one_command(children: Any) -> None:
    assert succeed(children, "--local", "run", "--rm", "-c", "print(6 * 7)", "python") == "42\n"
    code = "import time\nprint('go', flush=True)\ntime.sleep(600)"
    with children.start("backendai_cli.py", "--local", "run", "--rm", "-c", code, "python") as child:
        assert child.stdout.readline() == "go\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(25) == 130
        assert "Traceback (most recent call last):" not in child.stderr.read()
