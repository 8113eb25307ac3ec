"""Pictures as people have them, made here byte by byte."""

import base64
import gzip
import io
import struct
import zlib
from typing import Any
from urllib.parse import quote

import numpy as np
import pillow_heif
from PIL import Image

RED, BLUE = (220, 30, 30), (30, 60, 220)
ORIENTATION = 0x0112


def halves(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """Return red on the left and blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(value: int) -> Image.Image:
    """Return `halves` as a sensor has it whose EXIF says `value` (EXIF 2.3, 4.6.4)."""
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[value]
    return halves() if back is None else halves().transpose(back)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags.tobytes()


def _s15f16(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def icc(space: bytes, kind: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of version 2 (ICC.1:2001)."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + _s15f16(0.9642, 1, 0.8249),
        **tags,
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s12s4s4sIIIQI12sI44x",
        *(at + len(body), b"", 0x02400000, kind, space, pcs, b"", b"acsp", b""),
        *(0, 0, 0, 0, 0, _s15f16(0.9642, 1, 0.8249), 0),
    )
    return head + struct.pack(">I", len(tags)) + table + body


def rgb_profile(red: int, green: int, blue: int) -> bytes:
    """Return sRGB's primaries in another order, with a gamma of 2.2."""
    primaries = [
        (0.43607, 0.22249, 0.01392),
        (0.38515, 0.71687, 0.09708),
        (0.14307, 0.06061, 0.7141),
    ]
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    tags = {}
    for name, number in ((b"r", red), (b"g", green), (b"b", blue)):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + _s15f16(*primaries[number])
        tags[name + b"TRC"] = curve
    return icc(b"RGB ", b"mntr", b"XYZ ", tags)


def display_p3() -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    tags = {name: b"XYZ \0\0\0\0" + _s15f16(*v) for name, v in primaries.items()}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    return icc(b"RGB ", b"mntr", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return icc(b"GRAY", b"mntr", b"XYZ ", {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Return a press on which cyan is a green, and the rest what it is anywhere."""
    colors = {
        (0, 0, 0): (100, 0, 0),
        (1, 0, 0): (60, -60, 40),
        (0, 1, 0): (48, 74, -3),
        (0, 0, 1): (89, -5, 93),
        (1, 1, 0): (24, 17, -46),
        (1, 0, 1): (50, -65, 27),
        (0, 1, 1): (47, 68, 48),
        (1, 1, 1): (23, 0, 0),
    }
    grid = b""
    for at in range(16):
        c, m, y, k = ((at >> shift) & 1 for shift in (3, 2, 1, 0))
        light, a, b = colors[c, m, y] if not k else (2, 0, 0)
        grid += bytes((round(light * 2.55), a + 128, b + 128))
    line = bytes(range(256))
    unit = _s15f16(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0\4\3\2\0" + unit + line * 4 + grid + line * 3
    # Back from Lab, as a reader needs to find the darkest of them: black or no ink.
    back = b"".join(bytes((0, 0, 0, 0 if at & 4 else 255)) for at in range(8))
    inverse = b"mft1\0\0\0\0\3\4\2\0" + unit + line * 3 + back + line * 4
    return icc(b"CMYK", b"prtr", b"Lab ", {b"A2B0": table, b"B2A0": inverse})


def png(color: int, depth: int, rows: list[bytes], **chunks: bytes) -> bytes:
    """Return a PNG of rows that are packed already."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    width = len(rows[0]) * 8 // (depth * channels)
    head = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    more = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + more
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def deep_png(value: int, **chunks: bytes) -> bytes:
    return png(0, 16, [struct.pack(">H", value) * 40] * 20, **chunks)


def tiff(
    values: "np.ndarray[Any, Any]", bits: int, photometric: int, form: int = 1
) -> bytes:
    """Return an uncompressed TIFF of one strip (TIFF 6.0)."""
    data = values.tobytes()
    height, width = values.shape
    entries = [
        *((256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1)),
        *((262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 3, height)),
        *((279, 4, len(data)), (339, 3, form)),
    ]
    listed = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + struct.pack("<H2x" if kind == 3 else "<I", value)
        for tag, kind, value in entries
    )
    at = 8 + len(data)
    return (
        b"II*\0"
        + struct.pack("<I", at)
        + data
        + struct.pack("<H", len(entries))
        + listed
        + bytes(4)
    )


def alpha_bmp() -> bytes:
    """Return a BMP with a version 5 header and alpha: red, then nothing."""
    row = b"\x1e\x1e\xdc\xff" * 40 + b"\x1e\x1e\xdc\0" * 40
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 124, 80, 40, 1, 32, 3, 12800, 2835, 2835, 0, 0)
    head += masks + b"BGRs" + bytes(48) + struct.pack("<4I", 4, 0, 0, 0)
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + 12800, 0, 0, start) + head + row * 40


def plain_bmp32() -> bytes:
    """Return a BMP as Paint writes 32 bits: the fourth byte of a pixel is unused."""
    row = b"\x1e\x1e\xdc\0" * 40 + b"\xdc\x3c\x1e\0" * 40
    head = struct.pack("<IiiHHIIiiII", 40, 80, -40, 1, 32, 0, 12800, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 12800, 0, 0, 54) + head + row * 40


def heic(orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(turned(orientation).resize((160, 160)))
    file.save(buffer, quality=90, exif=exif(orientation))
    return buffer.getvalue()


def icon() -> bytes:
    return saved(halves((64, 64)), "ICO", sizes=[(16, 16), (64, 64)])


def icon_of_old() -> bytes:
    """Return an ICO whose images are bitmaps, as before Windows Vista."""
    return saved(halves((32, 32)), "ICO", sizes=[(32, 32)], bitmap_format="bmp")


NS = 'xmlns="http://www.w3.org/2000/svg"'
_SIDES = '<rect width="40" height="40" fill="#dc1e1e"/>'
_SIDES += '<rect x="40" width="40" height="40" fill="#1e3cdc"/>'
SVG = f'<svg {NS} viewBox="0 0 80 40">{_SIDES}</svg>'
SVGS = {
    "SVG": SVG.encode(),
    "SVG with a byte order mark": b"\xef\xbb\xbf" + SVG.encode(),
    "SVG in UTF-16": ('<?xml version="1.0" encoding="UTF-16"?>' + SVG).encode("utf-16"),
    "SVG in Latin-1": (
        f'<?xml version="1.0" encoding="iso-8859-1"?>'
        f"<!-- caf\u00e9 --><svg {NS} viewBox='0 0 80 40'>{_SIDES}</svg>"
    ).encode("latin-1"),
    "SVG of an old Illustrator": (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE svg PUBLIC'
        ' "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/svg11.dtd" ['
        '<!ENTITY ns_svg "http://www.w3.org/2000/svg">]>'
        f'<svg version="1.1" xmlns="&ns_svg;" viewBox="0 0 80 40">{_SIDES}</svg>'
    ).encode(),
    "SVG packed": gzip.compress(SVG.encode(), mtime=0),
    "SVG out of a page": f'<svg viewBox="0 0 80 40"><defs><g id="a">{_SIDES}</g></defs>'
    '<use xlink:href="#a"/></svg>'.encode(),
    "SVG in millimetres": (
        f'<svg {NS} width="80mm" height="40mm"><svg viewBox="0 0 80 40">{_SIDES}</svg>'
        "</svg>"
    ).encode(),
    "SVG with a style and a script": (
        f'<svg {NS} viewBox="0 0 80 40"><style>.a{{fill:#dc1e1e}}</style>'
        '<rect class="a" width="40" height="40"/><script>document.write(1)</script>'
        '<rect x="40" width="40" height="40" fill="#1e3cdc"/></svg>'
    ).encode(),
    "SVG as wide as its place": (
        f'<svg {NS} width="100%" height="100%" viewBox="0 0 80 40">{_SIDES}</svg>'
    ).encode(),
}

_P = halves().quantize(8)
_MOVING = {"save_all": True, "append_images": [halves().rotate(180)], "duration": 90}
# Each shows red on the left and blue on the right.
HALVES: dict[str, bytes] = {
    "PNG": saved(halves(), "PNG"),
    "JPEG": saved(halves(), "JPEG", quality=95),
    "JPEG, progressive": saved(halves(), "JPEG", quality=95, progressive=True),
    "WebP": saved(halves(), "WEBP", lossless=True),
    "AVIF": saved(halves(), "AVIF", quality=95),
    "GIF": saved(halves(), "GIF"),
    "BMP": saved(halves(), "BMP"),
    "BMP of 32 bits": plain_bmp32(),
    "BMP with a palette": saved(_P, "BMP"),
    "TIFF": saved(halves(), "TIFF"),
    "TIFF, LZW": saved(halves(), "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": saved(halves(), "TIFF", compression="jpeg", quality=95),
    "TIFF, YCbCr": saved(halves().convert("YCbCr"), "TIFF"),
    "ICO": icon(),
    "ICO of bitmaps": icon_of_old(),
    "HEIC": heic(),
    "PNG with a palette": saved(_P, "PNG"),
    "PNG of 16 bits": png(
        2,
        16,
        [
            struct.pack(">3H", *(v * 257 for v in RED)) * 40
            + struct.pack(">3H", *(v * 257 for v in BLUE)) * 40
        ]
        * 40,
    ),
    "GIF that moves": saved(halves(), "GIF", **_MOVING),
    "WebP that moves": saved(halves(), "WEBP", lossless=True, **_MOVING),
    "APNG": saved(halves(), "PNG", **_MOVING),
    "AVIF that moves": saved(halves(), "AVIF", quality=95, **_MOVING),
    "TIFF of two pages": saved(halves(), "TIFF", **_MOVING),
    "MPO": saved(halves(), "MPO", quality=95, **_MOVING),
    "CMYK, JPEG": saved(halves().convert("CMYK"), "JPEG", quality=95),
    "CMYK, TIFF": saved(halves().convert("CMYK"), "TIFF"),
    "PNG without its last bytes of text": saved(halves(), "PNG") + b"trailing words",
    **{
        f"JPEG, EXIF {n}": saved(turned(n), "JPEG", quality=95, exif=exif(n))
        for n in range(1, 9)
    },
    **{
        f"{kind}, EXIF 6": saved(turned(6), kind, exif=exif(6), **more)
        for kind, more in (
            ("PNG", {}),
            ("WEBP", {"lossless": True}),
            ("AVIF", {"quality": 95}),
            ("TIFF", {}),
        )
    },
    "MPO, EXIF 8": saved(
        turned(8),
        "MPO",
        quality=95,
        exif=exif(8),
        save_all=True,
        append_images=[turned(8).resize((20, 10))],
    ),
    **SVGS,
}


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def percent(data: bytes) -> str:
    return f"data:image/svg+xml;charset=utf-8,{quote(data)}"
