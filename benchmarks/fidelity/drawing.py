"""One page drawn twice: by a renderer of Mimeo, and by Chromium."""

import io
import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from PIL import Image

from app import create_app
from app.config import Settings
from app.renderer.builtin.browser import GROUND
from app.renderer.engine.engine import Engine, load_engine
from app.renderer.sandbox.chromium import BrowserPage, Chromium
from benchmarks.fidelity.boxes import Places, places

CHROMIUM = Path("/usr/bin/chromium")
_TIMEOUT_S = 60.0
_MEMORY_BYTES = 2 << 30
# Frames in a row of a sheet.
_ACROSS = 8


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, and what its renderer says that it leaves out."""

    image: Image.Image
    ignored: tuple[str, ...]


class Pair:
    """Draws pages with equal fonts: none of the system's."""

    def __init__(self, client: FlaskClient, engine: Engine, browser: Chromium) -> None:
        self._client = client
        self._engine = engine
        self._browser = browser

    def mimeo(self, renderer: str, document: str, size: tuple[int, int]) -> Drawn:
        """Return what a renderer draws, asked over HTTP."""
        answer = self._client.post(
            f"/images/{renderer}.png?width={size[0]}&height={size[1]}",
            data=document.encode(),
            content_type="text/html",
        )
        if answer.status_code != 200:
            raise ValueError(f"{renderer}: {answer.status}: {answer.text}")
        image = Image.open(io.BytesIO(answer.data))
        return Drawn(image, _said(answer.headers.get("X-Html-Ignored")))

    def chromium(self, document: str, size: tuple[int, int]) -> Image.Image:
        """Return what Chromium shows."""
        with self._page(document, size) as page:
            return Image.open(io.BytesIO(page.shoot()))

    def chromium_each(
        self, documents: Sequence[str], size: tuple[int, int]
    ) -> list[Image.Image]:
        """Return what Chromium shows of small documents, side by side in frames."""
        width, height = size
        rows = -(-len(documents) // _ACROSS)
        frames = "".join(
            f'<iframe srcdoc="{escape(GROUND + document)}" style="display:block;'
            f'border:0;width:{width}px;height:{height}px"></iframe>'
            for document in documents
        )
        grid = f"display:grid;grid-template-columns:repeat({_ACROSS},{width}px)"
        sheet = self.chromium(
            f'<div style="{grid}">{frames}</div>', (width * _ACROSS, height * rows)
        )
        places = (
            (number % _ACROSS * width, number // _ACROSS * height)
            for number in range(len(documents))
        )
        return [
            sheet.crop((left, top, left + width, top + height)) for left, top in places
        ]

    def placed(
        self, document: str, size: tuple[int, int]
    ) -> tuple[Image.Image, Places]:
        """Return what Chromium shows, and where the elements stand in either."""
        with self._page(document, size) as page:
            image = Image.open(io.BytesIO(page.shoot()))
            return image, places(page, document, size, self._engine)

    def mimeo_pdf(self, document: str) -> bytes:
        """Return a document as `html` prints it, asked over HTTP."""
        answer = self._client.post(
            "/images/html.pdf", data=document.encode(), content_type="text/html"
        )
        if answer.status_code != 200:
            raise ValueError(f"html: {answer.status}: {answer.text}")
        return answer.data

    def chromium_pdf(self, document: str) -> bytes:
        """Return a document as Chromium prints it."""
        with self._page(document, (600, 400)) as page:
            made = page.ask(
                "Page.printToPDF", printBackground=True, preferCSSPageSize=True
            )
        return b64decode(made["data"])

    @contextmanager
    def _page(self, document: str, size: tuple[int, int]) -> Iterator[BrowserPage]:
        with self._browser.page(GROUND + document, size, 1, _TIMEOUT_S) as page:
            yield page


@contextmanager
def pair(program: Path = CHROMIUM) -> Iterator[Pair]:
    """Open what draws a page twice, and end it."""
    settings: dict[str, Any] = {
        "store": "none",
        "system_fonts": False,
        "access_log": False,
        "local_callers": True,
        "browser": program if program.is_file() else None,
    }
    app = create_app(Settings(**settings))
    engine = load_engine(None, False)
    browser = Chromium(program, engine.files, _MEMORY_BYTES)
    with closing(browser), closing(app.extensions["mimeo"]):
        yield Pair(app.test_client(), engine, browser)


def _said(header: str | None) -> tuple[str, ...]:
    if not header:
        return ()
    if header.startswith("["):
        return tuple(map(str, json.loads(header)))
    return tuple(part.strip() for part in header.split(","))
