"""The images of a server, async and blocking."""

from __future__ import annotations

from typing import Any

import pytest

from backendai_sdk import ImageNotFound, InvalidArgument, Page
from backendai_sdk.local import Image

RELEASES = pytest.mark.parametrize("release", ["23.09", "24.03", "25.19", "26.8", "26.9"])


@RELEASES
async def test_what_is_listed_can_be_asked_for_and_run(api: Any, release: str) -> None:
    images = await api.images.list()
    assert isinstance(images, Page)
    assert (len(images), images.is_last) == (images.total_count, True)
    (listed,) = (image for image in images if "python:3.11" in image.aliases)
    assert listed == await api.images.get("python:3.11") == await api.images.get(listed.reference)
    assert (listed.architecture, listed.installed, listed.max_resources) == ("x86_64", True, {})
    assert listed.labels["ai.backend.role"] == "COMPUTE"
    least = {**listed.min_resources, "mem": listed.min_resources.mem + 2**26}  # shared memory comes on top
    async with api.create(listed.reference, resources=least) as cs:
        assert (await cs.execute("print('here')")).stdout == "here\n"


@RELEASES
async def test_unknown_and_empty(api: Any, release: str) -> None:
    with pytest.raises(ImageNotFound, match="there is no such image: No such environment image") as caught:
        await api.images.get("nope:1")
    assert (caught.value.status, caught.value.path) == (200, "/admin/gql")
    assert caught.value.data[0]["path"] == ["image"]
    with pytest.raises(InvalidArgument, match="image: nothing was given"):
        await api.images.get(" ")


async def test_those_that_agents_have(begin: Any) -> None:
    api = await begin(images=[Image(), Image(tag="far", needs_pull=True, min_mem=2**28 + 1)])

    async def tags(installed: bool | None) -> list[str]:
        return [i.reference.rpartition(":")[2] for i in await api.images.list(installed=installed)]

    assert await tags(True) == ["3.11-debian12"]
    assert await tags(False) == ["far"]
    assert await tags(None) == ["3.11-debian12", "far"]
    far = await api.images.get("cr.backend.ai/stable/python:far", architecture="x86_64")
    assert far.min_resources.mem == 2**28 + 1
