"""Draw untrusted input in a process of its own, killed at the deadline."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from PIL import Image

from app.config import Settings
from app.renderer.base import Encoded, Output, Picture, Renderer
from app.renderer.catalogue import PACKAGED, drawn
from app.renderer.encode import FORMATS
from app.renderer.engine import emoji, language, line_breaking
from app.renderer.engine.engine import Engine, Page, load_engine
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    Fault,
    LimitExceeded,
    RefusedTemplate,
    RendererError,
    RenderTimeout,
    Undrawable,
    UnknownFormat,
)
from app.renderer.image_file import load_readers
from app.renderer.params import Parameters
from app.renderer.probe import svg
from app.renderer.probe.raster import Damaged
from app.renderer.produce import produce
from app.renderer.sandbox.answers import Kind, kinds_of
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
# What Jinja imports when it is first needed, as at an error.
_LATE = ("jinja2.debug", "pprint")
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
            prepare, settings, memory_bytes=settings.html_memory_bytes, kinds=_KINDS
        )
        self._left = False

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
        if renderer.files is not None:
            # Of a class that was made for it, which no other process knows.
            values = dict(parameters)
            made = self._run(draw_template, renderer.files(), values, output)
        else:
            made = self._run(draw, renderer.name, parameters, output)
        _check(made, Encoded)
        if made.media_type != FORMATS[output.format].media_type:
            raise Undrawable("Drawing was stopped: what came of it is another type.")
        return made

    def _run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        if self._left:
            raise LeftToParent
        try:
            return self._cell.run(function, *arguments, timeout_s=self._timeout_s)
        except Expired as error:
            raise RenderTimeout("MIMEO_RENDER_TIMEOUT_S", self._timeout_s) from error
        except (Died, MemoryError) as error:
            raise Undrawable(
                "Drawing was stopped: it needs more memory than is allowed, or the"
                " engine cannot cope with it."
            ) from error

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
            raise RefusedTemplate(
                files.name, f"{files.name}/{MARKUP}", None, reason
            ) from error
        except Undrawable as error:
            reason = f"{error} Make its texts, lists and pictures smaller."
            raise RefusedTemplate(
                files.name, f"{files.name}/{MARKUP}", None, reason
            ) from error
        return _check(made, TemplatePreview)

    @property
    def pid(self) -> int:
        """The process that draws, 0 before there was one."""
        return self._cell.pid

    def close(self) -> None:
        """End the process."""
        self._cell.close()


def _check(made: _T, kind: type[_T]) -> _T:
    """Return an answer of a kind; raise Undrawable for another one."""
    if not isinstance(made, kind):
        raise Undrawable("Drawing was stopped: what came of it is no picture.")
    return made


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
            _rehearse(row)
    for name in _LATE:
        import_module(name)
    # Whatever a template's functions open, they open now; within no operator's bounds.
    badge, bounds = read_files(PACKAGED / _REHEARSED), Settings()
    preview(badge, LENGTHS[:1], engine, bounds, draw_svg, outlines=False)


def draw(name: str, parameters: Parameters, output: Output) -> Encoded:
    """Draw and encode in this process, which `prepare` made ready."""
    return produce(_ROWS[name], parameters, output)


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
        raise RefusedTemplate(*error.args) from error


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
