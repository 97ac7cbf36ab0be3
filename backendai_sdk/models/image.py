"""What the servers tell of an image that sessions can be made from (PROTOCOL §8.1)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from backendai_sdk.models._html import value_table
from backendai_sdk.models.byte_size import ByteSize
from backendai_sdk.models.slots import ResourceSlots

__all__ = ["ImageInfo"]


@attrs.frozen(kw_only=True)
class ImageInfo:
    """One image of the server.

    Attributes:
        reference: its full name, which ``create`` takes: registry, repository and tag.
        aliases: shorter names for it, which ``create`` takes, too.
        architecture: what it runs on, for example ``"x86_64"``.
        size: in bytes, as its registry tells it; ``None`` if it does not.
        min_resources: what a session of it needs at least, by slot; its shared memory (64 MiB unless said otherwise)
            comes on top of ``mem``.
        max_resources: what it can have at most; slots without limit are left out.
        accelerators: the kinds of accelerators that it can use, ``"*"`` for any.
        installed: whether an agent has it already, so that nothing must be pulled, as far as the server knows; the
            manager of 23.09 that was tried says false of images that its agent has.
        labels: what it says of itself.
        extra: what the server told besides, by key.
    """

    reference: str
    aliases: tuple[str, ...] = ()
    architecture: str | None = None
    digest: str | None = None
    size: ByteSize | None = None
    min_resources: ResourceSlots = attrs.field(factory=ResourceSlots)
    max_resources: ResourceSlots = attrs.field(factory=ResourceSlots)
    accelerators: tuple[str, ...] = ()
    installed: bool | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)

    def _repr_html_(self) -> str:
        values = {a.name: getattr(self, a.name) for a in attrs.fields(ImageInfo)}
        labels = [(f"labels[{key}]", value) for key, value in values.pop("labels").items()]
        shown = [(name, value) for name, value in values.items() if value not in (None, (), {})]
        return value_table(f"Image {self.reference}", [*shown, *labels])
