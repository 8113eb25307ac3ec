"""Draw untrusted input in a process of its own, killed at the deadline."""

import io
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, TypeVar

from PIL import Image

from app.config import BROWSER_BYTES, Settings
from app.renderer.base import BrowserDocument, Encoded, Output, Picture, Renderer
from app.renderer.catalogue import PACKAGED, drawn
from app.renderer.encode import FORMATS
from app.renderer.engine import emoji, language, line_breaking
from app.renderer.engine.engine import Engine, Page, load_engine
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    BrowserUnavailable,
    Fault,
    LimitExceeded,
    RefusedTemplate,
    RendererError,
    RenderTimeout,
    Undrawable,
    UnknownFormat,
    shorten,
)
from app.renderer.image_file import load_readers
from app.renderer.params import Parameters
from app.renderer.probe import svg
from app.renderer.probe.raster import Damaged
from app.renderer.produce import device_size, produce
from app.renderer.sandbox.answers import Kind, kinds_of
from app.renderer.sandbox.chromium import (
    BrowserDied,
    BrowserExpired,
    BrowserNotReady,
    BrowserRefuses,
    Chromium,
)
from app.renderer.sandbox.process import Died, Expired, SandboxProcess
from app.renderer.template.template import Template, untried_renderer
from app.renderer.template.template_files import MARKUP, TemplateFiles, read_files
from app.renderer.template.template_preview import (
    LENGTHS,
    LengthDrawing,
    SetText,
    TemplatePreview,
    preview,
)

# Filled in the isolated process only, before its first drawing.
_ROWS: dict[str, Renderer] = {}
_ENGINES: list[Engine] = []
_SETTINGS: list[Settings] = []
# Saved templates, ready to be drawn, by name and digest.
_TEMPLATES: OrderedDict[str, Renderer] = OrderedDict()
_MOST_TEMPLATES = 32

# It has text, amounts and codes.
_REHEARSED = "badge"
# What Jinja imports when it is first needed, as at an error; and what drawing does: the
# lexers of code alone are a second of a processor each time that a process is killed.
_LATE = (
    *("jinja2.debug", "pprint", "app.renderer.builtin.markdown_parser"),
    "app.renderer.document.translation",
)
# Seconds for which a browser that does not start is left alone.
_GRACE_S = 30.0
# Things that are told of a page, as `html` tells them.
_MOST_TOLD = 20
_STOPPED = (
    "Drawing was stopped: it needs more memory than is allowed, or the engine cannot"
    " cope with it."
)
_LOG = logging.getLogger("mimeo.renderer")
_T = TypeVar("_T")
_NUMBER = (int, float)
_NONE = type(None)
# What that process may answer, beside plain values.
_KINDS = kinds_of(
    (
        Kind(Encoded, (bytes, str, int, int, dict, _NUMBER, _NUMBER, _NUMBER, _NUMBER)),
        Kind(Picture, (Image.Image, (bytes, _NONE), dict, _NUMBER)),
        Kind(SetText, (str, int, int, _NUMBER, str)),
        Kind(
            LengthDrawing,
            (str, dict, tuple, tuple, (Encoded, _NONE), (RendererError, _NONE)),
        ),
        Kind(TemplatePreview, (str, tuple, dict, list)),
        Kind(Fault, (str, str)),
        Kind(BadParameter, (Fault,), repeated=True),
        Kind(BrokenTemplate, (str, str, (int, _NONE), str)),
        Kind(RefusedTemplate, (str, str, (int, _NONE), str)),
        Kind(LimitExceeded, (str, str, _NUMBER, _NUMBER)),
        Kind(RenderTimeout, (str, _NUMBER)),
        Kind(Undrawable, (str,), repeated=True),
        Kind(UnknownFormat, (str, tuple)),
    )
)


class LeftToParent(Exception):
    """This process draws nothing that is isolated: the one it was forked from does."""


