"""Where the images are in a JSON answer, and what is said about each of them.

One walk over the keys that services use, in place of one parser for each service:
`facts` of the wire formats know seven keys, at strings, objects and arrays.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.renderer.probe.base64_stream import Text
from app.renderer.probe.byte_range import Region
from app.upstream.response.finish_reason import FILTERED, classify

# A small scanner finds the strings and copies everything else, with a mark in place of
# each long string, to an outline of bounded size; the standard library's parser reads
# the outline. So the structure is checked strictly, and images cost nothing.
#
# Longer strings stay in the file.
_KEPT = 1_024
# An outline of this size makes objects of 16 MiB at the very worst.
_MOST_OUTLINE = 256 << 10
# Quotes are stepped over one by one, at about a microsecond each.
_MOST_QUOTES = 100_000
_MOST_BACKSLASHES = 64
BOM = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """The bytes are not JSON that can be read."""


class OverOutline(ValueError):
    """There is more around the images than is ever read of an answer."""


def scan(region: Region) -> Any:
    """Return the value of a JSON text; strings over 1,024 bytes are `Text`s in it.

    A byte order mark is passed over, and NaN is None: neither is worth an image.
    Raises NotJson, and OverOutline beyond 256 KiB without the long strings.
    """
    outline = _Outline(region)
    start = len(BOM) if region.read(0, len(BOM)) == BOM else 0
    position = start
    while position < region.length:
        block = _read_block(region, position)
        outline.add(block, position)
        position += len(block)
    return outline.parse()


def _read_block(region: Region, position: int) -> bytes:
    """Return a block that ends in no backslash: what one escapes is beside it."""
    block = next(region.part(position, region.length).blocks())
    for _ in range(_MOST_BACKSLASHES):
        more = region.read(position + len(block), 1)
        if not block.endswith(b"\\") or not more:
            return block
        block += more
    raise NotJson("it has too many backslashes")


class _Outline:
    """What is left of a JSON text without its long strings."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._kept = bytearray()
        self._texts: dict[str, Text] = {}
        self._quotes = 0
        # Where the content of the string begins that is being read.
        self._start: int | None = None
        self._pending = bytearray()
        self._escaped = False

    def add(self, block: bytes, position: int) -> None:
        """Read on, with the block that begins at a position of the region."""
        at = 0
        while at < len(block):
            end = block.find(b'"', at)
            piece = block[at : end if end >= 0 else len(block)]
            if self._start is None:
                self._keep(piece)
            else:
                self._pass(piece)
            if end < 0:
                return
            at = end + 1
            self._quote(block, end, position)

    def parse(self) -> Any:
        """Return the value, its marks replaced by what they stand for."""
        if self._start is not None:
            raise NotJson("it is cut off inside of a string")
        try:
            outline = self._kept.decode("utf-8", "replace")
            return self._restore(json.loads(outline, parse_constant=_nothing))
        except (ValueError, RecursionError):
            raise NotJson("it is not whole JSON") from None

    def _quote(self, block: bytes, end: int, position: int) -> None:
        self._quotes += 1
        if self._quotes > _MOST_QUOTES:
            raise OverOutline("it has too many strings")
        if self._start is None:
            self._start, self._escaped = position + end + 1, False
        elif _is_escaped(block, end):
            self._pass(b'"')
        else:
            self._close(position + end)

    def _keep(self, piece: bytes | bytearray) -> None:
        if len(self._kept) + len(piece) > _MOST_OUTLINE:
            raise OverOutline("it has too much beside its images")
        self._kept += piece

    def _pass(self, piece: bytes) -> None:
        self._escaped = self._escaped or b"\\" in piece
        self._pending += piece[: _KEPT + 1 - len(self._pending)]

    def _close(self, end: int) -> None:
        if len(self._pending) > _KEPT and self._start is not None:
            mark = f"\0{len(self._texts)}"
            self._texts[mark] = Text(self._region.part(self._start, end), self._escaped)
            self._pending[:] = json.dumps(mark).encode()[1:-1]
        self._keep(b'"' + self._pending + b'"')
        self._pending.clear()
        self._start = None

    def _restore(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._texts.get(value, value)
        if isinstance(value, list):
            return [self._restore(item) for item in value]
        if isinstance(value, dict):
            return {key: self._restore(item) for key, item in value.items()}
        return value


def _is_escaped(block: bytes, at: int) -> bool:
    before = block[max(0, at - _MOST_BACKSLASHES) : at]
    count = len(before) - len(before.rstrip(b"\\"))
    if count == _MOST_BACKSLASHES:
        raise NotJson("it has too many backslashes")
    return count % 2 == 1


def _nothing(_: str) -> None:
    return None


BASE64_KEYS = (
    "b64_json",
    "base64",
    "bytesBase64Encoded",
    "image_base64",
    "image_b64",
    "b64",
)
URL_KEYS = ("url", "image_url", "gcsUri", "uri")
_PAYLOADS = BASE64_KEYS + URL_KEYS
# Most telling first: `output` may be a word where `images` is there, too.
_CONTAINERS = (
    *("data", "artifacts", "images", "predictions", "candidates", "content", "parts"),
    *("inlineData", "inline_data", "output", "result", "image"),
)
_FINISHES = ("finishReason", "finish_reason", "finish", "raiFilteredReason")
_TYPES = ("mimeType", "mime_type", "content_type", "media_type", "output_format")
_MOST_DEPTH = 12
# The smallest image there is has more characters in base64.
_LEAST_CHARACTERS = 32
_MOST_INFO = 256 << 10
_MOST_PROMPT = 32_768

_WEB = re.compile(r"\s*https?:", re.IGNORECASE)
_RELATIVE = re.compile(
    r"(?![a-z][a-z0-9+.-]*:|/9j/|/wo)(?=/|[^?]*\.)[^\s\\]+", re.IGNORECASE
)

Around = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class JsonImage:
    """One place for an image: what is there, under which key, in which objects.

    `around` is the objects that enclose it, nearest first; a payload of None is an
    image that was to be there. `seed`, `finish` and its `reason` are what `tell` finds.
    """

    payload: str | Text | None = None
    key: str = ""
    around: Around = ()
    seed: int | None = None
    finish: str | None = None
    reason: str = ""

    @property
    def is_plausible(self) -> bool:
        """Whether the payload can be an image, an address or a data URI."""
        if isinstance(self.payload, str):
            is_short = len(self.payload) < _LEAST_CHARACTERS
            return not is_short or self.is_address or is_data_uri(self.payload)
        return self.payload is not None

    @property
    def is_address(self) -> bool:
        """Whether the payload is an address that can be fetched.

        Under a key for addresses it may be relative to the service's own: that has
        a point, which base64 has not, or begins with a slash, as base64 of a JPEG
        (`/9j/`) or of a bare JPEG XL (`/wo`) does.
        """
        if not isinstance(self.payload, str):
            return False
        relative = self.key in URL_KEYS and _RELATIVE.fullmatch(self.payload)
        return bool(relative or _WEB.match(self.payload))

    def tell(self, *keys: str) -> Any:
        """Return the nearest simple value under one of the keys, or None."""
        places = (place for around in self._own for place in _with_metadata(around))
        values = (place.get(key) for place in places for key in keys)
        return next(
            (v for v in values if isinstance(v, (str, int, float)) and v != ""), None
        )

    @property
    def _own(self) -> Around:
        """The objects out to the first with metadata: beyond, they are of others."""
        held = [isinstance(each.get("metadata"), Mapping) for each in self.around]
        return self.around[: held.index(True) + 1] if True in held else self.around

    @property
    def declared(self) -> str:
        """The media type or format that the answer claims, in lower case."""
        return str(self.tell(*_TYPES) or "").lower()

    @property
    def revised_prompt(self) -> str | None:
        """The prompt that was really used, up to 32,768 characters."""
        places = (place for around in self.around for place in _with_metadata(around))
        prompt = next(
            (p["revised_prompt"] for p in places if "revised_prompt" in p), None
        )
        if isinstance(prompt, Text):
            prompt = read_text(prompt, _MOST_PROMPT)
        return prompt if isinstance(prompt, str) else None


def is_data_uri(text: str) -> bool:
    """Tell whether a text begins as a data URI does."""
    return text[:5].lower() == "data:"


def _with_metadata(around: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an object, and what it holds about its image."""
    yield around
    metadata = around.get("metadata")
    if isinstance(metadata, Mapping):
        yield metadata


def find(document: Any, pointer: str | None = None) -> list[JsonImage]:
    """Return the places for images in an answer, in its order.

    `pointer` is a JSON pointer (RFC 6901) in which `*` stands for every index; with
    it nothing else is looked at.
    """
    if pointer is None:
        return _search(document, "", (), 0)
    places = _follow(document, _split(pointer), "", ())
    return [
        item for value, key, around in places for item in _search(value, key, around, 0)
    ]


def tell(items: list[JsonImage], document: Any) -> list[JsonImage]:
    """Return the items with seed and finish, from their own objects or from lists."""
    top = document if isinstance(document, Mapping) else {}
    info = _read_info(top.get("info"))
    seeds = _list(top.get("seeds")) or _list(info.get("all_seeds"))
    finishes, unsafe = (
        _list(top.get("finish_reasons")),
        _list(top.get("has_nsfw_concepts")),
    )
    told = []
    for index, item in enumerate(items):
        seed = _at(seeds, index, item.tell("seed"))
        finish = _at(finishes, index, item.tell(*_FINISHES))
        reason = str(finish or "")
        word = classify(finish)
        if item.tell("raiFilteredReason") or _at(unsafe, index, False) is True:
            word, reason = FILTERED, reason or "nsfw"
        told.append(replace(item, seed=_integer(seed), finish=word, reason=reason))
    return told


def read_text(text: Text, most: int) -> str:
    """Return the first characters of a long string."""
    return text.head(most).decode("utf-8", "replace")


def _search(value: Any, key: str, around: Around, depth: int) -> list[JsonImage]:
    if value is None or isinstance(value, (str, Text)):
        return [JsonImage(value or None, key, around)]
    if depth > _MOST_DEPTH:
        return []
    if isinstance(value, list):
        return [
            item for part in value for item in _search(part, key, around, depth + 1)
        ]
    if isinstance(value, Mapping):
        return _search_object(value, (value, *around), depth)
    return []


def _search_object(
    value: Mapping[str, Any], around: Around, depth: int
) -> list[JsonImage]:
    first: list[JsonImage] = []
    for key in _CONTAINERS:
        found = _search(value[key], key, around, depth + 1) if value.get(key) else []
        if any(item.is_plausible for item in found):
            return found
        first = first or found
    for key in _PAYLOADS:
        if isinstance(payload := value.get(key), (str, Text)) and payload:
            return [JsonImage(payload, key, around)]
        # {"image_url": {"url": ...}}
        if isinstance(payload, Mapping):
            return _search(payload, key, around, depth + 1)
    if first:
        return first
    empty = any(key in value for key in (*_FINISHES, *_PAYLOADS))
    return [JsonImage(None, "", around)] if empty else []


def _split(pointer: str) -> list[str]:
    return [
        part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]
    ]


def _follow(
    value: Any, parts: list[str], key: str, around: Around
) -> Iterator[tuple[Any, str, Around]]:
    """Yield what a pointer names: value, its key, the objects around it."""
    if not parts:
        yield value, key, around
    elif isinstance(value, Mapping) and parts[0] in value:
        yield from _follow(value[parts[0]], parts[1:], parts[0], (value, *around))
    elif isinstance(value, list):
        for inner in _chosen(value, parts[0]):
            yield from _follow(inner, parts[1:], key, around)


def _chosen(values: list[Any], part: str) -> Iterable[Any]:
    if part == "*":
        return values
    is_index = part.isascii() and part.isdigit() and len(part) < 7
    return values[int(part) : int(part) + 1] if is_index else ()


def _read_info(info: Any) -> Mapping[str, Any]:
    """Return the `info` of Stable Diffusion WebUI: an object, or JSON in a string."""
    if isinstance(info, Text):
        info = read_text(info, _MOST_INFO)
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except (ValueError, RecursionError):
            # Prose in some servers: what it says is then not known.
            return {}
    return info if isinstance(info, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(values: list[Any], index: int, other: Any) -> Any:
    return values[index] if index < len(values) else other


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and len(value) < 21:
        return int(value) if value.removeprefix("-").isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
