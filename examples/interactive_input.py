"""Remote code that asks, and a person who answers: ``input()`` in a session, at this terminal.

Run it with ``python examples/interactive_input.py`` and answer; with no terminal (``< /dev/null``) it answers by
itself.  On a real cluster, write ``AsyncSession()`` instead of ``AsyncSession.local()``.
"""

import asyncio
import getpass
import sys

from backendai_sdk import AsyncSession, InputRequest, Stderr, Stdout

CODE = """
from getpass import getpass
name = input("Your name? ")
secret = getpass("A secret? ")
print(f"{name} knows a secret of {len(secret)} characters.")
"""


async def answer(request: InputRequest) -> str:
    """Ask whoever sits here, on a thread: the event loop goes on meanwhile."""
    if not sys.stdin.isatty():
        return "nobody"
    # The prompt was printed already: it came from the remote code, as output.
    return await asyncio.to_thread(getpass.getpass if request.is_password else input, "")


async def main() -> None:
    async with AsyncSession.local() as api, api.create("python:3.11", resources="cpu=1 mem=512m") as cs:
        # Over a WebSocket a prompt is here as soon as it is written.
        async with cs.stream_execute(CODE, transport="websocket") as run:
            async for item in run:
                if isinstance(item, Stdout | Stderr):
                    print(item.text, end="", flush=True)
                elif isinstance(item, InputRequest):
                    await run.send_input(await answer(item))
        run.result().check()


if __name__ == "__main__":
    asyncio.run(main())
