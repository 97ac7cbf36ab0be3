"""A web app in a session, in the browser of this machine: its port, forwarded.

Run it with ``python examples/port_forward.py`` and open the address that it prints; Ctrl-C ends it.  With no
terminal (``< /dev/null``) it looks at the page by itself.  On a real cluster, write ``AsyncSession()`` instead of
``AsyncSession.local()``, and name the app that you want: ``jupyter``, say.
"""

import asyncio
import sys
import urllib.request

from backendai_sdk import AsyncSession

APP = "simple"  # a file server over the session's work folder
PAGE = "open('index.html', 'w').write('<h1>It works, from inside the session.</h1>')"


def read(url: str) -> str:
    """What a browser would show."""
    with urllib.request.urlopen(url) as page:
        return str(page.read().decode())


async def main() -> None:
    async with AsyncSession.local() as api, api.create("python:3.11", resources="cpu=1 mem=512m") as cs:
        (await cs.execute(PAGE)).check()
        print("apps:", ", ".join(app.name for app in await cs.apps()))
        async with cs.forward_port(APP) as forward:
            print(f"{APP} of {cs.name} is at {forward.url}", flush=True)
            if sys.stdin.isatty():
                await asyncio.Event().wait()  # until Ctrl-C
            else:
                print(await asyncio.to_thread(read, forward.url))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("closed")
