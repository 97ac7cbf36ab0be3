"""Facts about the cluster that anybody may read: slot names, folder types. Assumes agents fixed at start."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from backendai_sdk.local.server import state_of

from ._route import Route

__all__ = ["ROUTES"]

_WORDS: Final = {
    "cpu": ("CPU", "CPU", "Core", "cpu"),
    "mem": ("RAM", "RAM", "GiB", "ram"),
    "cuda.device": ("CUDA-capable GPU", "GPU", "GPU", "gpu1"),
    "cuda.shares": ("CUDA-capable GPU (fractional)", "fGPU", "fGPU", "gpu1"),
}


async def resource_slots(request: web.Request) -> web.Response:
    return web.json_response(state_of(request).agents.slot_types)


async def resource_slot_details(request: web.Request) -> web.Response:
    details = {}
    for name, unit in state_of(request).agents.slot_types.items():
        description, readable, display, icon = _WORDS.get(name, (name, name, "Unit", "ndd"))
        details[name] = {
            "slot_name": name,
            "description": description,
            "human_readable_name": readable,
            "display_unit": display,
            "number_format": {"binary": unit == "bytes", "round_length": 2 if name.endswith("shares") else 0},
            "display_icon": icon,
        }
    return web.json_response(details)


async def vfolder_types(_request: web.Request) -> web.Response:
    return web.json_response(["group", "user"])


ROUTES: Final = (
    Route(("GET",), ("/config/resource-slots",), resource_slots, auth=False),
    Route(("GET",), ("/config/resource-slots/details",), resource_slot_details, auth=False),
    Route(("GET",), ("/config/vfolder-types",), vfolder_types, auth=False),
)
