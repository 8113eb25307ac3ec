"""The `browser` renderer: a caller's own HTML and CSS, in Chromium."""

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pybase64

from app.config import Settings
from app.renderer.base import BrowserDocument, Picture, Renderer
from app.renderer.builtin import html
from app.renderer.engine import emoji
from app.renderer.engine.engine import Engine
from app.renderer.errors import Undrawable

# As `html` has it: the face and the ground where a page names none. Letters are as far
# apart as they measure, as on every screen but the coarse ones of Linux.
_FACE = "html{font-family:Inter,sans-serif;text-rendering:geometricPrecision}"
GROUND = f"<!doctype html><style>{_FACE}{html.BASE}</style>"
# Where a picture would be no element, or is none of the page's.
_NO_EMOJI = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(style|script|title|template|textarea|option|noscript)\b.*?(?:</\1|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# Seconds for the program to say its version.
_PATIENCE_S = 30.0


class Parameters(html.Parameters):
    """An HTML document or a piece of one, in a browser without scripts or network."""


@lru_cache(4)
def version_of(program: Path) -> str:
    """Return what a browser says of its version; raise OSError where it says none."""
    command = [str(program), "--version"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )
    found = re.search(r"[0-9]+(?:\.[0-9]+){3}", done.stdout)
    if found is None:
        raise OSError(f"{program} does not say its version")
    return found[0]


def document(parameters: Parameters, engine: Engine) -> BrowserDocument:
    """Return what the browser shows: the caller's page, with pictures of emoji."""
    facts = html.preflight(parameters, engine)
    parts: list[str] = []
    end = 0
    for unseen in _NO_EMOJI.finditer(parameters.html):
        parts.append(_illustrated(parameters, parameters.html[end : unseen.start()]))
        parts.append(unseen[0])
        end = unseen.end()
    parts.append(_illustrated(parameters, parameters.html[end:]))
    markup = GROUND + "".join(parts)
    return BrowserDocument(markup, parameters.lang, facts, parameters.strict)


def _illustrated(parameters: Parameters, markup: str) -> str:
    drawn, images = emoji.illustrate(markup, parameters.emoji)
    for name, data in images.items():
        uri = f"data:image/svg+xml;base64,{pybase64.b64encode(data).decode()}"
        drawn = drawn.replace(f'src="{name}"', f'src="{uri}"')
    return drawn


def build(engine: Engine, limits: Settings, program: Path) -> Renderer:
    """Return the renderer; raise OSError where the browser does not say its version."""

    def draw(parameters: Parameters, scale: float) -> Picture:
        raise Undrawable("It is drawn by a browser.")

    return Renderer(
        name="browser",
        title="Your own HTML and CSS, in a browser",
        parameters=Parameters,
        size=lambda parameters: parameters.size,
        draw=draw,
        version=f"1 chromium {version_of(program)} {engine.version}",
        isolated=True,
        document=lambda parameters: document(parameters, engine),
        preflight=lambda parameters, _: html.preflight(parameters, engine),
        check=lambda parameters: html.check(parameters.html, limits),
        example={
            "html": "<h1 style='padding:48px;color:#4338ca'>Hello from HTML</h1>",
            "width": "600",
            "height": "200",
        },
    )
