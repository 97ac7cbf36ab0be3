"""The portal against what kills, copies or ends a process: Ctrl-C, fork, exit.

Each test runs a child process, which says through its output how far it is: nothing here sleeps and hopes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sync_child import complaints

ROOT = Path(__file__).parents[2]


DEV = ("-X", "dev", "-W", "error")

PRELUDE = """
import asyncio, os, sys, threading, time
from backendai_sdk._portal import PORTAL, SyncProxy

def say(*words):
    print(*words, flush=True)

async def answer():
    return 42
"""


def start(code, *flags):
    code = PRELUDE + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def finish(child):
    out, err = child.communicate(timeout=20)
    return out.split("\n")[:-1], complaints(err), child.returncode


def test_ctrl_c_cancels_waits_for_the_cleanup_and_leaves_all_usable():
    child = start(
        """
        async def hang():
            try:
                say("ready")
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)
                say("cleaned")

        try:
            PORTAL.call(hang())
        except KeyboardInterrupt:
            say("interrupted")
        say(PORTAL.call(answer()))
        """,
        *DEV,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert finish(child) == (["cleaned", "interrupted", "42"], "", 0)


def test_a_second_ctrl_c_stops_waiting():
    child = start(
        """
        async def stubborn():
            try:
                say("ready")
                await asyncio.Event().wait()
            finally:
                say("cleaning")
                await asyncio.Event().wait()

        try:
            PORTAL.call(stubborn())
        except KeyboardInterrupt:
            say("interrupted")
        say(PORTAL.call(answer()))
        """,
        *DEV,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "cleaning\n"
    child.send_signal(signal.SIGINT)
    assert finish(child) == (["interrupted", "42"], "", 0)


def test_ctrl_c_in_a_stream_closes_it():
    child = start(
        """
        async def rows():
            try:
                yield 1
                say("ready")
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("closed")

        try:
            for row in PORTAL.iterate(rows()):
                pass
        except KeyboardInterrupt:
            say(PORTAL.call(answer()))
        """,
        *DEV,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert finish(child) == (["closed", "42"], "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_anew():
    child = start(
        """
        import warnings
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # about threads and fork

        async def rows():
            while True:
                yield 1

        PORTAL.call(answer())
        stream = PORTAL.iterate(rows())
        next(stream)
        held = threading.Thread(target=lambda: PORTAL._lock.acquire())
        held.start(); held.join()
        pid = os.fork()
        if pid == 0:
            stream.close()
            say("child", PORTAL.call(answer()))
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        say("parent", next(stream), PORTAL.call(answer()))
        """,
        *DEV,
    )
    assert finish(child) == (["child 42", "parent 1 42"], "", 0)


def test_open_things_are_closed_at_exit_without_noise():
    child = start(
        """
        class AsyncThing:
            async def close(self):
                await asyncio.sleep(0.01)
                say("closed")

        class Thing(SyncProxy[AsyncThing]):
            def close(self):
                PORTAL.call(self._async.close())

        async def background():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("background over")

        async def spawn():
            tasks.append(asyncio.ensure_future(background()))
            await asyncio.sleep(0)

        async def rows():
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                say("stream over")

        tasks = []
        kept = Thing._wrap(AsyncThing())
        dropped = Thing._wrap(AsyncThing())
        del dropped
        PORTAL.call(spawn())
        stream = PORTAL.iterate(rows())
        next(stream)
        """,
        *DEV,
    )
    assert finish(child) == (["stream over", "closed", "background over"], "", 0)


def test_what_is_closed_at_exit_may_use_worker_threads():
    child = start(
        """
        class Thing:
            async def close(self):
                await asyncio.to_thread(say, "swept")
                await asyncio.get_running_loop().getaddrinfo("localhost", 80)
                try:
                    await asyncio.to_thread(int, "x")
                except ValueError:
                    say("failed as it should")

        thing = Thing()
        PORTAL.at_exit(thing)
        PORTAL.call(answer())
        """,
        *DEV,
    )
    assert finish(child) == (["swept", "failed as it should"], "", 0)


def test_a_closer_that_fails_makes_no_noise():
    child = start(
        """
        class Bad:
            async def close(self):
                raise ValueError("no")

        bad = Bad()
        PORTAL.at_exit(bad)
        PORTAL.call(answer())
        """,
        *DEV,
    )
    assert finish(child) == ([], "", 0)


def test_exit_is_held_up_by_two_seconds_at_most_and_quietly():
    child = start(
        """
        import atexit

        class Slow:
            async def close(self):
                while True:
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        say("will not")

        slow = Slow()
        PORTAL.at_exit(slow)
        PORTAL.call(answer())
        begun = time.monotonic()
        PORTAL._exit()
        say(time.monotonic() - begun < 4)
        """,
        *DEV,
    )
    assert finish(child) == (["will not", "True"], "", 0)


def test_daemon_threads_that_wait_make_no_noise_at_exit():
    child = start(
        """
        started = threading.Event()

        async def hang():
            started.set()
            await asyncio.Event().wait()

        threading.Thread(target=lambda: PORTAL.call(hang()), daemon=True).start()
        started.wait()
        """,
        *DEV,
    )
    assert finish(child) == ([], "", 0)


def test_a_call_after_the_exit_is_refused():
    child = start(
        """
        import atexit
        PORTAL.call(answer())
        PORTAL._exit()
        try:
            PORTAL.call(answer())
        except Exception as error:
            say(type(error).__name__, error)
        """,
        *DEV,
    )
    out, err, code = finish(child)
    assert (err, code) == ("", 0)
    assert out == ["PortalError the interpreter is exiting: blocking calls no longer work"]


def test_a_process_that_never_calls_starts_no_thread():
    child = start("say(threading.active_count())", *DEV)
    assert finish(child) == (["1"], "", 0)
