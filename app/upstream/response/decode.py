"""One image out of an answer: decoded to a file, checked, measured, described."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import pybase64

from app.upstream.errors import TooLarge, scrub
from app.upstream.probe.byte_range import Region
from app.upstream.probe.raster import Damaged
from app.upstream.probe.sniff import HEAD, IMAGES, measure, sniff
from app.upstream.response.finish_reason import FILTERED
from app.upstream.response.json_images import (
    BASE64_KEYS,
    URL_KEYS,
    JsonImage,
    Said,
    Text,
)
from app.upstream.service import Service

# Nothing is guessed: a repair is made only where it has one meaning, and anything else
# is refused. A lenient decoder would turn an error message into junk bytes and
# `data:image/webp;base64,` into the beginning of a picture.
_HEAD = re.compile(rb"\s*data:([^,;\s]*)(?:;[^,;]*)*?;base64,", re.IGNORECASE)
# Media type and parameters together; real ones have under 100 characters.
_MOST_HEAD = 512
_SPACE = b" \t\r\n\f\v"
_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_KNOWN = _SIGNS + b"=" + _SPACE
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
# Of so many characters one is a +, but for one case in 10 to the 14th.
_SURELY_HAS_PLUS = 2_048


class NotBase64(ValueError):
    """The text is not base64, and no repair with one meaning makes it so."""


class OverBytes(ValueError):
    """What the text decodes to is longer than allowed."""


@dataclass(slots=True)
class _Survey:
    """What the characters of a text say about how to read it."""

    signs: int = 0
    padding: int = 0
    seen: frozenset[str] = frozenset()

    def add(self, block: bytes) -> None:
        """Count one block; raise NotBase64 where it cannot be."""
        if block.translate(None, _KNOWN):
            raise NotBase64("it has characters that base64 has not")
        dense = block.translate(None, _SPACE)
        signs = dense.rstrip(b"=")
        if b"=" in signs or (signs and self.padding):
            raise NotBase64("it goes on behind its padding")
        self.signs += len(signs)
        self.padding += len(dense) - len(signs)
        marks = {
            "whitespace": len(dense) != len(block),
            "blank": b" " in block.strip(_SPACE),
            "+": b"+" in signs,
            "standard": b"+" in signs or b"/" in signs,
            "url-safe": b"-" in signs or b"_" in signs,
        }
        self.seen |= {name for name, is_seen in marks.items() if is_seen}

    def check(self) -> None:
        """Raise NotBase64 where the whole has no single meaning."""
        if not self.signs:
            raise NotBase64("it is empty")
        if "blank" in self.seen and not self.seen & {"+", "url-safe"}:
            self._check_blanks()
        if {"standard", "url-safe"} <= self.seen:
            raise NotBase64("it mixes two alphabets")
        if self.signs % 4 == 1:
            raise NotBase64("it is cut off")
        if self.padding and (self.padding > 2 or (self.padding + self.signs) % 4):
            raise NotBase64("its padding does not fit")

    def _check_blanks(self) -> None:
        # Leaving them out would be another picture, and none would notice.
        if self.signs >= _SURELY_HAS_PLUS:
            raise NotBase64("a form has turned its + into blanks")

    def repairs(self) -> tuple[str, ...]:
        """Name what `decode` will have to mend."""
        missing = {"padding"} if (self.signs + self.padding) % 4 else set()
        return tuple(sorted(self.seen & {"whitespace", "url-safe"} | missing))


def media_type_of(text: Text) -> str | None:
    """Return what a data URI of base64 claims to be; None where it is no such URI."""
    match = _HEAD.match(text.head(_MOST_HEAD))
    return match[1].decode("ascii", "replace").lower() if match else None


def decode(text: Text, target: BinaryIO, most: int) -> tuple[Region, tuple[str, ...]]:
    """Append what a text of base64, or a data URI, encodes to `target`.

    Returns where it is, and what had to be repaired.
    Memory is a few blocks of 256 KiB. Raises NotBase64, or OverBytes where the
    result would be longer than `most`, before a byte is written.
    """
    survey = _Survey()
    for block in _body(text):
        survey.add(block)
    length = survey.signs * 3 // 4
    if length > most:
        raise OverBytes(f"it decodes to {length:,} bytes")
    survey.check()
    start = target.seek(0, os.SEEK_END)
    for data in _decode(_body(text)):
        target.write(data)
    target.flush()
    return Region(target, start, length), survey.repairs()


def _body(text: Text) -> Iterator[bytes]:
    """Yield the blocks of a text behind the head of a data URI."""
    match = _HEAD.match(text.head(_MOST_HEAD))
    left = match.end() if match else 0
    for block in text.blocks():
        yield block[left:]
        left = max(0, left - len(block))


def _decode(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Decode what has been surveyed, four signs to three bytes."""
    kept = b""
    for block in blocks:
        signs = kept + block.translate(_TO_STANDARD, _SPACE + b"=")
        cut = len(signs) - len(signs) % 4
        kept = signs[cut:]
        yield pybase64.b64decode(signs[:cut], validate=True)
    if kept:
        yield pybase64.b64decode(kept.ljust(4, b"="), validate=True)


