"""The packaged fonts, as a translation asks for them."""

from app.renderer.document.values import FontMetrics
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.engine.engine import load_engine


def typeface(families: str, weight: float, italic: bool) -> FontMetrics:
    """Return the engine's font for a `font-family`."""
    return load_engine(None, False).typeface(families, weight, italic)


def fonts() -> EmbeddedFonts:
    """Return the fonts of a page that brings none yet."""
    return EmbeddedFonts(load_engine(None, False))
