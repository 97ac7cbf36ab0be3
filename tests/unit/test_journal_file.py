"""The journal's file: what is written stays, whoever else writes; what is wrong with it is said."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backendai_sdk._journal import file as files
from backendai_sdk._journal.entry import Entry, State
from backendai_sdk._journal.file import JournalFile
from backendai_sdk._journal.owner import Owner
from backendai_sdk.errors import JournalError

ROOT = Path(__file__).parents[2]
OWNERS = [Owner(host="h", place="boot:1", pid=pid, started="7", beat=1.0) for pid in (1, 2)]


def entry(key="k1", owner=OWNERS[0], **given):
    fields = {
        "endpoint": "http://a",
        "account": "AK",
        "access_key": "AK",
        "name": f"n-{key}",
        "asked_at": 5.0,
    }
    return Entry(key=key, owner=owner, **(fields | given))


def all_of(journal: JournalFile) -> list[Entry]:
    (found,) = journal.do([files.entries()])
    return found


@pytest.fixture
def journal(tmp_path):
    return JournalFile(tmp_path / "folder" / "below" / "j.sqlite3")


def test_the_life_of_an_entry(journal):
    one = entry()
    journal.do([files.intend(one, now=3.0)])
    assert all_of(journal) == [one]
    assert all_of(journal)[0].owner.beat == 3.0
    journal.do([files.made("k1", "id-1")])
    assert all_of(journal) == [attrs.evolve(one, session_id="id-1", state=State.LIVE)]
    journal.do([files.beat(OWNERS[0], now=9.0), files.beat(OWNERS[1], now=9.0)])
    assert all_of(journal)[0].owner.beat == 9.0
    journal.do([files.abandon(session_id="id-1")])
    assert all_of(journal)[0].state is State.ABANDONED
    journal.do([files.leave(OWNERS[0])])
    assert len(all_of(journal)) == 1, "an owner that owns something stays"
    assert journal.do([files.idle_owners()]) == [[]]
    journal.do([files.forget("k1")])
    assert journal.do([files.entries(), files.idle_owners()]) == [[], [OWNERS[0]]]
    journal.do([files.prune(OWNERS)])
    assert journal.do([files.idle_owners()]) == [[]]


def test_all_or_nothing(journal):
    def fail(connection):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.do([files.intend(entry(), now=1.0), fail])
    assert all_of(journal) == []


STEPS = st.one_of(
    st.tuples(st.just("intend"), st.integers(0, 5), st.integers(0, 1)),
    *(st.tuples(st.just(name), st.integers(0, 5)) for name in ("made", "abandon", "forget", "by_id", "left")),
)


@settings(max_examples=30)
@given(st.lists(st.lists(STEPS, max_size=4), max_size=6))
def test_any_order_of_writes_leaves_what_a_table_would_have(batches):
    """However the steps are put together into transactions."""
    with tempfile.TemporaryDirectory() as folder:
        journal, model = JournalFile(Path(folder) / "j"), {}
        for batch in batches:
            steps = []
            for name, number, *more in batch:
                key = f"k{number}"
                if name == "intend" and key not in model:
                    model[key] = entry(key, OWNERS[more[0]])
                    steps.append(files.intend(model[key], now=1.0))
                elif name == "made":
                    steps.append(files.made(key, f"id-{number}"))
                    if key in model:
                        model[key] = attrs.evolve(model[key], session_id=f"id-{number}", state=State.LIVE)
                elif name == "abandon":
                    steps.append(files.abandon(key=key))
                    if key in model:
                        model[key] = attrs.evolve(model[key], state=State.ABANDONED)
                elif name == "forget":
                    steps.append(files.forget(key))
                    model.pop(key, None)
                elif name == "by_id":
                    steps.append(files.forget_session(f"id-{number}"))
                    model = {k: e for k, e in model.items() if e.session_id != f"id-{number}"}
                elif name == "left":
                    steps.append(files.leave(OWNERS[number % 2]))
            journal.do(steps)
        assert all_of(journal) == [model[key] for key in sorted(model)]


def test_no_secret_and_nobody_elses_eyes(journal):
    journal.do([files.intend(entry(), now=1.0)])
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    columns = {a.name for a in attrs.fields(Entry)}
    assert not {name for name in columns if "secret" in name or "password" in name}


def test_nothing_stays_open(journal):
    journal.do([files.intend(entry(), now=1.0)])
    assert os.listdir(journal.path.parent) == ["j.sqlite3"]
    if sys.platform == "linux":
        open_ones = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert not [name for name in open_ones if "j.sqlite3" in name]


def test_a_file_that_was_removed_is_made_anew(journal):
    journal.do([files.intend(entry(), now=1.0)])
    journal.path.unlink()
    assert all_of(journal) == []


WRITER = """
    import sys
    from pathlib import Path
    from backendai_sdk._journal import file as files
    from backendai_sdk._journal.entry import Entry
    from backendai_sdk._journal.owner import this_process
    journal = files.JournalFile(Path(sys.argv[1]))
    sys.stdin.readline()
    for number in range(25):
        entry = Entry(endpoint="http://a", account="AK", access_key="AK", name="n", asked_at=number,
                      owner=this_process())
        journal.do([files.intend(entry, now=1.0)])
        if number % 5 == 0:
            journal.do([files.forget(entry.key)])