_MOST_URL = 8_192
_UNSAID = Said(None, None, "")


@dataclass(frozen=True, slots=True)
class Found:
    """A whole image, where its bytes are and what is known of it.

    `form` is how it came: binary, zip, b64_json, base64, data_uri, base64_text or
    url. `finish` is `success`, or the service's own word where that is not known.
    `repairs` names what was wrong with the answer and mended: bom, content-type,
    media-type (of this image), data-uri (in a field for base64), base64-in-url,
    base64-twice, padding, url-safe, whitespace.
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

    def read_item(self, item: JsonImage, said: Said) -> Piece:
        """Return the image at one place of a JSON answer."""
        if _is_absent(said) or item.payload is None:
            return _absent(said)
        if isinstance(item.payload, Text):
            return self._read_text(item.payload, item, said)
        if item.is_address:
            return self._link(item.payload.strip(), item, said)
        return self._read_text(self._spill(item.payload), item, said)

    def read_bare(self, text: Text) -> Piece:
        """Return the image that a text of base64, or a data URI, is."""
        return self._read_text(text, JsonImage(None, "", ()), _UNSAID, "base64_text")

    def _spill(self, text: str) -> Text:
        """Write a short string to the file, to be read like the long ones."""
        data = text.encode("utf-8", "replace")
        start = self.target.seek(0, 2)
        self.target.write(data)
        self.target.flush()
        return Text(Region(self.target, start, len(data)))

    def _link(self, url: str, item: JsonImage, said: Said) -> Piece:
        if len(url) > _MOST_URL:
            return Missing("its address is too long")
        return Linked(url, said.seed, said.finish, item.revised_prompt, self.repairs)

    def _read_text(
        self, text: Text, item: JsonImage, said: Said, form: str = "base64"
    ) -> Piece:
        if text.head(8).lower().startswith((b"http:", b"https:")):
            # One character more than allowed, so that a longer one is seen to be so.
            url = text.head(_MOST_URL + 1).decode("utf-8", "replace")
            return self._link(url.strip(), item, said)
        try:
            region, mended = self._decode(text)
        except NotBase64 as error:
            return Missing(_unreadable(item, str(error)))
        claimed = media_type_of(text)
        repairs = (*_repairs_of_key(item.key, claimed is not None), *mended)
        if claimed is not None:
            form = "data_uri"
        elif item.key == "b64_json":
            form = "b64_json"
        declared = claimed or item.declared
        return self.look(region, form, said, repairs, declared, item.revised_prompt)

    def _decode(self, text: Text) -> tuple[Region, tuple[str, ...]]:
        """Decode a text, and what it holds once more where that is base64 again."""
        most = self.service.max_image_bytes
        try:
            # There is room for the largest image in base64 once more.
            region, repairs = decode(text, self.target, most * 4 // 3 + 4)
            if sniff(region.read(0, HEAD)) == "text/plain":
                region, inner = decode(Text(region), self.target, most)
                repairs = ("base64-twice", *repairs, *inner)
        except OverBytes as error:
            raise TooLarge(self.service.name, "max_image_bytes", most) from error
        return region, repairs

    def look(
        self,
        region: Region,
        form: str,
        said: Said = _UNSAID,
        repairs: tuple[str, ...] = (),
        declared: str = "",
        prompt: str | None = None,
    ) -> Piece:
        """Return the image that a region is; Missing where it is not one."""
        # A filter's blurred or black picture is whole and would pass every check below.
        if _is_absent(said):
            return _absent(said)
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
            seed=said.seed,
            finish=said.finish,
            # A text of base64 twice has the repairs of both, often the same ones.
            repairs=tuple(dict.fromkeys((*self.repairs, *wrong, *repairs))),
            revised_prompt=prompt,
        )


# Words for an image that is no result although it is there.
_FAILED = frozenset(("error", "failed", "inference error", "no_image", "image_other"))


def _is_absent(said: Said) -> bool:
    return said.finish == FILTERED or said.finish in _FAILED


def _absent(said: Said) -> Missing:
    filtered = said.finish == FILTERED
    return Missing(scrub(said.reason) or "nothing is in its place", filtered)


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
