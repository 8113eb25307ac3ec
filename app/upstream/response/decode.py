"""One image out of an answer: decoded to a file, checked, measured, described."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from app.renderer.probe.base64_stream import (
    NotBase64,
    OverBytes,
    Text,
    decode,
    media_type_of,
)
from app.renderer.probe.byte_range import Region
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import IMAGES, measure
from app.upstream.errors import TooLarge, scrub
from app.upstream.response.finish_reason import FILTERED
from app.upstream.response.json_images import BASE64_KEYS, URL_KEYS, JsonImage
from app.upstream.service import Service

_MOST_URL = 8_192
_UNTOLD = JsonImage()


@dataclass(frozen=True, slots=True)
class Found:
    """A whole image, where its bytes are and what is known of it.

    `form` is how it came: binary, zip, b64_json, base64, data_uri, base64_text or
    url. `finish` is `success`, or the service's own word where that is not known.
    `repairs` names what was wrong with the answer and mended: bom, content-type,
    media-type (of this image), data-uri (in a field for base64), base64-in-url,
    base64-twice, padding, plus (a form's blank for one), url-safe, whitespace.
    """

    region: Region
    media_type: str
    width: int
    height: int
    form: str
    seed: int | None = None
    finish: str | None = None
    revised_prompt: str | None = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """An image that has to be fetched from an address which strangers chose.

    The address may be relative to that of the service.
    """

    url: str
    seed: int | None = None
    finish: str | None = None
    revised_prompt: str | None = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """An image that did not come, and why; `filtered` by the service's filter.

    A blurred or blackened one that came in its place is missing, too.
    """

    reason: str
    filtered: bool = False


Piece = Found | Linked | Missing


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer, and what turns what it holds into images, within bounds.

    Names of `headers` are in lower case. Decoded bytes are appended to `target`.
    `repairs` are those of the answer as a whole, and each image has them.
    """

    service: Service
    body: Region
    headers: Mapping[str, str]
    target: BinaryIO
    repairs: tuple[str, ...] = ()

    def check_count(self, count: int) -> None:
        """Raise TooLarge where an answer has more images than allowed."""
        if count > self.service.max_images:
            raise TooLarge(self.service.name, "max_images", self.service.max_images)

    def read_item(self, item: JsonImage) -> Piece:
        """Return the image at one place of a JSON answer."""
        if _is_absent(item) or item.payload is None:
            return _absent(item)
        if isinstance(item.payload, Text):
            return self._read_text(item.payload, item)
        if item.is_address:
            return self._link(item.payload.strip(), item)
        return self._read_text(self._spill(item.payload), item)

    def read_bare(self, text: Text) -> Piece:
        """Return the image that a text of base64, or a data URI, is."""
        return self._read_text(text, _UNTOLD, "base64_text")

    def _spill(self, text: str) -> Text:
        """Write a short string to the file, to be read like the long ones."""
        data = text.encode("utf-8", "replace")
        start = self.target.seek(0, 2)
        self.target.write(data)
        self.target.flush()
        return Text(Region(self.target, start, len(data)))

    def _link(self, url: str, item: JsonImage) -> Piece:
        if len(url) > _MOST_URL:
            return Missing("its address is too long")
        return Linked(url, item.seed, item.finish, item.revised_prompt, self.repairs)

    def _read_text(self, text: Text, item: JsonImage, form: str = "base64") -> Piece:
        if text.head(8).lower().startswith((b"http:", b"https:")):
            # One character more than allowed, so that a longer one is seen to be so.
            url = text.head(_MOST_URL + 1).decode("utf-8", "replace")
            return self._link(url.strip(), item)
        most = self.service.max_image_bytes
        try:
            region, mended = decode(text, self.target, most)
        except NotBase64 as error:
            return Missing(_unreadable(item, str(error)))
        except OverBytes as error:
            raise TooLarge(self.service.name, "max_image_bytes", most) from error
        claimed = media_type_of(text)
        repairs = (*_repairs_of_key(item.key, claimed is not None), *mended)
        if claimed is not None:
            form = "data_uri"
        elif item.key == "b64_json":
            form = "b64_json"
        return self.look(region, form, item, repairs, claimed or item.declared)

    def look(
        self,
        region: Region,
        form: str,
        item: JsonImage = _UNTOLD,
        repairs: tuple[str, ...] = (),
        declared: str = "",
    ) -> Piece:
        """Return the image that a region is; Missing where it is not one."""
        # A filter's blurred or black picture is whole and would pass every check below.
        if _is_absent(item):
            return _absent(item)
        if region.length > self.service.max_image_bytes:
            raise TooLarge(
                self.service.name, "max_image_bytes", self.service.max_image_bytes
            )
        try:
            media_type, width, height = measure(region)
        except (Damaged, EOFError) as error:
            return Missing(str(error))
        if width * height > self.service.max_pixels:
            raise TooLarge(self.service.name, "max_pixels", self.service.max_pixels)
        wrong = ("media-type",) if _contradicts(declared, media_type) else ()
        return Found(
            region=region,
            media_type=media_type,
            width=width,
            height=height,
            form=form,
            seed=item.seed,
            finish=item.finish,
            # A text of base64 twice has the repairs of both, often the same ones.
            repairs=tuple(dict.fromkeys((*self.repairs, *wrong, *repairs))),
            revised_prompt=item.revised_prompt,
        )


# Words for an image that is no result although it is there.
_FAILED = frozenset(("error", "failed", "inference error", "no_image", "image_other"))


def _is_absent(item: JsonImage) -> bool:
    return item.finish == FILTERED or item.finish in _FAILED


def _absent(item: JsonImage) -> Missing:
    filtered = item.finish == FILTERED
    return Missing(scrub(item.reason) or "nothing is in its place", filtered)


def _repairs_of_key(key: str, is_uri: bool) -> tuple[str, ...]:
    if is_uri:
        return ("data-uri",) if key in BASE64_KEYS else ()
    return ("base64-in-url",) if key in URL_KEYS else ()


def _unreadable(item: JsonImage, reason: str) -> str:
    if item.key in URL_KEYS:
        return "its address is of a kind that cannot be fetched"
    return f"its base64 cannot be read: {reason}"


def _contradicts(declared: str, media_type: str) -> bool:
    """Tell whether a claimed type is an image's, and not of this one."""
    claimed = declared.partition(";")[0].strip()
    claimed = claimed if "/" in claimed else f"image/{claimed}"
    claimed = claimed.replace("image/jpg", "image/jpeg")
    return claimed in IMAGES and claimed != media_type
