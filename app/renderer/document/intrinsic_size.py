"""How wide content is without a box around it: max-content and min-content.

CSS Sizing 3, 2.1.
"""

from dataclasses import dataclass

from app.renderer.document.box_model import LayoutBox, is_row
from app.renderer.document.computed_style import Context
from app.renderer.document.values import Units


@dataclass(slots=True)
class Extent:
    """How wide content is: its line, its longest line, its longest word; CSS pixels."""

    line: float = 0.0
    most: float = 0.0
    least: float = 0.0

    def end(self) -> None:
        """End the line."""
        self.most = max(self.most, self.line)
        self.line = 0.0

    def add_box(self, inner: "Extent", box: LayoutBox, is_inline: bool) -> None:
        """Make room for a box with a content in what it is in."""
        inner.end()
        edges = box.edges("padding", None) + box.edges("margin", None)
        least, most = inner.least + edges, inner.most + edges
        width, around = box.said("width", None), box.parent
        if width is not None:
            is_whole = box.style.get("box-sizing") == "border-box"
            least = most = width + edges - is_whole * box.edges("padding", None)
        if is_inline or (isinstance(around, LayoutBox) and is_row(around.style)):
            self.line += most
        else:
            self.end()
            self.most = max(self.most, most)
        self.least = max(self.least, least)

    def add_text(self, text: str, context: Context, units: Units) -> None:
        """Make room for a text on the line."""
        font = context.font
        face = units.typeface(font)
        if context.inherited.get("text-transform") == "uppercase":
            text = text.upper()
        spaced = context.inherited.get("letter-spacing", "normal")
        more = units.pixels(spaced, font, 0.0) or 0.0

        def width(part: str) -> float:
            return face.width(part) * font.size + more * len(part)

        space = context.inherited.get("white-space", "normal")
        if space.startswith("pre"):
            for number, line in enumerate(text.split("\n")):
                if number:
                    self.end()
                self.line += width(line)
        else:
            self.line += width(text)
        if space in ("nowrap", "pre"):
            self.least = max(self.least, self.line)
        else:
            self.least = max([self.least, *map(width, text.split())])
