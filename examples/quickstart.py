"""The main job of the SDK, on an embedded local cluster: no server, no account, no settings.

Run it with ``python examples/quickstart.py``.  On a real cluster, write ``AsyncSession()`` instead of
``AsyncSession.local()``: nothing else changes.
"""

import asyncio

from backendai_sdk import AsyncSession, RunItem, Stderr, Stdout

CODE = """
import time
for step in range(1, 4):
    print("step", step, flush=True)
    time.sleep(0.2)
name = input("who are you? ")
print("hello", name)
"""


def show(item: RunItem) -> None:
    """Print what the remote code writes, as it writes it."""
    if isinstance(item, Stdout | Stderr):
        print(item.text, end="", flush=True)


async def main() -> None:
    async with AsyncSession.local() as api:
        # A session with resources; leaving the block destroys it, whatever happens inside.
        async with api.create("python:3.11", resources={"cpu": 2, "mem": "1g", "cuda.shares": 0.5}) as cs:
            print(f"created {cs.name}: {cs.status}")

            # Code that streams its output and asks a question; the interpreter keeps its state.
            result = await cs.execute(CODE, on_output=show, stdin="newcomer")
            print(f"exit code {result.exit_code}")
            print("still known:", (await cs.execute("print(name)")).stdout.strip())

            # Everything that runs, with the fields that matter here.
            async for row in api.list(status="running", fields=["name", "status", "occupying_slots"]):
                print(f"{row.name}  {row.status}  {row.occupying_slots}")

            # Its last events, as they happen.
            async with cs.stream_events() as events:
                await cs.destroy()
                async for event in events:
                    print("event:", event.name, event.reason)


if __name__ == "__main__":
    asyncio.run(main())
