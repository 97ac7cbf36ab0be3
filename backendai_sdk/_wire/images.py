"""The queries for images, and their answers (PROTOCOL §8.1). Every release answers both alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from backendai_sdk._wire.gql import data_of
from backendai_sdk._wire.scalars import excerpt
from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import GraphQLError, ImageNotFound, WireError
from backendai_sdk.models.byte_size import ByteSize
from backendai_sdk.models.image import ImageInfo
from backendai_sdk.models.slots import ResourceSlots

__all__ = ["image_body", "images_body", "read_image", "read_images"]

_FIELDS = (
    "name registry architecture tag digest size_bytes aliases labels { key value } "
    "resource_limits { key min max } supported_accelerators installed"
)
_LIST = f"query($installed: Boolean) {{ images(is_installed: $installed) {{ {_FIELDS} }} }}"
_ONE = f"query($reference: String!) {{ image(reference: $reference) {{ {_FIELDS} }} }}"
_ONE_FOR = (
    "query($reference: String!, $architecture: String!) "
    f"{{ image(reference: $reference, architecture: $architecture) {{ {_FIELDS} }} }}"
)


@attrs.frozen(kw_only=True)
class _Limit:
    key: str
    min: str | None = None
    max: str | None = None


@attrs.frozen(kw_only=True)
class _Label:
    key: str
    value: str | None = None


@attrs.frozen(kw_only=True)
class _Row:
    """An image as the servers tell it."""

    name: str
    registry: str
    tag: str
    architecture: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    aliases: tuple[str, ...] | None = None
    labels: tuple[_Label, ...] | None = None
    resource_limits: tuple[_Limit, ...] | None = None
    supported_accelerators: tuple[str, ...] | None = None
    installed: bool | None = None
    extra: Mapping[str, object] = attrs.field(factory=dict)


def images_body(*, installed: bool | None) -> dict[str, object]:
    """The body of ``POST /admin/gql`` that lists images; *installed* picks those that agents have, or have not."""
    return {"query": _LIST, "variables": {"installed": installed}}


def image_body(reference: str, architecture: str | None) -> dict[str, object]:
    """The body that asks for one, by its reference or an alias."""
    if architecture is None:
        return {"query": _ONE, "variables": {"reference": reference}}
    return {"query": _ONE_FOR, "variables": {"reference": reference, "architecture": architecture}}


def read_images(answer: object) -> tuple[ImageInfo, ...]:
    """Read the answer to :func:`images_body`.

    Raises:
        WireError: it does not have the shape.
    """
    match data_of(answer):
        case {"images": list(items)}:
            return tuple(_image(item, f"images[{i}]") for i, item in enumerate(items))
    raise WireError(f"the answer has no 'images': {excerpt(answer)}")


def read_image(answer: object) -> ImageInfo:
    """Read the answer to :func:`image_body`.

    Raises:
        ImageNotFound: the server has no such image for this user.
        WireError: the answer does not have the shape.
    """
    try:
        data = data_of(answer)
    except GraphQLError as exc:
        if not (exc.msg or "").startswith("No such environment image"):
            raise
        told = {name: getattr(exc, name) for name in ("status", "type", "title", "msg", "data")}
        raise ImageNotFound(
            f"there is no such image: {exc.msg}", **told, body=answer, method=exc.method, path=exc.path
        ) from None
    return _image(data.get("image"), "image")


def _image(item: object, where: str) -> ImageInfo:
    row = structure(_Row, item, where=where)
    limits = row.resource_limits or ()
    return ImageInfo(
        reference=f"{row.registry}/{row.name}:{row.tag}",
        aliases=row.aliases or (),
        architecture=row.architecture,
        digest=(row.digest or "").strip() or None,  # the database pads it (23.09, seen)
        size=ByteSize(row.size_bytes) if row.size_bytes else None,
        min_resources=ResourceSlots.from_wire({limit.key: limit.min for limit in limits}),
        max_resources=ResourceSlots.from_wire(dict(_bounded(limits))),
        accelerators=tuple(filter(None, row.supported_accelerators or ())),
        installed=row.installed,
        labels={label.key: label.value or "" for label in row.labels or ()},
        extra=row.extra,
    )


def _bounded(limits: tuple[_Limit, ...]) -> Iterator[tuple[str, str]]:
    for limit in limits:
        if limit.max not in {None, "Infinity"}:
            yield limit.key, limit.max or ""
