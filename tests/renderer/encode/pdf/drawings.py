"""Pages of renderers as PDF, and what programs that are not ours make of them."""

import io
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from app.config import Settings
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce


def program(name: str, package: str) -> str:
    """Return the path of a program, or skip the test and say what would run it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return path


@cache
def renderer(name: str) -> Renderer:
    return _catalogue().get(name)


@cache
def _catalogue() -> Catalogue:
    return Catalogue(Settings(system_fonts=False))


class Page(NamedTuple):
    """A page, and the pixels of the same drawing on white."""

    pdf: bytes
    pixels: Image.Image

    def write(self, folder: Path) -> Path:
        path = folder / "page.pdf"
        path.write_bytes(self.pdf)
        return path


@cache
def page(name: str, /, scale: float = 1, **values: str) -> Page:
    """Draw an example, with other values where some are given."""
    chosen = renderer(name)
    given = values if name == "html" and values else {**chosen.example, **values}
    parameters = chosen.parameters.model_validate_strings(given)
    pdf = produce(chosen, parameters, Output(format="pdf", scale=scale))
    png = produce(chosen, parameters, Output(background="#ffffff"))
    return Page(bytes(pdf.data), Image.open(io.BytesIO(png.data)).convert("RGB"))


@cache
def raster(name: str, scale: float = 1) -> bytes:
    """Draw an example as a page that is one picture."""
    chosen = replace(renderer(name), vector=None)
    parameters = chosen.parameters.model_validate_strings(dict(chosen.example))
    return bytes(produce(chosen, parameters, Output(format="pdf", scale=scale)).data)


def poppler(made: Page, folder: Path) -> Image.Image:
    """Return a page as poppler shows it, in CSS pixels."""
    tool = program("pdftoppm", "poppler-utils")
    path, out = made.write(folder), folder / "shown"
    width, height = map(str, made.pixels.size)
    sized = ("-scale-to-x", width, "-scale-to-y", height)
    run(tool, "-png", *sized, "-singlefile", str(path), str(out))
    return Image.open(out.with_suffix(".png")).convert("RGB")


def mupdf(made: Page, folder: Path) -> Image.Image:
    """Return a page as MuPDF shows it, in CSS pixels."""
    tool = program("mutool", "mupdf-tools")
    path, out = made.write(folder), folder / "shown.png"
    width, height = map(str, made.pixels.size)
    run(tool, "draw", "-q", "-w", width, "-h", height, "-o", str(out), str(path), "1")
    return Image.open(out).convert("RGB")


def chromium(made: Page, folder: Path) -> Image.Image:
    """Return a page as Chromium shows it, in CSS pixels."""
    document = pypdfium2.PdfDocument(made.write(folder))
    # What is a fraction of a pixel more would become a whole one.
    pairs = zip(made.pixels.size, document[0].get_size(), strict=True)
    scale = min((pixels - 0.01) / points for pixels, points in pairs)
    return document[0].render(scale=scale).to_pil().convert("RGB")


def run(*words: str) -> str:
    """Run a program; return what it wrote, and fail where it complains."""
    done = subprocess.run(words, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def difference(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """Return the mean difference of 255, and the share of pixels off by over 64."""
    assert one.size == other.size
    first, second = (np.asarray(image, dtype=float) for image in (one, other))
    off = np.abs(first - second).max(axis=2)
    return float(off.mean()), float((off > 64).mean())