"""


def test_many_processes_at_once_on_a_file_that_does_not_exist_yet(journal):
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(journal.path)]
    children = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) for _ in range(5)]
    for child in children:
        child.stdin.write(b"go\n")
        child.stdin.close()
    assert [child.wait(25) for child in children] == [0] * 5
    found = all_of(journal)
    assert len(found) == 5 * 20
    assert len({e.owner.id for e in found}) == 5


# --- what is wrong with it ------------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "j"
    path.write_bytes(b"something else, and of some length " * 100)
    with pytest.raises(JournalError, match=r"cannot be read: file is not a database.*journal=") as caught:
        all_of(JournalFile(path))
    assert str(path) in str(caught.value)
    assert path.read_bytes().startswith(b"something else"), "it is not ours to mend"


@pytest.mark.parametrize("damage", [slice(100, 3000), slice(4096, None)], ids=["schema", "cut"])
def test_a_damaged_file(journal, damage):
    journal.do([files.intend(entry(f"k{n}"), now=1.0) for n in range(100)])
    data = bytearray(journal.path.read_bytes())
    data[damage] = b"" if damage.stop is None else os.urandom(damage.stop - damage.start)
    journal.path.write_bytes(data)
    with pytest.raises(JournalError, match="cannot be"):
        all_of(journal)


def test_another_programs_database(tmp_path):
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("CREATE TABLE sessions (x)")
    other.close()
    with pytest.raises(JournalError, match="no journal of this SDK"):
        all_of(JournalFile(tmp_path / "j"))


def test_the_journal_of_another_version(journal):
    all_of(journal)
    with sqlite3.connect(journal.path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(JournalError, match="another version of the SDK.*99"):
        all_of(journal)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot be opened"):
        all_of(JournalFile(tmp_path / "file" / "j"))
    with pytest.raises(JournalError, match="cannot be written: unable to open"):
        all_of(JournalFile(tmp_path))


def test_a_file_that_is_held_for_too_long(journal, monkeypatch):
    all_of(journal)
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    holder = sqlite3.connect(journal.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        journal.do([files.intend(entry(), now=1.0)])
    holder.execute("COMMIT")
    holder.close()
    journal.do([files.intend(entry(), now=1.0)])
    assert len(all_of(journal)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files, as POSIX can")
def test_a_full_disk(journal):
    code = """
        import resource, signal, sys
        from pathlib import Path
        from backendai_sdk._journal import file as files
        from backendai_sdk._journal.entry import Entry
        from backendai_sdk._journal.owner import this_process
        from backendai_sdk.errors import JournalError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        journal, written = files.JournalFile(Path(sys.argv[1])), 0
        try:
            while written < 1000:
                entry = Entry(endpoint="http://a" * 500, account="", access_key="", name="n", asked_at=written,
                              owner=this_process())
                journal.do([files.intend(entry, now=1.0)])
                written += 1
        except JournalError as error:
            print(written, error)
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(journal.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25)
    count, _, said = done.stdout.partition(" ")
    assert "cannot be written" in said, (done.stdout, done.stderr)
    assert 0 < int(count) < 1000
    assert len(all_of(journal)) == int(count), "what was said to be written is there"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_children_forked_while_a_thread_writes_can_write(journal):
    code = """
        import os, sys, threading
        from pathlib import Path
        from backendai_sdk._journal import file as files
        journal, over = files.JournalFile(Path(sys.argv[1])), threading.Event()
        def write():
            while not over.is_set():
                journal.do([files.entries()])
        thread = threading.Thread(target=write)
        thread.start()
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                journal.do([files.entries()])
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        over.set()
        thread.join()
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(journal.path)]
    assert subprocess.run(command, cwd=ROOT, timeout=25).returncode == 0
