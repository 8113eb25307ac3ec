"""The certificate by Typst: one compiler kept, the text as an input of the document."""

import threading

import typst

from benchmarks.contenders.answer import app_of, assets, read

_PICTURE = read("picture.json")
_SOURCE = """
#set page(width: 1123pt, height: 794pt, margin: 0pt, fill: rgb("#fdfaf1"))
#set text(
  font: ("Source Serif 4", "Noto Sans Arabic", "Noto Sans CJK SC"),
  fill: rgb("#1b2a3d"))
#place(image("border.svg", width: 1123pt, height: 794pt))
#let middle(y, size, weight, colour, words) = place(top + center, dy: y,
  block(width: 860pt, text(size: size, weight: weight, fill: rgb(colour), words)))
#middle(96pt, 64pt, 500, "#24405f", [CERTIFICATE])
#middle(250pt, 22pt, 400, "#5d6672", emph[This is proudly presented to])
#middle(290pt, float(sys.inputs.size) * 1pt, 600, "#1b2a3d", sys.inputs.title)
#place(top + center, dy: 430pt, line(length: 560pt, stroke: rgb("#b08d3c")))
#middle(446pt, 22pt, 400, "#5d6672", emph[for the successful completion of])
#middle(486pt, 34pt, 600, "#24405f", sys.inputs.course)
#place(dx: 494pt, dy: 560pt, image("seal.svg", width: 135pt, height: 165pt))
#let field(x, words) = place(dx: x, dy: 680pt,
  block(width: 280pt, align(center, text(22pt, words))))
#field(112pt, sys.inputs.date)
#field(731pt, sys.inputs.issuer)
"""
_FILE = assets() / "certificate.typ"
_FILE.write_text(_SOURCE)
_COMPILER = typst.Compiler(
    str(_FILE),
    root=str(assets()),
    font_paths=[str(assets() / "static")],
    ignore_system_fonts=True,
)
# A compiler is one thread's; there are as many processes as cores.
_LOCK = threading.Lock()


def draw(title: str, size: int) -> bytes:
    """Draw the certificate with this name and return it as PNG."""
    inputs = {**_PICTURE["parameters"], "title": title, "size": str(size)}
    with _LOCK:
        png = _COMPILER.compile(format="png", ppi=72, sys_inputs=inputs)
    return bytes(png)


app = app_of(draw)
