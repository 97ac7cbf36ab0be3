"""The images that a server offers to make sessions from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from backendai_sdk._wire.images import image_body, images_body, read_image, read_images
from backendai_sdk.errors import InvalidArgument
from backendai_sdk.models.image import ImageInfo
from backendai_sdk.models.page import Page

if TYPE_CHECKING:
    from backendai_sdk._async._client import Client

__all__ = ["AsyncImages"]


class AsyncImages:
    """The images of the server, as far as the user may use them: ``api.images``."""

    _handle: ClassVar[bool] = True

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self, *, installed: bool | None = None) -> Page[ImageInfo]:
        """All images, on one page, because servers give them all at once.

        Args:
            installed: only those that agents have already, or (false) only the others; all by default.
        """
        images = read_images(await self._client.gql(images_body(installed=installed)))
        return Page(items=images, total_count=len(images))

    async def get(self, image: str, *, architecture: str | None = None) -> ImageInfo:
        """One image.

        Args:
            image: its full reference, or an alias, as ``create`` takes it.
            architecture: for which machines; counts only if the server has it for several.

        Raises:
            ImageNotFound: there is none that this user may use.
        """
        if not image.strip():
            raise InvalidArgument("image: nothing was given; give a reference or an alias", argument="image")
        return read_image(await self._client.gql(image_body(image, architecture)))
