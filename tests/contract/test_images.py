"""Images: all, one by its reference and by its alias, and one that is not there."""

from __future__ import annotations

import pytest

from backendai_sdk import AsyncSession, ImageNotFound

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_images(api: AsyncSession) -> None:
    images = {image.reference: image for image in await api.images.list()}
    one = await api.images.get("python:3.11")
    assert "python:3.11" in one.aliases
    assert images[one.reference] == one == await api.images.get(one.reference)
    assert one.architecture == "x86_64"
    assert one.digest is not None
    assert one.digest.startswith("sha256:")
    assert one.min_resources.cpu == 1
    assert one.min_resources.mem >= 2**26
    assert one.max_resources == {}
    assert one.extra == {}


async def test_an_architecture_that_an_only_image_has_not(api: AsyncSession) -> None:
    assert (await api.images.get("python:3.11", architecture="aarch64")).architecture == "x86_64"


async def test_no_such_image(api: AsyncSession) -> None:
    for name in ("nope:1", "cr.backend.ai/stable/nope:1"):
        with pytest.raises(ImageNotFound, match="No such environment image"):
            await api.images.get(name)
