"""Several images of one prompt are a ZIP that every reader opens."""

import io
import json
import zipfile

from app.delivery.image import archive, ending_of
from app.media import Media
from app.renderer.base import Absent

IMAGES = (
    Media(b"one", "image/png", 3, 4, "1" * 64, "a" * 64, {"seed": 1}),
    Media(memoryview(b"two" * 200_000), "image/jxl", 5, 6, "2" * 64, "b" * 64),
)
ABSENT = (Absent("nsfw", filtered=True),)


def made() -> bytes:
    found = archive(IMAGES, ABSENT)
    data = b"".join(found.chunks)
    assert len(data) == found.length
    return data


def test_members_are_the_images_and_a_manifest():
    with zipfile.ZipFile(io.BytesIO(made())) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["1.png", "2.jxl", "manifest.json"]
        assert opened.read("2.jxl") == b"two" * 200_000
        manifest = json.loads(opened.read("manifest.json"))

    assert manifest["count"] == 3
    assert manifest["images"][0]["facts"] == {"seed": 1}
    assert manifest["images"][1]["size"] == 600_000
    assert manifest["errors"] == [{"reason": "nsfw", "filtered": True}]


def test_the_same_images_are_the_same_bytes():
    assert made() == made()


def test_an_image_that_is_not_made_here_has_an_ending_too():
    assert [ending_of(image) for image in IMAGES] == ["png", "jxl"]
