"""A client and its streams live on from cell to cell, blocking and with `await` at the top, without patches of asyncio."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)

BLOCKING = (
    "from backendai_sdk import Session\napi = Session(show_progress=False)\napi.__enter__()",
    "cs = api.create('python', resources='cpu=1 mem=1g')\nevents = cs.stream_events()\nevents.__enter__()",
    "run = cs.stream_execute('for i in range(3): print(i, flush=True)')\nrun.__enter__()\nprint(next(run).text, end='')",
    "print(''.join(item.text for item in run if hasattr(item, 'text')), end='')",
    "run.__exit__(None, None, None); print(run.result().exit_code)",
    "cs.destroy()\nnames = []\nfor event in events:\n    names.append(event.name)\nprint(names[-1])",
    "events.__exit__(None, None, None)\nrows = iter(api.list())\nprint(next(rows).name)",
    "rows.close(); api.__exit__(None, None, None)",
)
ASYNC = (
    "from backendai_sdk import AsyncSession\napi = AsyncSession(show_progress=False)\nawait api.__aenter__()",
    "cs = await api.create('python', resources='cpu=1 mem=1g')\nevents = cs.stream_events()\nawait events.__aenter__()",
    (
        "run = cs.stream_execute('for i in range(3): print(i, flush=True)')\nawait run.__aenter__()\n"
        "print((await anext(run)).text, end='')"
    ),
    "print(''.join([item.text async for item in run if hasattr(item, 'text')]), end='')",
    "await run.__aexit__(None, None, None); print(run.result().exit_code)",
    "await cs.destroy()\nnames = []\nasync for event in events:\n    names.append(event.name)\nprint(names[-1])",
    "await events.__aexit__(None, None, None)\nrows = aiter(api.list())\nprint((await anext(rows)).name)",
    "await rows.aclose(); await api.__aexit__(None, None, None)",
)


@pytest.mark.parametrize("cells", [BLOCKING, ASYNC], ids=["blocking", "async"])
def test_opened_used_streamed_and_closed_in_cells_of_their_own(kernel: Any, cells: tuple[str, ...]) -> None:
    printed = []
    for cell in cells:
        ran = kernel.run(cell)
        assert (ran.error, ran.stderr) == ("", "")
        printed.append(ran.stdout)
    assert "".join(printed[2:4]) == "0\n1\n2\n"
    assert printed[4] == "0\n"
    assert printed[5] == "session_terminated\n"
    assert printed[6] == "shared\n"


def test_the_loop_of_the_cells_is_as_ipython_made_it(kernel: Any) -> None:
    ran = kernel.run(
        "import asyncio\nfrom backendai_sdk import Session\nwith Session() as api: api.ping()\n"
        "print(hasattr(asyncio.get_running_loop(), '_nest_patched'))\n"
        "try: asyncio.run(asyncio.sleep(0))\nexcept RuntimeError as error: print(error)"
    )
    assert ran.stdout.startswith("False\nasyncio.run() cannot be called from a running event loop")


def test_one_client_in_cells_of_both_kinds(kernel: Any) -> None:
    """A blocking call in a cell that awaits, and streams of both side by side."""
    ran = kernel.run(
        "from backendai_sdk import AsyncSession, Session\n"
        "with Session() as api:\n"
        "    async with AsyncSession() as aapi:\n"
        "        async for row in aapi.list():\n"
        "            for other in api.list():\n"
        "                print(row.id == other.id == api.get(row.name).id)"
    )
    assert (ran.stdout, ran.stderr, ran.error) == ("True\n", "", "")
