"""Templates: a folder with markup and a list of parameters becomes a renderer."""

import base64
import html
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import DecimalException
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from segno.encoder import DataOverflowError

from app.config import Settings
from app.errors import with_fields
from app.renderer import input_image
from app.renderer.base import Picture, Renderer, Vector
from app.renderer.builtin import barcode_parameters
from app.renderer.builtin.barcode import BarcodePainter
from app.renderer.builtin.qr import cells_path
from app.renderer.builtin.qr_matrix import Matrix, matrix_of
from app.renderer.builtin.solid import fill
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.text_fitting import (
    Clipped,
    Fit,
    direction,
    families,
    fitter,
)
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    Fault,
    RenderTimeout,
    Undrawable,
    nearest,
)
from app.renderer.image_file import reader_version
from app.renderer.initials import initial
from app.renderer.input_image import DrawSvg
from app.renderer.params import (
    RESERVED,
    Parameters,
    Typeset,
    parse_color,
    plain,
    validate,
)
from app.renderer.template import declaration
from app.renderer.template.amounts import (
    format_currency,
    format_decimal,
    round_currency,
)
from app.renderer.template.declaration import (
    MOST_PAGES,
    PAGE,
    PAGES,
    Declaration,
)
from app.renderer.template.parameter_types import TableEntry
from app.renderer.template.rows import paginate
from app.renderer.template.template_files import (
    DECLARATION,
    MARKUP,
    NAME,
    NAMING,
    TemplateFiles,
    read_files,
)
from app.renderer.template.watchdog import WATCHDOG, Overrun

# Elements that point to a second file: one template is one file.
_FOREIGN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_STYLE = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_SOURCE = re.compile(r"<img\b[^>]*?\ssrc=([\"'])(.*?)\1", re.DOTALL | re.IGNORECASE)
# What a caller sends has no such quotes.
_DRAWING = re.compile(
    r'(\ssrc="data:image/svg\+xml;base64,)((?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/=]{4})"'
)
# A drawing's first tag, without `id`, in so many letters of base64.
_FIRST_TAG = re.compile(rb"""<svg((?:\s+(?!id\s*=)[\w:-]+="[^"<&]*")*)\s*>""")
_HEAD = 400
# How the functions are called, for whoever called one otherwise.
_USAGE: Mapping[str, str] = MappingProxyType(
    {
        "fit": "fit(text, width, height, largest, smallest, ...)",
        "qr_code": "qr_code(data, dark=..., light=..., margin=..., level=...)",
        "qr_side": "qr_side(data, side, most=..., level=...)",
        "bar_code": "bar_code(data, symbology, width, height, ...)",
        "direction": "direction(text)",
        "families": 'families(text, "Inter")',
        "initial": "initial(text)",
        "paginate": "paginate(heights, first, rest, tail=...)",
        "format_currency": 'format_currency(value, "EUR")',
        "format_decimal": "format_decimal(value)",
        "round_currency": 'round_currency(value, "EUR", times=..., percent=...)',
    }
)
# What to do about errors of expressions.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        MemoryError,
        "it takes more memory than is allowed: make its texts and lists shorter",
    ),
    (SecurityError, "use its parameters, Jinja's filters and the functions alone"),
    (UndefinedError, "set it above, or ask with {% if %} first whether it is there"),
    (ZeroDivisionError, "ask with {% if %} first whether it is zero"),
    (ArithmeticError, 'the value is no number: declare it with type = "number"'),
    (
        TypeError,
        "~ joins texts with numbers, the filter int makes numbers of texts, and only"
        " functions are called with ()",
    ),
    (RecursionError, "a macro may not call itself for ever"),
)
# Names that Jinja itself defines inside loops and macros, and the text's language.
_IMPLIED = frozenset({"loop", "caller", "varargs", "kwargs", "self", "lang"})
_CODE_NAME = "<template>"
# CSS pixels; readers fail at less.
_LEAST_MODULE = 2
# Around the canvas: a name of its own, which no style of a template's means.
_AROUND = (
    '<x-bleed style="display:block;position:relative;width:%dpx;height:%dpx">'
    '<x-bleed style="display:block;position:absolute;left:%dpx;top:%dpx;'
    'width:%dpx;height:%dpx">%s</x-bleed></x-bleed>'
)
# Lengths that are shares of all that is drawn.
_OF_ALL = re.compile(r"\d[dls]?v(?:[whib]|min|max)\b", re.IGNORECASE)
_TOO_LONG = "is too long for a QR code"

