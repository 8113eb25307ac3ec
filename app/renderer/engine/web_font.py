"""Font files that callers send: their tables, read under bounds.

OpenType 1.9 with its collections, WOFF 1.0 and WOFF 2.0 (W3C). What the engine draws
with is the file; what is read here tells which characters it has and how wide they are.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]

_SFNT = frozenset((b"\0\1\0\0", b"OTTO", b"true"))
_COLLECTION, _WOFF, _WOFF2 = b"ttcf", b"wOFF", b"wOF2"
# Without these no letter is drawn.
_NEEDED = ("cmap", "head", "hhea", "hmtx", "maxp")
# WOFF 2.0, 4.1: the tags that are numbers there.
_KNOWN_TAGS = (
    "cmap head hhea hmtx maxp name OS/2 post cvt  fpgm glyf loca prep CFF  VORG EBDT"
    " EBLC gasp hdmx kern LTSH PCLT VDMX vhea vmtx BASE GDEF GPOS GSUB EBSC JSTF MATH"
    " CBDT CBLC COLR CPAL SVG  sbix acnt avar bdat bloc bsln cvar fdsc feat fmtx fvar"
    " gvar hsty just lcar mort morx opbd prop trak Zapf Silf Glat Gloc Feat Sill"
)
_TAGS = tuple(_KNOWN_TAGS[at : at + 4] for at in range(0, len(_KNOWN_TAGS), 5))
_ANY_TAG = 63
# Of the versions of a table in WOFF 2.0: `glyf` and `loca` that stand as they are.
_PLAIN_OUTLINES = 3
# Of a character in a table that maps it by itself.
CHARACTER_BYTES = 12
_HEAD = struct.Struct(">4s4sLHHLLHH LLLLL")


class BrokenWebFont(ValueError):
    """A caller's font cannot be used; the message says why, after its name."""


@dataclass(frozen=True, slots=True)
class WebFont:
    """A font file that the engine reads, and its tables.

    In a WOFF 2.0 `glyf`, `loca` and `hmtx` may be as that format packs them; `packed`
    has then the version and the unpacked length of each table.
    """

    data: bytes
    flavor: bytes
    tables: Mapping[str, bytes]
    packed: Mapping[str, tuple[int, int]] | None = None

    @property
    def face(self) -> hb.Face:
        """The face, without outlines where they are packed."""
        known = {**self.tables}
        for tag, (version, _) in (self.packed or {}).items():
            if _is_packed(tag, version):
                del known[tag]
        if "hmtx" not in known:
            known["hmtx"] = _advances(self.tables)
        return hb.Face.create_for_tables(lambda _, tag, __: known.get(tag), None)

    @property
    def size(self) -> int:
        """How many bytes its tables have, unpacked."""
        return sum(map(len, self.tables.values()))

    def limited(self, points: hb.Set) -> "WebFont":
        """Return the font with these of its characters alone.

        That takes time for each of them, and up to CHARACTER_BYTES.
        """
        font = hb.Font(self.face)
        kept = points.copy()
        kept &= self.face.unicodes
        glyphs = {point: font.get_nominal_glyph(point) for point in kept}
        tables = {**self.tables, "cmap": _cmap(glyphs)}
        if self.packed is None:
            return WebFont(_as_sfnt(self.flavor, tables), self.flavor, tables)
        data = _as_woff2(self.flavor, tables, self.packed)
        return WebFont(data, self.flavor, tables, self.packed)


def read(data: bytes, most: int) -> WebFont:
    """Return the font in a file; in a collection the first one.

    Raises BrokenWebFont where it is damaged, or of more than `most` bytes unpacked.
    """
    kind = data[:4]
    try:
        if len(data) > most:
            raise BrokenWebFont("is too large")
        if kind == _WOFF:
            font = _read_woff(data, most)
        elif kind == _WOFF2:
            font = _read_woff2(data, most)
        elif kind in _SFNT or kind == _COLLECTION:
            font = _read_sfnt(data, most)
        else:
            raise BrokenWebFont("is none of TTF, OTF, WOFF and WOFF2")
    except (struct.error, zlib.error, brotli.error, LookupError) as error:
        raise BrokenWebFont("is damaged") from error
    if any(not font.tables.get(tag) for tag in _NEEDED):
        raise BrokenWebFont("is damaged: it lacks tables")
    return font


def _read_sfnt(data: bytes, most: int) -> WebFont:
    at = 0
    if data[:4] == _COLLECTION:
        (at,) = struct.unpack_from(">L", data, 12)
    flavor, count = struct.unpack_from(">4sH", data, at)
    tables = {}
    left = most
    for tag, _, offset, length in struct.iter_unpack(
        ">4sLLL", data[at + 12 : at + 12 + 16 * count]
    ):
        table = data[offset : offset + length]
        # Tables may overlap, so that all of them are more than the file.
        left -= len(table)
        if left < 0:
            raise BrokenWebFont("is too large")
        tables[tag.decode("latin-1")] = table
    return WebFont(_as_sfnt(flavor, tables) if at else data, flavor, tables)


def _read_woff(data: bytes, most: int) -> WebFont:
    flavor, _, count = struct.unpack_from(">4sLH", data, 4)
    tables = {}
    left = most
    for tag, offset, packed, length, _ in struct.iter_unpack(
        ">4sLLLL", data[44 : 44 + 20 * count]
    ):
        left -= length
        if left < 0:
            raise BrokenWebFont("is too large")
        table = data[offset : offset + packed]
        if packed < length:
            table = zlib.decompressobj().decompress(table, length)
        if len(table) != length:
            raise BrokenWebFont("is damaged")
        tables[tag.decode("latin-1")] = table
    # As it is in memory anyway, the engine need not unpack it again.
    return WebFont(_as_sfnt(flavor, tables), flavor, tables)


