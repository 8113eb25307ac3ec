"""The forms in which a whole collection can be had, in one table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import Field

from app.collection.collection import Collection, Item
from app.collection.export.base64_json import json_text, ndjson
from app.collection.outcome import Bundle, Failed, drawn
from app.config import Settings
from app.renderer.encode.animation import ANIMATIONS, Animation
from app.renderer.encode.pdf.document import pages, read_page
from app.renderer.errors import BadParameter, Fault, LimitExceeded
from app.renderer.params import Parameters, validate
from app.renderer.produce import device_size


class ExportOptions(Parameters):
    """What a caller can say of the delivery of any form."""

    download: str | None = Field(None, description="File name of an attachment.")


class Motion(ExportOptions):
    """What a caller can say of an animation."""

    duration: Annotated[int, Field(ge=20, le=65_530)] = Field(
        500, description="Milliseconds that each image is shown."
    )
    loop: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0, description="How often it is played; 0: for ever."
    )


Chosen = TypeVar("Chosen", bound=Parameters)
Make = Callable[[Bundle, Collection, Any], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Form:
    """A form: its type, options, the format that images are drawn in, and its bytes.

    `image_format` is None where the images keep the collection's own. `check` raises
    before any work where a collection cannot be had in this form. `make` is None for
    the archive, which can do more than be streamed. An `attachment` is to be saved.
    """

    name: str
    media_type: str
    make: Make | None
    options: type[ExportOptions] = ExportOptions
    image_format: str | None = None
    check: Callable[[Collection, Any, Settings], None] = lambda *_: None
    attachment: bool = False

    def tag(self, options: ExportOptions) -> str:
        """Name what of the form and its options decides the bytes."""
        # The name that a file is saved under moves no byte of it.
        rest = options.model_dump(exclude={"download"})
        return "-".join((self.name, *map(str, rest.values())))


def _pages(
    bundle: Bundle, collection: Collection, options: ExportOptions
) -> Iterator[bytes]:
    return pages(
        None if image is None else read_page(bytes(image.media.in_memory))
        for image in drawn(bundle.outcomes)
    )


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
) -> None:
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
        "pdf": Form("pdf", "application/pdf", _pages, image_format="pdf"),
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
        return self.collection.items(first, last, self.form.image_format)


def read_options(model: type[Chosen], given: Mapping[str, str]) -> Chosen:
    """Return the options of a query; raise BadParameter naming what is wrong."""
    return validate(model, given, strict=False)
