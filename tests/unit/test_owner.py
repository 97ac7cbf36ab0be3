"""Who owns a session: told apart from every process that ever had the pid, and never taken for dead in doubt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

from backendai_sdk._journal import owner as owners
from backendai_sdk._journal.owner import SILENT_FOR, Owner, lives, this_process

ROOT = Path(__file__).parents[2]
NOW = 1_000_000.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def child():
    """A process that says that it runs, and then waits to be killed."""
    code = "print('up', flush=True); import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def owner_of(pid: int) -> Owner:
    return owners._look(pid)


def test_this_process_lives_and_is_always_the_same():
    me = this_process()
    assert me is this_process()
    assert me.pid == os.getpid()
    assert lives(me, me, now=NOW)
    assert attrs.evolve(me, beat=NOW) == me
    assert me.id == attrs.evolve(me, beat=NOW).id
    assert " " not in me.id


@linux
def test_a_process_lives_until_it_is_killed_even_before_its_parent_has_noticed(child):
    owner, me = owner_of(child.pid), this_process()
    assert owner.place == me.place
    assert owner.id != me.id
    assert lives(owner, me, now=NOW)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}").exists()  # a zombie
    assert not lives(owner, me, now=NOW)
    child.wait()
    assert not lives(owner, me, now=NOW)
    # A heartbeat of a moment ago does not help: here the kernel knows.
    assert not lives(attrs.evolve(owner, beat=NOW), me, now=NOW)


@linux
def test_another_process_with_the_same_pid_is_not_the_owner(child):
    owner = owner_of(child.pid)
    before = attrs.evolve(owner, started=str(int(owner.started) - 1), beat=NOW)
    assert not lives(before, this_process(), now=NOW)
    assert before.id != owner.id


@linux
@pytest.mark.parametrize("name", [") Z 1 (", "a b c", "))))", ""])
def test_a_process_may_be_called_anything(name):
    code = f"open('/proc/self/comm', 'w').write({name!r}); print('up', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        assert lives(owner_of(process.pid), this_process(), now=NOW)
        process.communicate(b"\n")


@pytest.mark.parametrize("place", ["", "another-boot:4026531836", "this-boot:1"])
@pytest.mark.parametrize(("silent_for", "alive"), [(0, True), (SILENT_FOR - 1, True), (SILENT_FOR, False)])
def test_of_a_process_elsewhere_the_heartbeat_decides(place, silent_for, alive):
    # Its pid is that of a process that lives here, which means nothing.
    owner = Owner(host="h", place=place, pid=os.getpid(), started="1", beat=NOW - silent_for)
    assert lives(owner, this_process(), now=NOW) is alive


@linux
def test_a_process_that_proc_hides_is_not_dead(monkeypatch, child):
    owner, me = owner_of(child.pid), this_process()
    monkeypatch.setattr(owners, "_stat", lambda pid: None)
    assert lives(attrs.evolve(owner, beat=NOW - 1), me, now=NOW)
    assert not lives(attrs.evolve(owner, beat=NOW - SILENT_FOR), me, now=NOW)


@linux
def test_a_process_of_another_user_exists(monkeypatch, child):
    owner = owner_of(child.pid)

    def refuse(pid, number):
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        assert lives(owner, this_process(), now=NOW)


@pytest.mark.parametrize("number", [2**31, 2**70, -(2**70)])
def test_a_number_that_is_no_pid(number):
    me = this_process()
    assert not lives(attrs.evolve(me, pid=number, started="x"), me, now=NOW + SILENT_FOR)


def test_without_proc_every_look_gives_another_owner_and_the_heartbeat_decides(monkeypatch, tmp_path):
    monkeypatch.setattr(owners, "_PROC", tmp_path)
    one, two = owners._look(7), owners._look(7)
    assert one.place == two.place == ""
    assert one != two
    assert lives(attrs.evolve(one, beat=NOW), two, now=NOW)
    assert not lives(attrs.evolve(one, beat=NOW - SILENT_FOR), two, now=NOW)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_its_own_owner():
    code = """
        import os
        from backendai_sdk._journal.owner import lives, this_process
        me = this_process()
        pid = os.fork()
        if pid == 0:
            assert this_process() != me and this_process().pid == os.getpid()
            assert lives(me, this_process(), now=0)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert this_process() is me
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, timeout=20)
    assert done.returncode == 0
