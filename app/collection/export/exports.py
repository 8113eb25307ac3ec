"""The forms in which a whole collection can be had, in one table."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import orjson
from pydantic import Field

from app.collection.collection import Collection, Item
from app.collection.export.base64_json import json_text, ndjson
from app.collection.export.print_sheet import NAME as SHEET
from app.collection.export.print_sheet import PrintOptions, assumed, sheets
from app.collection.outcome import Bundle, Failed, drawn
from app.config import Settings
from app.renderer.base import Renderer
from app.renderer.encode.animation import ANIMATIONS, Animation
from app.renderer.encode.pdf.document import PdfPage, pages, read_pages
from app.renderer.errors import BadParameter, Fault, LimitExceeded
from app.renderer.paper import Paper, resolve
from app.renderer.params import Parameters, validate
from app.renderer.produce import device_size, paper_for


class ExportOptions(Parameters):
    """What a caller can say of the delivery of any form."""

    download: str | None = Field(None, description="File name of an attachment.")

    @property
    def bled(self) -> bool:
        """Whether images are drawn with their bleed, whatever they say themselves."""
        return False


class PdfOptions(ExportOptions):
    """What a caller can say of a PDF."""

    sheet: PrintOptions | None = Field(
        None,
        description="Several images on a page, to be cut; in a query each option as"
        " sheet[page], in JSON one object.",
    )

    @property
    def bled(self) -> bool:
        """Whether a sheet shows any bleed."""
        return self.sheet is not None and self.sheet.bleed is not None


class Motion(ExportOptions):
    """What a caller can say of an animation."""

    duration: Annotated[int, Field(ge=20, le=65_530)] = Field(
        500, description="Milliseconds that each image is shown."
    )
    loop: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0, description="How often it is played; 0: for ever."
    )


# `sheet[page]`, and what the validator calls it.
_NESTED = re.compile(r"(\w+)\[(\w+)\]")
_INNER = re.compile(r"(\w+)\.(\w+)")

Chosen = TypeVar("Chosen", bound=Parameters)
Make = Callable[[Bundle, Collection, Any], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Form:
    """A form: its type, options, the format that images are drawn in, and its bytes.

    `image_format` is None where the images keep the collection's own. `check` raises
    before any work where a collection cannot be had in this form, and says what is
    assumed. `make` is None for the archive, which can do more than be streamed. An
    `attachment` is to be saved.
    """

    name: str
    media_type: str
    make: Make | None
    options: type[ExportOptions] = ExportOptions
    image_format: str | None = None
    check: Callable[[Collection, Any, Settings], tuple[str, ...]] = lambda *_: ()
    attachment: bool = False

    def tag(self, options: ExportOptions) -> str:
        """Name what of the form and its options decides the bytes."""
        # The name that a file is saved under moves no byte of it.
        rest = options.model_dump(exclude={"download"}, exclude_none=True)
        return "-".join((self.name, *map(_tagged, rest.values())))

    def query(self, options: ExportOptions) -> str:
        """Return the query that asks for these options again; nothing without any."""
        chosen = options.model_dump(exclude={"download"}, exclude_unset=True)
        pairs: list[tuple[str, str]] = []
        for name, value in chosen.items():
            if isinstance(value, dict):
                pairs += [(f"{name}[{inner}]", each) for inner, each in value.items()]
            else:
                pairs.append((name, value))
        return f"?{urlencode(pairs)}" if pairs else ""

    def read(self, query: str) -> ExportOptions:
        """Reverse `query`."""
        return read_options(self.options, dict(parse_qsl(query.removeprefix("?"))))

    @property
    def names(self) -> tuple[str, ...]:
        """How a query calls the options."""
        return tuple(_names(self.options))


def _tagged(value: Any) -> str:
    """Return an option's value as a tag holds it: no blanks and no quotes."""
    if not isinstance(value, dict):
        return str(value)
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:16]


def _names(model: type[Parameters]) -> Iterator[str]:
    for name in model.model_fields:
        if name == SHEET:
            yield from (f"{name}[{inner}]" for inner in PrintOptions.model_fields)
        else:
            yield name


def _pages(
    bundle: Bundle, collection: Collection, options: PdfOptions
) -> Iterator[bytes]:
    own = _leaves(bundle)
    return pages(own if options.sheet is None else sheets(own, options.sheet))


def _leaves(bundle: Bundle) -> Iterator[PdfPage | None]:
    """Yield the pages of each image when it is there; None while it is not."""
    for image in drawn(bundle.outcomes):
        if image is None:
            yield None
        else:
            yield from read_pages(bytes(image.media.in_memory))


