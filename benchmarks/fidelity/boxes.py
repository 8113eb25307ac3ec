"""Where the elements of a page stand, in Chromium and in the engine."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytakumi

from app.config import Settings
from app.renderer.builtin import html
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine
from app.renderer.sandbox.chromium import BrowserPage

# Of elements that make a box of their own in the engine: what stands in a line of text
# is a part of that, and rows of tables are where their cells are.
_FIND = """JSON.stringify((() => {
  const found = [], inline = /^(inline|none|contents|table-row|table-row-group|%s)$/;
  let number = 0;
  for (const each of document.body.querySelectorAll("*")) {
    number += 1;
    const replaced = /^(IMG|svg|CANVAS)$/.test(each.tagName);
    if (each.closest("svg") && each.tagName !== "svg") continue;
    const display = getComputedStyle(each).display;
    if (inline.test(display) && !(replaced && display === "inline")) continue;
    const box = each.getBoundingClientRect();
    found.push([number, each.tagName.toLowerCase(),
                box.x, box.y, box.width, box.height]);
  }
  return found;
})())""" % "|".join(  # noqa: UP031
    ("table-header-group", "table-footer-group", "table-column", "table-column-group")
)
# A shear that no page has, by the element's number: shears of parent and child add up.
_MARK = """(() => {
  let number = 0;
  for (const each of document.body.querySelectorAll("*")) {
    number += 1;
    if (each.closest("svg") && each.tagName !== "svg") continue;
    // A part of a line that is turned is a box of its own.
    if (/^(inline|none|contents)$/.test(getComputedStyle(each).display)
        && !/^(IMG|svg)$/.test(each.tagName)) continue;
    const style = (each.getAttribute("style") || "").replace(/;?\\s*$/, ";");
    each.setAttribute("style", style.replace(/^;/, "")
      + `rotate:none;scale:none;transform:matrix(1,0,${number},1,0,0)`);
  }
  return document.documentElement.outerHTML;
})()"""


class Box(NamedTuple):
    """Left, top, width and height in CSS pixels."""

    x: float
    y: float
    width: float
    height: float


class Places(NamedTuple):
    """Elements by name and number, in Chromium and in the engine if it has them."""

    browser: Mapping[str, Box]
    engine: Mapping[str, Box]

    def strays(self, width: int) -> dict[str, tuple[Box, Box | None]]:
        """Return the elements that are more than 2 px and 1 % of the width apart."""
        most = 2 + width / 100
        return {
            name: (box, self.engine.get(name))
            for name, box in self.browser.items()
            if not _near(box, self.engine.get(name), most)
        }


def places(
    page: BrowserPage, document: str, size: tuple[int, int], engine: Engine
) -> Places:
    """Measure a page that the browser shows, and in the engine; marks the page."""
    found = json.loads(page.evaluate(_FIND))
    browser = {f"{tag} {number}": Box(*box) for number, tag, *box in found}
    names = {int(name.split()[1]): name for name in browser}
    marked = page.evaluate(_MARK)
    plain = list(_walk(_measure(engine, document, size)))
    sheared = list(_walk(_measure(engine, marked, size)))
    if len(plain) != len(sheared):
        raise ValueError(f"{len(plain)} boxes are {len(sheared)} when marked")
    measured = {
        names[number]: box
        for (_, box), (number, _) in zip(plain, sheared, strict=True)
        if number in names
    }
    return Places(browser, measured)


def _measure(engine: Engine, document: str, size: tuple[int, int]) -> Any:
    parameters = html.Parameters(html=document, width=size[0], height=size[1])
    images = EmbeddedImages(Settings().max_image_pixels)
    page, setting, _, _ = engine._set(html.page(parameters, images, engine))
    return engine._renderer.measure(
        pytakumi.from_html(page.body),
        width=size[0],
        height=size[1],
        stylesheets=page.styles,
        images=page.images,
        **setting,
    )


def _walk(box: Any, above: float = 0.0) -> Iterator[tuple[int, Box]]:
    """Yield the number by which each box is sheared more than its parent."""
    shear = box["transform"][2]
    yield round(shear - above), _around(box)
    for child in box["children"]:
        yield from _walk(child, shear)


def _around(box: Any) -> Box:
    """Return what surrounds a box that may be turned."""
    a, b, c, d, x, y = box["transform"]
    width, height = box["width"], box["height"]
    across = (0, a * width, c * height, a * width + c * height)
    down = (0, b * width, d * height, b * width + d * height)
    return Box(
        x + min(across),
        y + min(down),
        max(across) - min(across),
        max(down) - min(down),
    )


def _near(one: Box, other: Box | None, most: float) -> bool:
    if other is None:
        return False
    return all(abs(a - b) <= most for a, b in zip(one, other, strict=True))


def floats(document: str) -> bool:
    """Tell whether a page lets anything float, or has columns."""
    found = re.search(
        r"float\s*:\s*(?:left|right|inline)|[{;\s](?:columns|column-count)\s*:",
        document,
    )
    return found is not None
