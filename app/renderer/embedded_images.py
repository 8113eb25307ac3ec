"""Images inside of HTML and CSS, taken out of it and read as those that are sent."""

import re

from app.renderer import input_image
from app.renderer.document.css_tokens import URL, address_of
from app.renderer.errors import BadParameter, LimitExceeded, shorten
from app.renderer.probe import svg
from app.renderer.probe.base64_stream import NotBase64, decode_text
from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import HEAD, measure, sniff

# An image keeps its size, by which a page without one of its own is laid out.
_COVER = (8192, 8192)
_MOST_WARNINGS = 20
_NOTHING = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
_IMAGE = re.compile(r"data:\s*(?:image/|;|,)", re.I)


class EmbeddedImages:
    """Replaces data URIs by names of `images`, and says what will not be drawn."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._names: dict[str, str | None] = {}
        self.images: dict[str, bytes] = {}
        # The names under which nothing is drawn.
        self.absent: set[str] = set()
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """The first twenty things that are not drawn."""
        return tuple(self._warnings)[:_MOST_WARNINGS]

    def in_css(self, css: str) -> str:
        """Return values of a style with names of images."""
        return URL.sub(self._url, css)

    def _url(self, found: re.Match[str]) -> str:
        address = address_of(found)
        if address is None:
            self._warn(f"{shorten(found[0])} is no address")
            return found[0]
        name = self.source(address)
        return found[0] if name is None else f"url({name})"

    def source(self, reference: str) -> str | None:
        """Return the name under which an image is kept, or None to leave it alone."""
        reference = reference.strip()
        if reference not in self._names:
            self._names[reference] = self._keep(reference)
        return self._names[reference]

    def size(self, name: str) -> tuple[int, int]:
        """Return the sides of an image that is drawn, in its pixels or CSS pixels."""
        return measure(whole(self.images[name]))[1:]

    def _keep(self, reference: str) -> str | None:
        if not reference or reference.startswith("#"):
            return None
        if reference[:5].lower() != "data:":
            self._warn(f"{shorten(reference)} is not fetched")
            return None
        if not _IMAGE.match(reference):
            return None
        name = f"embedded-image-{len(self._names) + 1}"
        place = f"image {len(self._names) + 1}"
        try:
            self.images[name] = self._read(decode_text(reference), place)
        except BadParameter as error:
            self._warn(f"{place} {error.faults[0].reason}")
        except (LimitExceeded, NotBase64, Damaged, svg.Outside) as error:
            self._warn(f"{place} is not drawn: {error}")
        if name not in self.images:
            # The engine refuses the whole page for some images that it cannot read.
            self.images[name] = _NOTHING
            self.absent.add(name)
        return name

    def _read(self, data: bytes, place: str) -> bytes:
        if sniff(data[:HEAD]) != "image/svg+xml":
            ready = input_image.prepare(data, "html", _COVER, self._max_pixels)
            for note in ready.notes:
                self._warn(f"{place}: {note}")
            return ready.data
        # The engine draws it as sharp as it is shown.
        document = svg.complete(svg.as_utf8(data))
        for note in svg.examine(document):
            self._warn(f"{place}: {note}")
        return document

    def _warn(self, text: str) -> None:
        self._warnings[text] = None
