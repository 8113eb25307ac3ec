"""Compare pages of PDFs with those that Chromium prints: how many, and how they begin.

Ends with 1 where a document has another number of pages, or a page begins otherwise.
"""

import io
import re
import sys
from itertools import zip_longest
from pathlib import Path

from pypdf import PdfReader

from benchmarks.fidelity.drawing import pair

DOCUMENTS = Path(__file__).parent / "fidelity/printed"
# Letters of a page's first words that are compared.
_COMPARED = 24
_MARGINS = re.compile(r"Acme|Page\s+\d+\s+of\s+\d+")


def beginnings(data: bytes) -> list[str]:
    """Return the first letters of each page, without those in its margins."""
    pages = PdfReader(io.BytesIO(data)).pages
    return [_beginning(page.extract_text()) for page in pages]


def _beginning(text: str) -> str:
    # Of signs that a font draws in several forms Chromium does not tell which they are.
    return "".join(re.findall("[A-Za-z]+", _MARGINS.sub("", text)))[:_COMPARED]


def main() -> int:
    """Print a table; return the status to end with."""
    print("| document | pages | of Chromium | that begin alike |\n|---|--:|--:|--:|")
    unlike = 0
    with pair() as both:
        for path in sorted(DOCUMENTS.glob("*.html")):
            document = path.read_text()
            ours = beginnings(both.mimeo_pdf(document))
            theirs = beginnings(both.chromium_pdf(document))
            alike = sum(a == b for a, b in zip_longest(ours, theirs))
            print(f"| {path.stem} | {len(ours)} | {len(theirs)} | {alike} |")
            unlike += max(len(ours), len(theirs)) - alike
    return int(unlike > 0)


if __name__ == "__main__":
    sys.exit(main())
