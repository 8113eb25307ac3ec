"""Time and memory of fonts that a page brings along: `python -m benchmarks.page_fonts`.

Draws the page `brand-fonts` of the gallery with its fonts and without them, in turn,
plain and with ideographs, for which 33 MB of the server's fonts are handed over. Prints
milliseconds of a processor, the median of the rounds, and how much memory 300 pages
more keep, each with fonts of other bytes.
"""

import argparse
import base64
import re
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.config import Settings
from app.renderer.base import Renderer
from app.renderer.catalogue import Catalogue

PAGE = Path(__file__).parent / "fidelity" / "pages" / "brand-fonts.html"
_PAGES = 300
_FONT = re.compile(r"(?<=;base64,)d09G[\w+/=]+")
# Where a file says which version of the font it is, in two bytes after two others.
_VERSION = {b"wOFF": 22, b"wOF2": 26}


def _time(row: Renderer, document: str) -> float:
    asked = row.parameters(html=document, width=1200, height=630)
    began = time.process_time()
    row.draw(asked, 1)
    return 1000 * (time.process_time() - began)


def _others(document: str) -> Iterator[str]:
    """Yield pages whose fonts have the same letters, and are of other versions."""
    for number in range(1, _PAGES + 1):
        yield _FONT.sub(partial(_renumbered, number), document)


def _renumbered(number: int, font: re.Match[str]) -> str:
    data = base64.b64decode(font[0])
    at = _VERSION[data[:4]]
    data = data[:at] + number.to_bytes(2) + data[at + 2 :]
    return base64.b64encode(data).decode()


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_fonts")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    row = Catalogue(replace(Settings(), system_fonts=False)).get("html")
    own = PAGE.read_text("utf-8")
    without = re.sub(r"@font-face\s*\{[^}]*\}", "", own)
    kinds = {"": (without, own)}
    kinds["with ideographs"] = (f"{without}<p>漢字", f"{own}<p>漢字")
    for name, pair in kinds.items():
        rounds = [[_time(row, each) for each in pair] for _ in range(chosen.rounds)]
        plain, fonts = map(statistics.median, zip(*rounds, strict=True))
        print(f"{name or 'plain':16} without {plain:6.1f} ms, with {fonts:6.1f} ms")
    before = _resident()
    for document in _others(own):
        _time(row, document)
    print(f"{_PAGES} pages more keep {_resident() - before:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
