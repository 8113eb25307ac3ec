"""The Jinja side of a template: checked markup, and the functions it may call."""

import re
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import segno
from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from segno.encoder import DataOverflowError

from app.errors import with_fields
from app.renderer.builtin.avatar import initial
from app.renderer.engine.text_fitting import Fit, direction, families

# Elements that point to a second file: one template is one file.
_FOREIGN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_STYLE = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_SOURCE = re.compile(r"<img\b[^>]*?\ssrc=([\"'])(.*?)\1", re.DOTALL | re.IGNORECASE)
# Names that Jinja itself defines inside loops and macros.
_IMPLIED = frozenset({"loop", "caller", "varargs", "kwargs", "self"})
_CODE_NAME = "<template>"
# CSS pixels; readers fail at less.
_LEAST_MODULE = 2


@with_fields
class Flaw(Exception):
    """Something in the markup is wrong; `line` is 1-based, or None."""

    line: int | None
    reason: str


@with_fields
class TooLong(Exception):
    """A text does not fit into a QR code; `data` is that text."""

    data: str


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Equal parameters must give equal pixels.
    del environment.filters["random"]
    del environment.globals["lipsum"]
    environment.globals.update(
        qr_code=_qr_code,
        qr_side=_qr_side,
        direction=direction,
        families=families,
        initial=initial,
    )
    return environment


class Stencil:
    """Markup that can be filled in; raises Flaw where it cannot be understood."""

    def __init__(
        self, source: str, names: frozenset[str], fit: Callable[..., Fit]
    ) -> None:
        self._source = source
        try:
            tree = _ENVIRONMENT.parse(source)
            _refuse_foreign(tree)
            _refuse_unknown(tree, names)
            code = _ENVIRONMENT.compile(source, filename=_CODE_NAME)
        except TemplateSyntaxError as error:
            raise Flaw(error.lineno, error.message or "syntax error") from error
        self._template = _ENVIRONMENT.template_class.from_code(
            _ENVIRONMENT, code, _ENVIRONMENT.make_globals({"fit": fit})
        )

    def fill(self, values: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """Return body and style sheets for these values.

        Raises TooLong, and Flaw where the markup cannot cope with the values.
        """
        try:
            markup = self._template.render(values)
        except TooLong:
            raise
        except Exception as error:
            raise Flaw(_line_of(error), f"{type(error).__name__}: {error}") from error
        return split_styles(markup)

    def check_images(self, body: str, known: frozenset[str]) -> None:
        """Raise Flaw for an `<img>` that the engine would silently leave out."""
        for _, name in _SOURCE.findall(body):
            if not name.startswith("data:") and name not in known:
                reason = f"image {name!r} is neither in the folder nor a parameter"
                raise Flaw(self._line_with(name), reason)

    def _line_with(self, text: str) -> int | None:
        place = self._source.find(text)
        return None if place < 0 else self._source.count("\n", 0, place) + 1


def split_styles(markup: str) -> tuple[str, tuple[str, ...]]:
    """Part markup from the content of its `<style>` elements."""
    return _STYLE.sub("", markup), tuple(_STYLE.findall(markup))


def _refuse_foreign(tree: nodes.Template) -> None:
    for node in tree.find_all(_FOREIGN):
        raise Flaw(node.lineno, "a template cannot use other files")


def _refuse_unknown(tree: nodes.Template, names: frozenset[str]) -> None:
    """Also find what a rendering of the example would not reach."""
    known = set(names | HELPERS | _IMPLIED)
    known.update(macro.name for macro in tree.find_all(nodes.Macro))
    found = list(tree.find_all(nodes.Name))
    known.update(node.name for node in found if node.ctx != "load")
    for node in found:
        if node.name not in known:
            raise Flaw(node.lineno, f"{node.name!r} is not a parameter of the template")


def _line_of(error: Exception) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next(
        (
            frame.lineno
            for frame in reversed(frames)
            if frame.filename == _CODE_NAME and frame.lineno
        ),
        None,
    )


@lru_cache(256)
def _qr_code(
    data: str,
    dark: str = "#000000",
    light: str | None = None,
    margin: int = 0,
    level: str = "M",
) -> str:
    """Return a QR code as a data URI for `<img src>`; `margin` is in modules."""
    return _encode(data, level).svg_data_uri(
        border=margin, dark=dark, light=light, omitsize=True, xmldecl=False
    )


def _qr_side(data: str, side: int, most: int = 0, level: str = "M") -> int:
    """Return the largest side, up to `side`, of a code without margin.

    A module is a whole number of pixels and no smaller than readers can tell
    apart, for which a long code may grow to `most`. Raises TooLong beyond.
    """
    modules = len(_encode(data, level).matrix)
    found = modules * max(side // modules, _LEAST_MODULE)
    if found > max(side, most):
        raise TooLong(data)
    return found


@lru_cache(256)
def _encode(data: str, level: str) -> segno.QRCode:
    try:
        return segno.make(data, error=level, micro=False, boost_error=True)
    except DataOverflowError as error:
        raise TooLong(data) from error


_ENVIRONMENT = _environment()

# Names that templates can call and so cannot give to parameters.
HELPERS = frozenset(_ENVIRONMENT.globals) | {"fit"}