class Sandbox:
    """Draws what is isolated; cheap until it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.render_timeout_s
        self._cell = SandboxProcess(
            prepare,
            settings,
            memory_bytes=settings.html_memory_bytes,
            kinds=_KINDS,
            late=_LATE,
        )
        self._left = False
        self._settings = settings
        self._browser: Chromium | None = None
        self._browser_turn = threading.Lock()
        # On the monotonic clock: until when no browser is begun.
        self._rest_until = 0.0

    def leave_to_parent(self) -> None:
        """Raise LeftToParent in place of drawing, in a process that was forked."""
        self._left = True

    def fork_early(self) -> None:
        """Make ready to start the other process, while this one has no threads.

        It then shares fonts and code with this one.
        """
        self._cell.fork_early()

    def produce(
        self, renderer: Renderer, parameters: Parameters, output: Output
    ) -> Encoded:
        """Draw and encode as `app.renderer.produce` does, in the other process.

        Raises RenderTimeout at the deadline, Undrawable where the process died,
        and what drawing raises.
        """
        if renderer.document is not None:
            made = self._produce_in_browser(renderer, parameters, output)
        elif renderer.files is not None:
            # Of a class that was made for it, which no other process knows.
            values = dict(parameters)
            made = self._run(draw_template, renderer.files(), values, output)
        else:
            made = self._run(draw, renderer.name, parameters, output)
        _check(made, Encoded)
        if made.media_type != FORMATS[output.format].media_type:
            raise Undrawable("Drawing was stopped: what came of it is another type.")
        return made

    def _produce_in_browser(
        self, renderer: Renderer, parameters: Parameters, output: Output
    ) -> Encoded:
        """Have the browser show a document, and its picture encoded in the process.

        Raises BrowserUnavailable where it does not start.
        """
        if self._left:
            raise LeftToParent
        assert renderer.document is not None
        started = time.perf_counter()
        page = renderer.document(parameters)
        size = device_size(renderer, parameters, 1)
        png, ignored = self._shown(page, size, output.scale)
        if ignored and page.strict:
            raise BadParameter(
                *(Fault("html", f"is not drawn in full: {each}") for each in ignored)
            )
        facts = {**page.facts, **({"ignored": ignored} if ignored else {})}
        took_s = time.perf_counter() - started
        name = renderer.name
        made = self._run(encode_screenshot, name, parameters, output, png, facts)
        _check(made, Encoded)
        # What its processes took of a processor is not known: as good as all the time.
        return replace(made, draw_s=made.draw_s + took_s, cpu_s=made.cpu_s + took_s)

    def _shown(
        self, page: BrowserDocument, size: tuple[int, int], scale: float
    ) -> tuple[bytes, list[str]]:
        """Return the picture of a page as PNG, and what is not drawn of it."""
        with self._browser_turn:
            if time.monotonic() < self._rest_until:
                raise BrowserUnavailable
            browser = self._browser = self._browser or _browser_of(self._settings)
            try:
                with browser.page(
                    page.html, size, scale, self._timeout_s, page.lang
                ) as shown:
                    png = shown.shoot()
                    ignored = ["script"] if shown.has_scripts() else []
                ignored += [f"{shorten(url)} is not fetched" for url in shown.refused]
                return png, ignored[:_MOST_TOLD]
            except BrowserExpired as error:
                raise RenderTimeout(
                    "MIMEO_RENDER_TIMEOUT_S", self._timeout_s
                ) from error
            except (BrowserDied, BrowserRefuses) as error:
                raise Undrawable(_STOPPED) from error
            except BrowserNotReady as error:
                _LOG.error("the browser does not start: %s", error)
                self._rest_until = time.monotonic() + _GRACE_S
                raise BrowserUnavailable from error

    def _run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        if self._left:
            raise LeftToParent
        try:
            return self._cell.run(function, *arguments, timeout_s=self._timeout_s)
        except Expired as error:
            raise RenderTimeout("MIMEO_RENDER_TIMEOUT_S", self._timeout_s) from error
        except (Died, MemoryError) as error:
            raise Undrawable(_STOPPED) from error

    def draw_svg(self, data: bytes, size: tuple[int, int]) -> Picture:
        """Return an SVG document, drawn in the other process; raises as `produce`.

        The fact `warnings` says what of it is not drawn.
        """
        return _check(self._run(draw_svg, data, size), Picture)

    def preview(
        self, files: TemplateFiles, lengths: Sequence[str], *, outlines: bool
    ) -> TemplatePreview:
        """Expand and draw a template in the other process, with texts of `lengths`.

        Raises RefusedTemplate, also at the deadline, and LimitExceeded.
        """
        try:
            made = self._run(preview_template, files, tuple(lengths), outlines)
        except RenderTimeout as error:
            reason = f"{error}: make its loops and texts shorter"
            raise _refused(files.broken(MARKUP, None, reason)) from error
        except Undrawable as error:
            reason = f"{error} Make its texts, lists and pictures smaller."
            raise _refused(files.broken(MARKUP, None, reason)) from error
        return _check(made, TemplatePreview)

    @property
    def pid(self) -> int:
        """The process that draws, 0 before there was one."""
        return self._cell.pid

    def close(self) -> None:
        """End the process, and the browser."""
        self._cell.close()
        with self._browser_turn:
            if self._browser is not None:
                self._browser.close()


def _browser_of(settings: Settings) -> Chromium:
    """Return the browser that is set, with the fonts of the engine."""
    assert settings.browser is not None
    return Chromium(
        settings.browser,
        load_engine(settings.fonts, settings.system_fonts).files,
        # It never draws while the process does, and so shares its part.
        BROWSER_BYTES + settings.html_memory_bytes,
        sandboxed=settings.browser_sandbox,
    )


def _check(made: _T, kind: type[_T]) -> _T:
    """Return an answer of a kind; raise Undrawable for another one."""
    if not isinstance(made, kind):
        raise Undrawable("Drawing was stopped: what came of it is no picture.")
    return made


def _refused(error: BrokenTemplate) -> RefusedTemplate:
    """Return the fault of a template whose author is the caller."""
    return RefusedTemplate(*error.args)


def prepare(settings: Settings) -> None:
    """Load fonts, emoji, engine, and what readers and encoders load late."""
    emoji.preload()
    line_breaking.preload()
    language.preload()
    load_readers()
    engine = load_engine(settings.fonts, settings.system_fonts)
    engine.open_fonts()
    _ENGINES.append(engine)
    _SETTINGS.append(settings)
    for row in drawn(engine, settings):
        if row.isolated:
            _ROWS[row.name] = row
            if row.document is None:
                _rehearse(row)
    for name in _LATE:
        import_module(name)
    # Whatever a template's functions open, they open now; within no operator's bounds.
    badge, bounds = read_files(PACKAGED / _REHEARSED), Settings()
    preview(badge, LENGTHS[:1], engine, bounds, draw_svg, outlines=False)


def draw(name: str, parameters: Parameters, output: Output) -> Encoded:
    """Draw and encode in this process, which `prepare` made ready."""
    return produce(_ROWS[name], parameters, output)


def encode_screenshot(
    name: str,
    parameters: Parameters,
    output: Output,
    png: bytes,
    facts: Mapping[str, Any],
) -> Encoded:
    """Encode what a browser has drawn, in this process."""
    row = _ROWS[name]

    def draw(parameters: Any, scale: float) -> Picture:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            size = device_size(row, parameters, scale)
            # Of half a pixel the browser makes one.
            return Picture(image.crop((0, 0, *size)), facts=facts)

    return produce(replace(row, draw=draw), parameters, output)


def draw_template(
    files: TemplateFiles, values: Mapping[str, Any], output: Output
) -> Encoded:
    """Draw a saved template in this process, of values that were checked before.

    Raises RefusedTemplate: whoever wrote it is a caller.
    """
    try:
        key = f"{files.name} {files.digest()}"
        row = _TEMPLATES.get(key)
        if row is None:
            template = Template(files, _ENGINES[0], _SETTINGS[0], draw_svg)
            row = _TEMPLATES[key] = untried_renderer(files, template)
            while len(_TEMPLATES) > _MOST_TEMPLATES:
                _TEMPLATES.popitem(last=False)
        return produce(row, row.parameters.model_construct(**values), output)
    except BrokenTemplate as error:
        raise _refused(error) from error


def preview_template(
    files: TemplateFiles, lengths: Sequence[str], outlines: bool
) -> TemplatePreview:
    """Draw a template in this process, which `prepare` made ready."""
    return preview(
        files, lengths, _ENGINES[0], _SETTINGS[0], draw_svg, outlines=outlines
    )


def draw_svg(data: bytes, size: tuple[int, int]) -> Picture:
    """Draw an SVG document in this process, which `prepare` made ready.

    Raises Undrawable where it is broken, or refers to what is not in it.
    """
    try:
        document = svg.complete(svg.as_utf8(data))
        notes = svg.examine(document)
    except Damaged as error:
        raise Undrawable(f"{error}") from error
    except svg.Outside as error:
        raise Undrawable(
            f"it refers to {error}, which is not in it: put it in as a data URI"
        ) from error
    body = '<img src="drawing" style="width: 100%; height: 100%">'
    # An image by name, as the engine leaves out what it cannot read of a data URI.
    page = Page(body, images={"drawing": document})
    picture = _ENGINES[0].draw(page, size, 1)
    return Picture(picture.image, facts={"warnings": notes} if notes else {})


def _rehearse(row: Renderer) -> None:
    values = {**row.example, "width": "16", "height": "16"}
    parameters = row.parameters.model_validate_strings(values)
    # Pillow opens the library of a format when it is first used: here still possible.
    for name in FORMATS:
        produce(row, parameters, Output.model_validate({"format": name}))