def _check_sheet(
    collection: Collection, options: PdfOptions, settings: Settings
) -> tuple[str, ...]:
    """Refuse a sheet that images have no room or no bleed for; say what is assumed.

    The first image decides the room.
    """
    if options.sheet is None:
        return ()
    renderers = collection.renderers if options.bled else ()
    papers = {each.name: _paper(each, collection.output.dpi) for each in renderers}
    for item in collection.items(format_name="pdf"):
        if isinstance(item, Item):
            made = item.request
            paper = paper_for(made.renderer, made.parameters, made.output)
            return assumed(options.sheet, (paper.width, paper.height), papers)
    return ()


def _paper(renderer: Renderer, dpi: float | None) -> Paper:
    """Return the size on paper and the bleed that a renderer declares, at a resolution.

    What has a bleed has a size of its own; the size of others is not said.
    """
    size = renderer.size if isinstance(renderer.size, tuple) else (1, 1)
    return resolve(renderer.paper, size, 1, dpi)


def _animate(
    animation: Animation, bundle: Bundle, collection: Collection, options: Motion
) -> Iterator[bytes]:
    # The canvas of all frames; nothing is drawn where none of them has a size.
    _, size = next(_sizes(animation, collection), (1, (1, 1)))
    frames = (
        None if image is None else image.media.in_memory
        for image in drawn(bundle.outcomes)
    )
    return animation.join(
        frames, collection.count, size, options.duration, options.loop
    )


def _check_frames(
    animation: Animation, collection: Collection, options: Motion, settings: Settings
) -> tuple[str, ...]:
    """Refuse too many frames, and frames of more than one size."""
    animation.check(options.duration)
    if collection.count > settings.max_frames:
        raise LimitExceeded(
            "count", "MIMEO_MAX_FRAMES", settings.max_frames, collection.count
        )
    # Frames share one canvas, and none is cut, padded or scaled to it unasked.
    first: tuple[int, int] | None = None
    for index, size in _sizes(animation, collection):
        first = first or size
        if size != first:
            reason = (
                f"image {index} is {size[0]}x{size[1]}, the first"
                f" {first[0]}x{first[1]}: frames must be of one size"
            )
            raise BadParameter(Fault("size", reason))
    return ()


def _sizes(
    animation: Animation, collection: Collection
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield number and size of each frame that can be drawn."""
    for item in collection.items(format_name=animation.frame_format):
        if isinstance(item, Item):
            made = item.request
            size = device_size(made.renderer, made.parameters, made.output.scale)
            yield item.index, size


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "zip": Form("zip", "application/zip", None, attachment=True),
        "json": Form("json", "application/json", lambda bundle, *_: json_text(bundle)),
        "ndjson": Form(
            "ndjson", "application/x-ndjson", lambda bundle, *_: ndjson(bundle)
        ),
        "pdf": Form("pdf", "application/pdf", _pages, PdfOptions, "pdf", _check_sheet),
        **{
            name: Form(
                name,
                row.media_type,
                partial(_animate, row),
                Motion,
                row.frame_format,
                partial(_check_frames, row),
            )
            for name, row in ANIMATIONS.items()
        },
    }
)


@dataclass(frozen=True, slots=True)
class Export:
    """A collection in one of the forms, with the options of a caller.

    Only what is `kept` can be asked for again, and so resumed.
    """

    collection: Collection
    form: Form
    options: ExportOptions
    kept: bool

    @property
    def tag(self) -> str:
        """Name the bytes; all that decides them is in it."""
        return f"{self.collection.id}-{self.form.tag(self.options)}"

    def items(self, first: int = 1, last: int | None = None) -> Iterator[Item | Failed]:
        """Iterate over the images of these numbers, all by default."""
        kind = self.form.image_format
        return self.collection.items(first, last, kind, bleed=self.options.bled)


def read_options(model: type[Chosen], given: Mapping[str, Any]) -> Chosen:
    """Return the options of a query; raise BadParameter naming what is wrong.

    `sheet[page]` is the option `page` of what JSON has as the object `sheet`.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        found = _NESTED.fullmatch(name)
        if found is None:
            values[name] = dict(value) if isinstance(value, Mapping) else value
            continue
        inner = values.setdefault(found[1], {})
        if not isinstance(inner, dict) or found[2] in inner:
            raise BadParameter(Fault(name, "is given more than once"))
        inner[found[2]] = value
    try:
        return validate(model, values, strict=False)
    except BadParameter as error:
        faults = (
            Fault(_INNER.sub(r"\1[\2]", name), reason) for name, reason in error.faults
        )
        raise BadParameter(*faults) from error