# What decides pixels beside the folder and the engine. Raise the number when this
# package draws the same template in another way.
_TOOLS = (
    f"templates 5 jinja2 {version('jinja2')} segno {version('segno')}"
    f" zxing-cpp {version('zxing-cpp')} {reader_version()}"
)


# What is told of each text that `fit` has set.
NoteFit = Callable[[str, Fit], None]


@with_fields
class Unencodable(Exception):
    """A text is none that a code can say; `data` is that text."""

    data: str
    reason: str


def _environment() -> ImmutableSandboxedEnvironment:
    # Undefined names fail: an empty place on a certificate would be seen too late.
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
        format_currency=format_currency,
        format_decimal=format_decimal,
        initial=initial,
        paginate=paginate,
        round_currency=round_currency,
    )
    return environment


def _said(error: Exception) -> str:
    """Return what a template's author is told of an error, and to do about it."""
    # Of functions of ours Python names the place in our files, too.
    message = re.sub(r"[\w.]*<locals>\.", "", str(error)).rstrip(".")
    if isinstance(error, DecimalException):
        # Its text is a list of classes.
        message = ""
    name = type(error).__name__
    called = re.match(r"_?(\w+)\(\)", message)
    if called is not None and called[1] in _USAGE:
        return f"{name}: {message.removeprefix('_')}: write {_USAGE[called[1]]}"
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), "")
    return ": ".join(filter(None, (name, message, advice)))


def _line_of(error: BaseException) -> int | None:
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
    rows = _encode(data, level)
    side = len(rows) + 2 * margin
    ground = moved = ""
    if light:
        ground = f'<rect width="{side}" height="{side}" {fill(parse_color(light))}/>'
    if margin:
        moved = f' transform="translate({margin} {margin})"'
    return _data_uri(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'{ground}<path {fill(parse_color(dark))}{moved} d="{cells_path(rows)}"/></svg>'
    )


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _emptied(body: str) -> tuple[str, dict[str, str]]:
    """Empty the drawings in markup, in base64; return it, and which was which.

    The engine copies them into its SVG as they are, and reads all of each twice to
    know its sides, which the first tag says.
    """
    drawings: dict[str, str] = {}

    def empty(image: re.Match[str]) -> str:
        tag = _FIRST_TAG.match(base64.b64decode(image[2][:_HEAD]))
        if tag is None:
            return image[0]
        bare = b'<svg id="%d"%b/>' % (len(drawings), tag[1])
        kept = base64.b64encode(bare).decode()
        drawings[kept] = image[2]
        return f'{image[1]}{kept}"'

    return _DRAWING.sub(empty, body), drawings


