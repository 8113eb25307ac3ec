"""Templates: a folder with markup and a list of parameters becomes a renderer."""

import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.config import Settings
from app.renderer import input_image
from app.renderer.base import Picture, Renderer, Vector
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.text_fitting import fitter
from app.renderer.errors import BadParameter, BrokenTemplate, Fault, Undrawable
from app.renderer.params import Parameters
from app.renderer.template import declaration
from app.renderer.template.declaration import Declaration, broken
from app.renderer.template.markup import HELPERS, Flaw, Stencil, TooLong

MARKUP = "template.html"

_FOLDER = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg"})
# What decides pixels beside the folder and the engine. Raise the number when this
# package draws the same template in another way.
_TOOLS = f"templates 2 jinja2 {version('jinja2')} segno {version('segno')}"


class Template:
    """A declaration and its markup, ready to be filled in and drawn."""

    def __init__(self, folder: Path, engine: Engine, limits: Settings) -> None:
        self._folder = folder
        self.declaration: Declaration = declaration.read(folder, HELPERS)
        self.model = self.declaration.model(folder.name)
        self._size = self.declaration.size
        self._image_names = self.declaration.images
        self._engine = engine
        self._limits = limits
        self._files = _pictures(folder)
        names = frozenset(self.declaration.parameters)
        source = declaration.text_of(folder, MARKUP)
        try:
            self._stencil = Stencil(source, names, fitter(engine))
        except Flaw as flaw:
            raise self._broken(flaw) from flaw

    def draw(self, parameters: Parameters, scale: float) -> Picture:
        """Paint the template with these parameters."""
        page = self.page(parameters, scale)
        return self._engine.draw(page, self._size, scale)

    def draw_svg(self, parameters: Parameters) -> Vector:
        """Return the template with these parameters as an SVG document."""
        return self._engine.draw_svg(self.page(parameters, 1), self._size)

    def page(self, parameters: Parameters, scale: float) -> Page:
        """Fill the markup in.

        An image parameter reads as a name for `<img src>`, a number without
        fraction as an integer. Raises BadParameter for an image that cannot be
        used or a text too long for its QR code, BrokenTemplate where the markup
        cannot cope with the values.
        """
        values = dict(parameters)
        images = {**self._files, **self._images(values, scale)}
        words = {name: _shown(name, value) for name, value in values.items()}
        try:
            body, styles = self._stencil.fill(words)
        except TooLong as error:
            raise BadParameter(_too_long(error.data, values)) from error
        except Flaw as flaw:
            raise self._broken(flaw) from flaw
        return Page(body, styles, images)

    def check(self, parameters: Parameters) -> None:
        """Draw once; raise BrokenTemplate where that is not possible."""
        try:
            page = self.page(parameters, 1)
            self._stencil.check_images(page.body, frozenset(page.images))
            self._engine.draw(page, self._size, 1)
        except Flaw as flaw:
            raise self._broken(flaw) from flaw
        except (Undrawable, BadParameter) as error:
            raise broken(self._folder, MARKUP, None, str(error)) from error

    def _broken(self, flaw: Flaw) -> BrokenTemplate:
        return broken(self._folder, MARKUP, flaw.line, flaw.reason)

    def _images(self, values: Mapping[str, Any], scale: float) -> dict[str, bytes]:
        width, height = self._size
        cover = (round(width * scale), round(height * scale))
        most = self._limits.max_image_pixels
        return {
            name: input_image.prepare(values[name], name, cover, most)
            for name in self._image_names
            if values[name] is not None
        }


def load_templates(
    folder: Path, engine: Engine, limits: Settings
) -> tuple[dict[str, Renderer], dict[str, BrokenTemplate]]:
    """Load each template in a folder; return those that work, and what ails the rest.

    Files, and folders whose names begin with a dot or an underscore, are passed by.
    """
    renderers: dict[str, Renderer] = {}
    faults: dict[str, BrokenTemplate] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith((".", "_")):
            continue
        try:
            renderers[path.name] = load_template(path, engine, limits)
        except BrokenTemplate as error:
            faults[path.name] = error
    return renderers, faults


def load_template(folder: Path, engine: Engine, limits: Settings) -> Renderer:
    """Load one template and draw its example; raise BrokenTemplate if that fails."""
    if not _FOLDER.match(folder.name):
        reason = "the folder's name must be a to z, 0 to 9, - and _, up to 40"
        raise BrokenTemplate(folder.name, folder.name, None, reason)
    template = Template(folder, engine, limits)
    for values in _rehearsals(template.declaration):
        template.check(declaration.check_values(folder, template.model, values))
    return _renderer(folder, template, engine)


def _renderer(folder: Path, template: Template, engine: Engine) -> Renderer:
    declared = template.declaration
    return Renderer(
        name=folder.name,
        title=declared.title,
        parameters=template.model,
        size=declared.size,
        draw=template.draw,
        vector=template.draw_svg,
        version=f"{_digest(folder)} {_TOOLS} {engine.version}",
        example=MappingProxyType(declared.example),
    )


def _rehearsals(declared: Declaration) -> tuple[dict[str, str], ...]:
    """Return the example in full, and with no more than is required."""
    full = declared.example
    entries = declared.parameters
    least = {name: text for name, text in full.items() if entries[name].required}
    return full, least


def _pictures(folder: Path) -> dict[str, bytes]:
    """Read the pictures that lie in the folder, for `<img src="logo.png">`."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _PICTURES and path.is_file()
    }


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return name
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _too_long(data: str, values: Mapping[str, Any]) -> Fault:
    """Blame the longest text that is part of what was to be encoded."""
    texts = {n: v for n, v in values.items() if isinstance(v, str) and v in data}
    name = max(texts or values, key=lambda name: len(texts.get(name, "")))
    return Fault(name, "is too long for a QR code")
