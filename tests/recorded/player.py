"""Plays a scenario on a local cluster and collects what is different."""

from __future__ import annotations

import re

from backendai_sdk.local import LocalCluster

from .capture import Capture
from .compare import compare, compare_events
from .replay import Stage
from .scenarios import LOCAL_RELEASES, Scenario

_SESSION = re.compile(r"/(?:stream/)?session/(?P<name>(?!_)[\w.-]+)")
_NOBODY = "no-such-session"


async def play(scenario: Scenario) -> dict[tuple[str, str], str]:
    """Every difference by capture and place."""
    found: dict[tuple[str, str], str] = {}
    release = LOCAL_RELEASES[scenario.release]
    async with (
        LocalCluster(release, ping_interval=0.2, **scenario.options) as cluster,
        Stage(cluster) as stage,
    ):
        for capture in scenario.captures():
            if hook := scenario.before.get(capture.number):
                await hook(stage)
            for number, before in scenario.hang_up.items():
                if before == capture.number:
                    await stage.hang_up(number)
            await _need(capture, stage)
            local = await stage.play(capture, scenario.changes.get(capture.number))
            if capture.number not in scenario.set_up:
                found |= {(capture.number, path): what for path, what in compare(capture, local, stage)}
        if scenario.finally_:
            await scenario.finally_(stage)
        for capture, stream in stage.streams():
            await stream.until_quiet(len(capture.answer_events))
            found |= {(capture.number, path): what for path, what in compare_events(capture, stream, stage)}
    return found


async def _need(capture: Capture, stage: Stage) -> None:
    """Make the session that the request is about, if the real server had it and nothing here has made it."""
    named = _SESSION.match(capture.sent.path)
    if named is None or capture.answer is None or capture.answer.status == 404 or named["name"] == _NOBODY:
        return
    names = {s.name for s in stage.cluster.sessions()} | set(stage.substitute)
    if named["name"] not in names:
        await stage.create(named["name"])
