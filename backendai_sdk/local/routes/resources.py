"""Resource presets, limits and scaling groups. Assumes limits of key pairs, and no others but the agents' own room."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from backendai_sdk.local import slots
from backendai_sdk.local.accounts import GROUP, SCALING_GROUP
from backendai_sdk.local.images import MIB
from backendai_sdk.local.params import Field, nullable, read, string
from backendai_sdk.local.problems import Problem
from backendai_sdk.local.server import owner_of, state_of

from ._route import Route

__all__ = ["ROUTES"]

_PRESETS: Final = (
    ("small", {"cpu": Decimal(1), "mem": Decimal(512 * MIB)}),
    ("medium", {"cpu": Decimal(2), "mem": Decimal(1024 * MIB)}),
    ("large", {"cpu": Decimal(4), "mem": Decimal(4096 * MIB)}),
)


def _preset(name: str, amounts: slots.Slots) -> dict[str, Any]:
    return {"name": name, "shared_memory": None, "resource_slots": slots.as_text(amounts)}


async def presets(_request: web.Request) -> web.Response:
    return web.json_response({"presets": [_preset(name, amounts) for name, amounts in _PRESETS]})


async def check_presets(request: web.Request) -> web.Response:
    state = state_of(request)
    fields = [Field(("scaling_group",), nullable(string()), None), Field(("group",), string(), GROUP)]
    params = await read(request, fields, source="body")
    if params["group"] != GROUP:
        if state.release.bad_config_500:
            raise Problem.internal()
        raise Problem.invalid_params("Unknown user group")
    if params["scaling_group"] not in {None, SCALING_GROUP}:
        raise Problem.invalid_params("Unknown scaling group")
    names = state.agents.slot_types
    account = owner_of(request)
    mine = slots.add(
        s.requested_slots for s in state.sessions if s.access_key == account.access_key and s.occupies
    )
    using = {name: mine.get(name, Decimal()) for name in names}
    limits = state.sessions.max_resources or {}
    remaining = {name: most - using.get(name, Decimal()) for name, most in limits.items()}
    free = [state.agents.free(agent.id) for agent in state.agents.agents]
    left = slots.as_text(slots.add(free))
    unlimited, unknown = dict.fromkeys(names, "Infinity"), dict.fromkeys(names, "NaN")
    answer = {
        "keypair_limits": {**unlimited, **slots.as_text(limits)},
        "keypair_using": slots.as_text(using),
        "keypair_remaining": {**unlimited, **slots.as_text(remaining)},
        "scaling_group_remaining": left,
        "scaling_groups": {SCALING_GROUP: {"using": slots.as_text(using), "remaining": left}},
        "presets": [
            {**_preset(name, amounts), "allocatable": any(slots.fits(amounts, agent) for agent in free)}
            for name, amounts in _PRESETS
        ],
        "group_limits": unknown,
        "group_using": unknown,
        "group_remaining": unknown,
    }
    return web.json_response(answer)


async def scaling_groups(request: web.Request) -> web.Response:
    await read(request, [Field(("group", "group_id", "group_name"), string())])
    return web.json_response({"scaling_groups": [{"name": SCALING_GROUP}]})


async def wsproxy_version(request: web.Request) -> web.Response:
    name = request.match_info["scaling_group"]
    if name != SCALING_GROUP:
        raise Problem.not_found("scaling group", name)
    return web.json_response({"wsproxy_version": "v1"})


ROUTES: Final = (
    Route(("GET",), ("/resource/presets",), presets),
    Route(("POST",), ("/resource/check-presets",), check_presets),
    Route(("GET",), ("/scaling-groups",), scaling_groups),
    Route(("GET",), ("/scaling-groups/{scaling_group}/wsproxy-version",), wsproxy_version),
)
