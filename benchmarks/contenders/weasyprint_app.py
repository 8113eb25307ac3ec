"""Pictures by WeasyPrint and pypdfium2, from the very HTML that Mimeo draws.

The document is parsed anew in each request, which WeasyPrint cannot avoid; its fonts
are those of fontconfig, and PDFium paints the page at 96 dots an inch.
"""

import html
import io
import re
import threading

import pypdfium2
import weasyprint

from benchmarks.contenders.answer import app_of, assets, read

_PAGE = read("page.json")
_WIDTH, _HEIGHT = _PAGE["size"]
_RULES = (
    f"@page {{ size: {_WIDTH}px {_HEIGHT}px; margin: 0 }}"
    " * { box-sizing: border-box; margin: 0 }"
)
_STYLES = [weasyprint.CSS(string=css) for css in (_RULES, *_PAGE["styles"])]
# Neither library is safe in threads; there are as many processes as cores.
_LOCK = threading.Lock()


def _filled(title: str, size: int) -> str:
    words = html.escape(title)
    mark = re.escape(html.escape(_PAGE["mark"]))
    pattern = rf'(<div[^>]*?)(?: style="([^"]*)")?>{mark}<'
    style = rf'\1 style="\2; font-size: {size}px">{words}<'
    return re.sub(pattern, style, _PAGE["html"], count=1)


def draw(title: str, size: int) -> bytes:
    """Draw the picture with this text and return it as PNG."""
    with _LOCK:
        document = weasyprint.HTML(string=_filled(title, size), base_url=str(assets()))
        pdf = document.write_pdf(stylesheets=_STYLES)
        image = pypdfium2.PdfDocument(pdf)[0].render(scale=96 / 72).to_pil()
    target = io.BytesIO()
    image.crop((0, 0, _WIDTH, _HEIGHT)).save(target, "PNG", compress_level=1)
    return target.getvalue()


app = app_of(draw)
