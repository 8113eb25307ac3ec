"""A content stream that grows, and the objects that it names."""

from collections.abc import Mapping
from functools import lru_cache

import deflate

from app.renderer.encode.pdf.document import Objects
from app.renderer.encode.pdf.outline import Bounds, Unsupported, number
from app.renderer.encode.pdf.style import rgb

# Of libdeflate, which has 12. 9 takes twice as long for 1 % fewer bytes.
_LEVEL = 6
# Digits after the point in a document that may be drawn larger than it says.
FINE = 4


class ContentStream:
    """A content stream that grows, in parts, and the objects that it names."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.parts: list[list[bytes]] = [[]]
        self.named: dict[bytes, dict[bytes, int]] = {}
        self.blended = False

    def write(self, *operators: bytes) -> None:
        """Append operators to the last part."""
        self.parts[-1].extend(operators)

    def part(self) -> None:
        """Begin a new part, which is one object with its equals on other pages."""
        if self.parts[-1]:
            self.parts.append([])

    def name(self, kind: bytes, value: bytes, data: bytes | None = None) -> bytes:
        """Add an object, and return the name by which operators know it."""
        return self.use(kind, self.objects.add(value, data))

    def use(self, kind: bytes, number: int) -> bytes:
        """Return the name of an object in this stream."""
        name = self.objects.name(number)
        self.named.setdefault(kind, {})[name] = number
        return name

    def resources(self) -> bytes:
        """Return the entries of the dictionary of what is named."""
        return entries_of(self.named)

    def form(self, bounds: Bounds, *, group: bool) -> int:
        """Return the number of a form of all that was written."""
        left, top, right, bottom = bounds
        held = " ".join(number(each, FINE) for each in (left, top, right, bottom))
        head = b"<</Type/XObject/Subtype/Form/BBox[%b]%b/Resources<<%b>>" % (
            held.encode(),
            b"/Group<</S/Transparency/CS/DeviceRGB>>" if group else b"",
            self.resources(),
        )
        data = b"".join(each for part in self.parts for each in part)
        return self.objects.add(*packed(head, data))


def entries_of(named: Mapping[bytes, Mapping[bytes, int]]) -> bytes:
    """Return what a dictionary of resources has: names of objects, by kind."""
    return b"".join(
        b"/%b<<%b>>"
        % (kind, b"".join(b"/%b %d 0 R" % each for each in sorted(names.items())))
        for kind, names in sorted(named.items())
    )


# What pages have in common comes again at once.
@lru_cache(256)
def packed(head: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Return a stream with its data deflated, where that makes it shorter."""
    short = bytes(deflate.zlib_compress(data, _LEVEL))
    if len(short) + 20 < len(data):
        return head + b"/Filter/FlateDecode", short
    return head, data


def colored(
    color: str, alpha: float, out: ContentStream, *, stroke: bool
) -> tuple[bytes, ...]:
    """Return operators that choose a colour; where it is not opaque, `q` is first."""
    operators = _operators(color, stroke=stroke)
    if alpha == 1:
        return (operators,)
    key = b"CA" if stroke else b"ca"
    value = b"<</%b %b>>" % (key, number(alpha, 3).encode())
    state = out.name(b"ExtGState", value)
    out.blended = True
    return b"q\n", b"/%b gs\n" % state, operators


@lru_cache(1024)
def _operators(color: str, *, stroke: bool) -> bytes:
    red, green, blue, alpha = rgb(color)
    if alpha < 1:
        raise Unsupported(color)
    if red == green == blue:
        return f"{number(red, 3)} {'G' if stroke else 'g'}\n".encode()
    channels = " ".join(number(each, 3) for each in (red, green, blue))
    return f"{channels} {'RG' if stroke else 'rg'}\n".encode()
