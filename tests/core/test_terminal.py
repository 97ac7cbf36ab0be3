"""Terminals: a real shell in the session, over its ttyd, async and blocking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backendai_sdk import InvalidArgument, LocalCluster, NotSupported, SessionNotReady, UsageError

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


# Cannot miss its Ctrl-C: shells lose one that comes while they start a program, and sleeps one just before them.
WAITS_FOR_CTRL_C = b"""python -c 'import signal as s; s.pthread_sigmask(s.SIG_BLOCK, {s.SIGINT}); \
print("be" "fore", flush=True); s.sigwait({s.SIGINT}); print("inter" "rupted")'\r"""


async def until(terminal: Any, text: bytes, seen: bytes = b"") -> bytes:
    """Read until *text* is shown."""
    async with asyncio.timeout(20):
        while text not in seen:
            seen += await anext(terminal)
    return seen


@RELEASES
async def test_a_shell(api: Any, release: str) -> None:
    async with api.create("python", env={"GREETING": "hello there"}) as cs:
        async with cs.pty(rows=30, cols=100) as terminal:
            assert terminal.via == "ttyd"
            shows = terminal.__aiter__()
            # Answers that are not in what is typed, which the terminal shows too.
            await terminal.send(b"echo $((6 * 7)) $GREETING; stty size\r")
            assert b"42 hello there" in await until(shows, b"30 100")
            await terminal.resize(25, 90)
            await terminal.send(b"stty size\r")
            await until(shows, b"25 90")
            await terminal.send(b"touch made-in-the-terminal; exit\r")
            async with asyncio.timeout(20):
                async for _ in shows:
                    pass
            with pytest.raises(StopAsyncIteration):
                await anext(shows)
        result = await cs.execute("import os; print(os.listdir())")
        assert "made-in-the-terminal" in result.stdout


async def test_ctrl_c_and_programs_that_ask_for_the_terminal(api: Any) -> None:
    async with api.create("python") as cs:
        async with cs.pty() as terminal:
            shows = terminal.__aiter__()
            await terminal.send(b"PS1=pro${X}mpt:\r")
            await until(shows, b"prompt:")
            await terminal.send(WAITS_FOR_CTRL_C)
            await until(shows, b"before")
            await terminal.send(b"\x03")
            seen = await until(shows, b"interrupted")
            await until(
                shows, b"prompt:", seen.partition(b"interrupted")[2]
            )  # a shell throws away what is typed before
            await terminal.send(b"echo still h${X}ere\r")
            await until(shows, b"still here")
            await terminal.send(b"python -c 'import os; print(os.isatty(0), os.ttyname(0) != \"\")'\r")
            await until(shows, b"True True")


async def test_bytes_of_every_kind_pass(api: Any) -> None:
    async with api.create("python") as cs:
        async with cs.pty() as terminal:
            shows = terminal.__aiter__()
            await terminal.send(
                b"stty raw -echo; echo re${X}ady; head -c 256 | od -An -v -tx1 | tr -d ' \\r\\n'; echo\r"
            )
            await until(shows, b"ready")
            every = bytes(range(256))
            await terminal.send(every)
            await until(shows, every.hex().encode())


async def test_leaving_hangs_up(api: Any, cluster: LocalCluster) -> None:
    async with api.create("python") as cs:
        async with cs.pty() as terminal:
            shows = terminal.__aiter__()
            await terminal.send(
                b"(trap 'touch hung-up; exit' HUP; echo re${X}ady; while :; do sleep 0.1; done)\r"
            )
            await until(shows, b"ready")
        with pytest.raises(UsageError, match="enter the terminal"):
            await terminal.send(b"x")
        async with asyncio.timeout(20):
            while "hung-up" not in (await cs.execute("import os; print(os.listdir())")).stdout:
                await asyncio.sleep(0.05)


async def test_several_terminals_at_once(api: Any) -> None:
    async with api.create("python") as cs:
        async with cs.pty() as one, cs.pty() as two:
            await one.send(b"X=one; echo $X-$((1+1))\r")
            await two.send(b"echo $X-$((1+1))\r")
            await until(one.__aiter__(), b"one-2")
            await until(two.__aiter__(), b"\n-2")


async def test_the_end_of_the_session_ends_its_terminals(api: Any) -> None:
    async with api.create("python") as cs:
        async with cs.pty() as terminal:
            await cs.destroy()
            async with asyncio.timeout(20):
                async for _ in terminal:
                    pass


@RELEASES
async def test_what_is_no_terminal(api: Any, release: str) -> None:
    async with api.create("python") as cs:
        for rows, cols in ((0, 80), (24, "80")):
            with pytest.raises(InvalidArgument, match="whole number"):
                cs.pty(rows=rows, cols=cols)
        with pytest.raises(InvalidArgument, match="via"):
            cs.pty(via="carrier pigeon")
        with pytest.raises(UsageError):
            await cs.pty().send(b"x")
        with pytest.raises(NotSupported, match="does not work"):
            async with cs.pty(via="server"):
                pass
        async with cs.pty() as terminal:
            with pytest.raises(InvalidArgument, match="encode text first"):
                await terminal.send("text")
            with pytest.raises(InvalidArgument, match="rows"):
                await terminal.resize(-1, 80)
            with pytest.raises(UsageError, match="again"):
                await terminal.__aenter__()


async def test_a_session_that_does_not_run(api: Any) -> None:
    async with api.create("python") as cs:
        await cs.destroy()
        await cs.wait("dead", timeout=20)
        with pytest.raises(SessionNotReady, match="has ended"):
            async with cs.pty():
                pass


async def test_cancelling_leaves_nothing(way: str, api: Any) -> None:
    if way == "sync":
        pytest.skip("blocking calls are interrupted, not cancelled")
    async with api.create("python") as cs:

        async def use() -> None:
            async with cs.pty() as terminal:
                async for _ in terminal:
                    pass

        for pause in (0, 0.001, 0.01, 0.05, 0.3):
            task = asyncio.ensure_future(use())
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()  # the fixture looks for tasks that are left
