"""Images, read as the SDK reads them."""

from __future__ import annotations

from recorded.capture import Capture
from recorded.reading import json_from, of

from backendai_sdk import ImageInfo
from backendai_sdk._wire.images import read_image, read_images


@of("images")
def test_images(capture: Capture) -> None:
    told = json_from(capture)["data"]
    images = read_images(json_from(capture)) if "images" in told else (read_image(json_from(capture)),)
    rows = told.get("images") or [told["image"]]
    assert [image.reference for image in images] == [
        f"{row['registry']}/{row['name']}:{row['tag']}" for row in rows
    ]
    for image, row in zip(images, rows, strict=True):
        assert image.extra == {}, "all that was asked for is read"
        _holds(image, row)


def _holds(image: ImageInfo, row: dict[str, object]) -> None:
    assert list(image.aliases) == row["aliases"]
    assert image.size == row["size_bytes"]
    assert image.digest is not None
    assert image.digest == str(row["digest"]).strip()
    assert image.min_resources.to_wire() == {"cpu": "1", "mem": str(256 * 2**20)}
    assert image.max_resources == {}, "no limit, however a release says so"
    assert image.accelerators in ((), ("*",))
    assert image.installed is row["installed"]
    assert image.labels["ai.backend.role"] == "COMPUTE"