def _qr_side(data: str, side: int, most: int = 0, level: str = "M") -> int:
    """Return the largest side, up to `side`, of a code without margin.

    A module is a whole number of pixels and no smaller than readers can tell
    apart, for which a long code may grow to `most`. Raises Unencodable beyond.
    """
    modules = len(_encode(data, level))
    found = modules * max(side // modules, _LEAST_MODULE)
    if found > max(side, most):
        raise Unencodable(data, _TOO_LONG)
    return found


@lru_cache(256)
def _encode(data: str, level: str) -> Matrix:
    try:
        # A higher level comes free where the code has room.
        return matrix_of(data, error=level)
    except DataOverflowError as error:
        raise Unencodable(data, _TOO_LONG) from error


_ENVIRONMENT = _environment()

# Names that templates can use and so cannot give to parameters.
HELPERS = frozenset(_ENVIRONMENT.globals) | {"fit", "bar_code", "bleed"}


class Compiled(NamedTuple):
    """The code of a markup, the names that it sets, and those that it reads.

    Those with their lines; `foreign` is the line that uses another file, if one does.
    """

    code: CodeType
    sets: frozenset[str]
    reads: tuple[tuple[str, int], ...]
    foreign: int | None


@lru_cache(64)
def _compile(source: str) -> Compiled:
    """Compile a markup; where one of many templates changes, the others are known."""
    tree = _ENVIRONMENT.parse(source)
    names = list(tree.find_all(nodes.Name))
    macros = (macro.name for macro in tree.find_all(nodes.Macro))
    return Compiled(
        # Under a name of its own, by which a traceback tells its lines from ours.
        _ENVIRONMENT.compile(tree, filename=_CODE_NAME),
        frozenset({*macros, *(name.name for name in names if name.ctx != "load")}),
        tuple({(name.name, name.lineno): None for name in names if name.ctx == "load"}),
        next((node.lineno for node in tree.find_all(_FOREIGN)), None),
    )


class Bars(NamedTuple):
    """A barcode for `<img src>`, and its sides in CSS pixels."""

    src: str
    width: int
    height: int


class Template:
    """A declaration and its markup, ready to be filled in and drawn."""

    def __init__(
        self,
        files: TemplateFiles,
        engine: Engine,
        limits: Settings,
        draw_svg: DrawSvg | None = None,
        note_fit: NoteFit | None = None,
    ) -> None:
        self._name = files.name
        self._note_fit = note_fit
        self.declaration: Declaration = declaration.read(files, HELPERS | RESERVED)
        self.model = self.declaration.model(files.name, engine.families)
        self._size = self.declaration.pixels
        paper = self.declaration.paper
        self._overhang = 0 if paper is None else paper.overhang
        self._image_names = self.declaration.images
        self._tables = {
            name: entry
            for name, entry in self.declaration.parameters.items()
            if isinstance(entry, TableEntry)
        }
        self._engine = engine
        self._limits = limits
        self._limit_s = limits.render_timeout_s
        self._draw_svg = draw_svg
        self._files = files.pictures
        self._source = files.text(MARKUP)
        try:
            compiled = _compile(self._source)
            self._refuse(compiled)
        except TemplateSyntaxError as error:
            reason = error.message or "syntax error"
            if reason.startswith("expected token 'end of"):
                # Jinja reads on to where something else begins.
                reason += ": a tag here or above may lack its %} or }}"
            raise self._broken(error.lineno, reason) from error
        except BrokenTemplate:
            raise
        except Exception as error:
            # What nests too deep for Jinja's parser, or for Python's.
            reason = f"{type(error).__name__}: {error}"
            raise self._broken(None, reason) from error
        self._fit = fitter(engine)
        self._barcodes = BarcodePainter(engine)
        self._markup = _ENVIRONMENT.template_class.from_code(
            _ENVIRONMENT, compiled.code, _ENVIRONMENT.make_globals({})
        )

    def version(self, files: TemplateFiles) -> str:
        """Return what decides pixels, of a template that is made of these files."""
        return version_of(files.digest(), self._engine)

    def size(self, *, bleed: bool = False) -> tuple[int, int]:
        """Width and height in CSS pixels, if wanted with the bleed."""
        more = 2 * self._overhang if bleed else 0
        return self._size[0] + more, self._size[1] + more

    def draw(
        self, parameters: Parameters, scale: float, *, bleed: bool = False
    ) -> Picture:
        """Paint the template with these parameters."""
        page = self.page(parameters, scale, bleed=bleed)
        return self._engine.draw(page, self.size(bleed=bleed), scale)

    def draw_svg(
        self, parameters: Parameters, scale: float, *, bleed: bool = False
    ) -> Vector:
        """Return the template with these parameters as an SVG document."""
        page = self.page(parameters, scale, bleed=bleed)
        body, drawings = _emptied(page.body)
        page = replace(page, body=body)
        drawn = self._engine.draw_svg(page, self.size(bleed=bleed))
        svg = drawn.svg
        for empty, drawing in drawings.items():
            svg = svg.replace(empty, drawing)
        return replace(drawn, svg=svg)

    def outside(self, parameters: Parameters) -> Iterator[str]:
        """Yield the lines of text that reach out of the page: not all is seen.

        Raises what `draw` raises.
        """
        width, height = self.size()
        page = self.page(parameters, 1.0)
        for run in self._engine.text_runs(page, (width, height)):
            a, b, c, d, e, f = run.matrix
            corners = [
                (a * x + c * y + e, b * x + d * y + f)
                for x in (run.x, run.x + run.width)
                for y in (run.y, run.y + run.height)
            ]
            # Lines are higher than their letters: a quarter of one may be empty.
            spare = run.height / 4 + 1
            if run.text.strip() and not all(
                -spare <= x <= width + spare and -spare <= y <= height + spare
                for x, y in corners
            ):
                yield run.text.strip()

    def page(
        self, parameters: Parameters, scale: float, *, bleed: bool = False
    ) -> Page:
        """Fill the markup in.

        An image parameter reads as a name for `<img src>`, a number without
        fraction as an integer, and `bleed` as the pixels of it that are drawn. Raises
        BadParameter for an image that cannot be used or a text too long for its QR
        code, BrokenTemplate where the markup cannot cope with the values.
        """
        sent = self._images(dict(parameters), scale, self.size(bleed=bleed))
        images = {**self._files, **{name: each.data for name, each in sent.items()}}
        notes = [f"{name}: {note}" for name in sent for note in sent[name].notes]
        page = self._laid_out(parameters, bleed=bleed)
        if notes:
            facts = {
                **page.facts,
                "warnings": [*page.facts.get("warnings", ()), *notes],
            }
            page = replace(page, facts=facts)
        return replace(page, images=images)

    def preflight(self, parameters: Parameters, laid_out: bool) -> Mapping[str, Any]:
        """Return the facts of a drawing without it, what is clipped if `laid_out`.

        Raises what `page` raises.
        """
        if laid_out:
            return self._engine.preflight(self._laid_out(parameters))
        own, options = self._split(parameters)
        texts = (value for value in own.values() if isinstance(value, str))
        body = html.escape("\n".join(texts))
        return self._engine.preflight(Page(body, emoji=options.emoji))

    def _laid_out(self, parameters: Parameters, *, bleed: bool = False) -> Page:
        values, options = self._split(parameters)
        words = {name: _shown(name, value) for name, value in values.items()}
        rows = {name: each.rows(values[name]) for name, each in self._tables.items()}
        clipped: list[tuple[str, Clipped]] = []
        notes: list[tuple[str, str]] = []
        try:
            helpers = self._helpers(options, clipped, notes)
            names = {"lang": options.lang or "", **words, **rows, **helpers}
            names["bleed"] = self._overhang if bleed else 0
            markup, pages = WATCHDOG.run(
                partial(self._filled_in, names, values.get(PAGE)), self._limit_s
            )
        except Overrun as error:
            raise RenderTimeout("MIMEO_RENDER_TIMEOUT_S", self._limit_s) from error
        except Unencodable as error:
            raise BadParameter(_blame(error, values)) from error
        except Exception as error:
            raise self._broken(_line_of(error), _said(error)) from error
        styles = tuple(_STYLE.findall(markup))
        body = _STYLE.sub("", markup)
        if bleed:
            corner = self._overhang, self._overhang
            body = _AROUND % (*self.size(bleed=True), *corner, *self._size, body)
        named = {_owner(text, words): how for text, how in sorted(clipped, key=_grade)}
        facts: dict[str, Any] = {"text_clipped": named} if named else {}
        if pages is not None:
            self._check_pages(pages, values)
            facts[PAGES] = pages
        if notes:
            facts["warnings"] = [
                f"{_owner(text, words)}: {note}" for text, note in notes
            ]
        return Page(body, styles, {}, options.lang, options.emoji, facts)

    def _filled_in(
        self, names: Mapping[str, Any], page: int | None
    ) -> tuple[str, int | None]:
        """Return the markup of a page, and how many there are if it can have several.

        There is no markup of a page that does not exist.
        """
        if not self.declaration.pages:
            return self._markup.render(names), None
        try:
            module = self._markup.make_module({**names, PAGE: page or 1})
        except Exception:
            # Of a page that does not exist: the first one says how many there are.
            module = self._markup.make_module({**names, PAGE: 1})
            pages = int(getattr(module, PAGES))
            if page is None or page <= pages:
                raise
            return "", pages
        return str(module), int(getattr(module, PAGES))

    def _check_pages(self, pages: int, values: Mapping[str, Any]) -> None:
        """Raise BadParameter where there are too many, or not the one asked for."""
        page = values[PAGE]
        if pages > MOST_PAGES:
            texts = {n: v for n, v in values.items() if isinstance(v, str)}
            longest = max(texts, key=lambda name: len(texts[name]))
            reason = f"takes {pages} pages, and there are {MOST_PAGES} at most"
            raise BadParameter(Fault(longest, reason))
        if page is not None and page > pages:
            raise BadParameter(Fault(PAGE, f"is {page}, and the last one is {pages}"))

    def check(self, parameters: Parameters) -> None:
        """Draw once; raise BrokenTemplate where that is not possible."""
        try:
            for bleed in (False, True) if self._overhang else (False,):
                page = self.page(parameters, 1, bleed=bleed)
                self._check_sources(page)
                self._engine.draw(page, self.size(bleed=bleed), 1)
        except Undrawable as error:
            self._check_pictures()
            raise self._broken(None, str(error)) from error
        except RenderTimeout as error:
            reason = f"{error}: make its loops and texts shorter"
            raise self._broken(None, reason) from error
        except BadParameter as error:
            line = _line_of(error.__cause__ or error)
            raise self._broken(line, f"with its example, {error}") from error

    def _check_pictures(self) -> None:
        """Raise BrokenTemplate for a picture of the folder that nothing reads."""
        for name, data in self._files.items():
            try:
                self._engine.draw(Page('<img src="a">', images={"a": data}), (9, 9), 1)
            except Undrawable as error:
                reason = "is no picture that can be read: save it anew, as PNG say"
                raise self._broken(None, reason, name) from error

    def _check_sources(self, page: Page) -> None:
        """Raise BrokenTemplate for an image that is not there.

        The engine draws nothing in its place, and says nothing.
        """
        for _, name in _SOURCE.findall(page.body):
            if not name.startswith("data:") and name not in page.images:
                reason = (
                    f"image {name!r} is neither in the folder nor a parameter: lay it"
                    f' there, or declare [parameters.NAME] with type = "image"'
                )
                raise self._broken(self._line(self._source.find(name)), reason)

    def _refuse(self, compiled: Compiled) -> None:
        """Raise BrokenTemplate for other files, and for names that nothing sets.

        Also finds what a rendering of the example would not reach.
        """
        if compiled.foreign is not None:
            reason = "a template cannot use other files: put their markup into this one"
            raise self._broken(compiled.foreign, reason)
        of_all = _OF_ALL.search(self._source) if self._overhang else None
        if of_all is not None:
            reason = "vw, vh and their like change with a bleed: use px or %"
            raise self._broken(self._line(of_all.start()), reason)
        known = {*self.declaration.parameters, *HELPERS, *_IMPLIED}
        if self.declaration.pages:
            known.add(PAGE)
        known |= compiled.sets
        if self.declaration.pages and PAGES not in known:
            reason = (
                f"it has pages, and does not set {PAGES!r}, their number: begin with"
                f" {{% set {PAGES} = 1 %}}"
            )
            raise self._broken(None, reason)
        for name, line in compiled.reads:
            if name not in known:
                like = nearest(name, sorted(known - _IMPLIED))
                meant = "" if like is None else f"is {like!r} meant? Or "
                reason = (
                    f"{name!r} is not a parameter of the template: {meant}declare"
                    f" [parameters.{name}] in {DECLARATION}"
                )
                raise self._broken(line, reason)

    def _helpers(
        self,
        options: Typeset,
        clipped: list[tuple[str, Clipped]],
        notes: list[tuple[str, str]],
    ) -> dict[str, Any]:
        """Return the functions whose results depend on the options of the text.

        `fit` appends to `clipped` the texts that it cuts or shrinks to their floor, and
        `bar_code` to `notes` what it assumes.
        """

        def fit(text: str, *arguments: Any, **named: Any) -> Fit:
            given = {"lang": options.lang, "emoji": options.emoji, **named}
            found = self._fit(text, *arguments, **given)
            if found.clipped:
                clipped.append((text, found.clipped))
            if self._note_fit is not None:
                self._note_fit(text, found)
            return found

        def bar_code(
            data: str,
            symbology: str = "code128",
            width: float | None = None,
            height: float | None = None,
            **named: Any,
        ) -> Bars:
            sides = {"width": width, "height": height}
            # Jinja's division gives fractions.
            whole = {name: side and int(side) for name, side in sides.items()}
            own = {"data": data, "symbology": symbology, **whole}
            given = {"lang": options.lang, "emoji": options.emoji, **named}
            bars, said = self._bars({**given, **own})
            notes.extend((data, note) for note in said)
            return bars

        return {
            "fit": fit,
            "bar_code": bar_code,
            "families": partial(families, covers=self._engine.covers),
            "initial": partial(initial, lang=options.lang),
            "format_currency": partial(format_currency, lang=options.lang or ""),
            "format_decimal": partial(format_decimal, lang=options.lang or ""),
        }

    def _bars(self, given: Mapping[str, Any]) -> tuple[Bars, tuple[str, ...]]:
        """Return a barcode without what whole modules leave, and what it assumes.

        Raises Unencodable where the text is at fault, BadParameter for the rest.
        """
        data = given["data"]
        try:
            parameters = validate(barcode_parameters.Parameters, given, strict=True)
            barcode_parameters.check(parameters)
            parameters = barcode_parameters.trimmed(parameters)
            svg = self._barcodes.draw_svg(parameters).svg
        except BadParameter as error:
            fault = error.faults[0]
            if fault.field == "data":
                raise Unencodable(data, fault.reason) from error
            if fault.field in ("width", "height"):
                reason = f"has no room as a barcode: its {fault.field} {fault.reason}"
                raise Unencodable(data, reason) from error
            raise
        bars = Bars(_data_uri(svg), *barcode_parameters.size(parameters))
        return bars, parameters.symbol.content.notes

    def _split(self, parameters: Parameters) -> tuple[dict[str, Any], Typeset]:
        """Part the template's own parameters from the options of its text."""
        given = dict(parameters)
        own = {name: given.pop(name) for name in self.declaration.parameters}
        if self.declaration.pages:
            own[PAGE] = given.pop(PAGE)
        return own, Typeset.model_construct(**given)

    def _line(self, place: int) -> int | None:
        """Return the line of a place in the markup, of which -1 is none."""
        return None if place < 0 else self._source.count("\n", 0, place) + 1

    def _broken(
        self, line: int | None, reason: str, file: str = MARKUP
    ) -> BrokenTemplate:
        return TemplateFiles(self._name, {}).broken(file, line, reason)

    def _images(
        self, values: Mapping[str, Any], scale: float, size: tuple[int, int]
    ) -> dict[str, input_image.Prepared]:
        width, height = size
        cover = (round(width * scale), round(height * scale))
        most = self._limits.max_image_pixels
        return {
            name: input_image.prepare(values[name], name, cover, most, self._draw_svg)
            for name in self._image_names
            if values[name] is not None
        }


def load_templates(
    folder: Path, engine: Engine, limits: Settings, draw_svg: DrawSvg | None = None
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
            renderers[path.name] = load_template(path, engine, limits, draw_svg)
        # One that is broken must not take the others with it.
        except BrokenTemplate as error:
            faults[path.name] = error
    return renderers, faults


def load_template(
    folder: Path, engine: Engine, limits: Settings, draw_svg: DrawSvg | None = None
) -> Renderer:
    """Load one template; raise BrokenTemplate where its example cannot be drawn.

    It is drawn in full, and with no more than is required. `draw_svg` draws what
    callers send as SVG, which is refused without it.
    """
    if not NAME.match(folder.name):
        reason = f"the folder's name {NAMING}"
        raise BrokenTemplate(folder.name, folder.name, None, reason)
    files = read_files(folder)
    return renderer_of(files, Template(files, engine, limits, draw_svg))


def renderer_of(files: TemplateFiles, template: Template) -> Renderer:
    """Return the renderer that a template of these files is.

    Raises BrokenTemplate as `load_template` does.
    """
    declared = template.declaration
    full, entries = declared.example, declared.parameters
    least = {name: text for name, text in full.items() if entries[name].required}
    for values in (full, least):
        template.check(declaration.check_values(files, template.model, values))
    return untried_renderer(files, template)


def untried_renderer(files: TemplateFiles, template: Template) -> Renderer:
    """Return the renderer that a template is, whose example was drawn before."""
    declared = template.declaration
    renderer = Renderer(
        name=files.name,
        title=declared.title,
        parameters=template.model,
        size=declared.pixels,
        paper=declared.paper,
        draw=template.draw,
        vector=template.draw_svg,
        preflight=template.preflight,
        version=template.version(files),
        example=MappingProxyType(declared.example),
    )
    if declared.bleed is None:
        return renderer
    bled = replace(
        renderer,
        size=template.size(bleed=True),
        draw=partial(template.draw, bleed=True),
        vector=partial(template.draw_svg, bleed=True),
    )
    return replace(renderer, bled=bled)


def version_of(digest: str, engine: Engine) -> str:
    """Return what changes where equal parameters give other pixels.

    `digest` is that of the template's files.
    """
    return f"{digest} {_TOOLS} {engine.version}"


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return name
    # JSON and queries have one kind of number.
    return plain(value) if isinstance(value, float) else value


def _owner(text: str, values: Mapping[str, Any]) -> str:
    """Name the parameter whose text it is, or that it was made of; else `text`."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    equal = (name for name, value in texts.items() if value == text)
    folded = text.casefold()
    related = (
        name
        for name, value in texts.items()
        if value and (value.casefold() in folded or folded in value.casefold())
    )
    return next(chain(equal, related), "text")


def _grade(clipped: tuple[str, Clipped]) -> bool:
    return clipped[1] == "cut"


def _blame(error: Unencodable, values: Mapping[str, Any]) -> Fault:
    """Blame the longest text that is part of what was to be encoded."""
    data = error.data
    texts = {n: v for n, v in values.items() if isinstance(v, str) and v in data}
    name = max(texts or values, key=lambda name: len(texts.get(name, "")))
    return Fault(name, error.reason)