def _read_woff2(data: bytes, most: int) -> WebFont:
    _, flavor, _, count, _, total, packed, *_ = _HEAD.unpack_from(data)
    if flavor == _COLLECTION:
        raise BrokenWebFont("is a collection as WOFF2, which is not read")
    at = _HEAD.size
    lengths: dict[str, int] = {}
    versions: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        kind, at = data[at], at + 1
        if kind & _ANY_TAG == _ANY_TAG:
            tag, at = data[at : at + 4].decode("latin-1"), at + 4
        else:
            tag = _TAGS[kind & _ANY_TAG]
        length, at = _base128(data, at)
        versions[tag] = kind >> 6, length
        if _is_packed(tag, kind >> 6):
            length, at = _base128(data, at)
        lengths[tag] = length
    size = sum(lengths.values())
    if max(size, total) > most:
        raise BrokenWebFont("is too large")
    plain = _unpacked(data[at : at + packed], size)
    tables, at = {}, 0
    for tag, length in lengths.items():
        tables[tag] = plain[at : at + length]
        at += length
    return WebFont(data, flavor, tables, versions)


def _unpacked(data: bytes, size: int) -> bytes:
    """Return so many bytes out of a Brotli stream; raise BrokenWebFont for others."""
    stream = brotli.Decompressor()
    parts: list[bytes] = [stream.process(data, output_buffer_limit=size + 1)]
    have = len(parts[0])
    while have <= size and not stream.is_finished():
        more = stream.process(b"", output_buffer_limit=size + 1 - have)
        if not more:
            break
        parts.append(more)
        have += len(more)
    if have != size:
        raise BrokenWebFont("is damaged")
    return b"".join(parts)


def _is_packed(tag: str, version: int) -> bool:
    """Tell whether a table of WOFF 2.0 has a length of its own as it is packed."""
    plain = _PLAIN_OUTLINES if tag in ("glyf", "loca") else 0
    return version != plain


def _base128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 5):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    raise BrokenWebFont("is damaged")


def _as_base128(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def _advances(tables: Mapping[str, bytes]) -> bytes:
    """Return the widths of a packed `hmtx` as a plain one (WOFF 2.0, 5.4)."""
    (wide,) = struct.unpack_from(">H", tables["hhea"], 34)
    (glyphs,) = struct.unpack_from(">H", tables["maxp"], 4)
    widths = tables["hmtx"][1 : 1 + 2 * wide]
    each = (widths[at : at + 2] + b"\0\0" for at in range(0, len(widths), 2))
    rest: int = max(0, glyphs - wide)
    return b"".join(each) + b"\0\0" * rest


def _cmap(glyphs: Mapping[int, int]) -> bytes:
    """Return a table that maps these characters to these glyphs (OpenType, cmap 12)."""
    groups = list(_groups(glyphs))
    head = struct.pack(">HHHHL", 0, 1, 3, 10, 12)
    head += struct.pack(">HHLLL", 12, 0, 16 + 12 * len(groups), 0, len(groups))
    return head + b"".join(struct.pack(">LLL", *group) for group in groups)


def _groups(glyphs: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    first = last = start = -1
    for point, glyph in sorted(glyphs.items()):
        if point == last + 1 and glyph == start + point - first and start >= 0:
            last = point
            continue
        if start >= 0:
            yield first, last, start
        first, last, start = point, point, glyph
    if start >= 0:
        yield first, last, start


def _as_sfnt(flavor: bytes, tables: Mapping[str, bytes]) -> bytes:
    """Return tables as a font file, without the sums that nobody checks."""
    at = 12 + 16 * len(tables)
    rows, parts = [], []
    for tag, table in sorted(tables.items()):
        rows.append(struct.pack(">4sLLL", tag.encode("latin-1"), 0, at, len(table)))
        parts.append(table + b"\0" * (-len(table) % 4))
        at += len(parts[-1])
    return struct.pack(">4sHHHH", flavor, len(tables), 0, 0, 0) + b"".join(rows + parts)


def _as_woff2(
    flavor: bytes,
    tables: Mapping[str, bytes],
    versions: Mapping[str, tuple[int, int]],
) -> bytes:
    """Return tables as WOFF 2.0, those that are packed as they are."""
    rows = []
    for tag, table in tables.items():
        version, unpacked = versions[tag]
        lengths = _as_base128(len(table))
        if _is_packed(tag, version):
            lengths = _as_base128(unpacked) + lengths
        known = _TAGS.index(tag) if tag in _TAGS else _ANY_TAG
        spelt = tag.encode("latin-1") if known == _ANY_TAG else b""
        rows.append(bytes((version << 6 | known,)) + spelt + lengths)
    stream: bytes = brotli.compress(b"".join(tables.values()), quality=1)
    directory = b"".join(rows)
    length = _HEAD.size + len(directory) + len(stream)
    pad = -length % 4
    size = 12 + 16 * len(tables) + sum(map(len, tables.values()))
    head = (_WOFF2, flavor, length + pad, len(tables), 0, size, len(stream), 1, 0)
    return _HEAD.pack(*head, *[0] * 5) + directory + stream + b"\0" * pad
