"""Parts that many renderer tests share: one engine, one way to draw."""

from collections.abc import Callable

import pytest

from app.renderer.base import Picture, Renderer
from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import load_fonts


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine with the packaged fonts, the same on every machine."""
    return Engine(load_fonts(None, system=False))


@pytest.fixture(scope="session")
def draw() -> Callable[..., Picture]:
    """Draws a renderer from parameters as they stand in a query."""

    def call(renderer: Renderer, scale: float = 1, **values: str) -> Picture:
        parameters = renderer.parameters.model_validate_strings(values)
        return renderer.draw(parameters, scale)

    return call
